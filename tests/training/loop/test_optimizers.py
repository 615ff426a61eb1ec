"""The optimizer, against PyTorch's path and the authors' update rule."""

import dataclasses
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import nonlocal_tf as nl
from tests.training.processes import expect
from training.loop import optimizers, schedules
from training.loop.optimizers import OptimizerConfig

PATHS = pathlib.Path(__file__).parents[2] / "data/optimizer"
NAMES = ("kernel", "bias", "gamma")
# As in the script that made the path.
DROPS, STEPS, L2, MOMENTUM = (20, 37), 50, 0.02, 0.9
# PyTorch and this take the same operations of float32 in another order: 50
# steps of half an ulp (6e-8) each of weights and moves of up to 4.
TOLERANCE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def stored():
    with np.load(PATHS / "sgd_path.npz") as file:
        return dict(file)


def sgd(**changes):
    config = OptimizerConfig(
        base_lr=0.1,
        name="sgd",
        schedule="steps",
        drops_at_steps=DROPS,
        momentum=MOMENTUM,
        weight_decay=L2,
    )
    config = dataclasses.replace(config, **changes)
    rate = schedules.learning_rate(config, batch=32, steps=STEPS)
    return optimizers.make(config, rate)


def variables(stored):
    return [keras.Variable(stored[f"{n}/start"], name=n) for n in NAMES]


def walk(optimizer, weights, stored, steps=range(STEPS)):
    """The weights after each step on the stored gradients."""
    path = []
    for step in steps:
        gradients = [
            tf.constant(stored[f"{name}/gradients"][step]) for name in NAMES
        ]
        optimizer.apply(gradients, weights)
        path.append([np.array(weight) for weight in weights])
    return [np.stack(values) for values in zip(*path, strict=True)]


def test_the_path_is_that_of_pytorch(stored):
    path = walk(sgd(), variables(stored), stored)
    for name, values in zip(NAMES, path, strict=True):
        expected = stored[f"{name}/weights"]
        assert np.abs(expected[-1] - expected[0]).max() > 0.1  # it does move
        np.testing.assert_allclose(values, expected, **TOLERANCE)


def caffe2(start, gradients, l2):
    """The authors' update, whose velocity has the rate in it."""
    w, v, rate, path = start.astype("float64"), 0.0, 0.1, []
    for step, gradient in enumerate(gradients.astype("float64")):
        if step in DROPS:
            rate, v = 0.1 * rate, 0.1 * v
        before, v = v, MOMENTUM * v + rate * (gradient + l2 * w)
        w = w - ((1 + MOMENTUM) * v - MOMENTUM * before)
        path.append(w)
    return np.stack(path)


def test_the_path_is_that_of_the_authors_caffe2(stored):
    path = walk(sgd(), variables(stored), stored)
    for name, values in zip(NAMES, path, strict=True):
        expected = caffe2(
            stored[f"{name}/start"],
            stored[f"{name}/gradients"],
            0.0 if name == "gamma" else L2,
        )
        np.testing.assert_allclose(values, expected, **TOLERANCE)


def test_l2_leaves_out_the_scales_and_shifts_and_nothing_else():
    model = nl.create_model(
        "i3d_nl5_r50", num_classes=3, clip_shape=(8, 64, 64, 3), width=4
    )
    without = {
        weight.path
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
        for weight in layer.trainable_weights
    }
    assert any("nonlocal" in path for path in without)
    classes = {
        w.path for w in model.trainable_weights if not optimizers.has_l2(w)
    }
    assert classes == without
    kept = {w.path for w in model.trainable_weights} - classes
    assert {path.rsplit("/", 1)[1] for path in kept} == {"kernel", "bias"}
    biases = {path for path in kept if path.endswith("bias")}
    # Those of theta, phi, g and W_z in five blocks, and the classifier's.
    assert len(biases) == 5 * 4 + 1


def test_l2_leaves_out_what_stands_for_a_normalisation():
    layer = nl.layers.Affine()
    layer.build((None, 3))
    assert not any(optimizers.has_l2(w) for w in layer.trainable_weights)


@pytest.mark.parametrize("after", [1, 19, 30])
def test_a_run_that_goes_on_from_its_variables_takes_the_same_path(
    after, stored
):
    whole = walk(sgd(), variables(stored), stored)
    first, weights = sgd(), variables(stored)
    walk(first, weights, stored, range(after))
    second = keras.optimizers.deserialize(keras.optimizers.serialize(first))
    second.build(weights)
    for variable, value in zip(second.variables, first.variables, strict=True):
        variable.assign(value)
    rest = walk(second, weights, stored, range(after, STEPS))
    for a, b in zip(whole, rest, strict=True):
        np.testing.assert_array_equal(a[after:], b)


def test_the_loss_scale_does_not_change_the_path(stored):
    scaled = keras.optimizers.LossScaleOptimizer(sgd(), initial_scale=1024.0)
    times_1024 = {
        name: value * (1024 if name.endswith("gradients") else 1)
        for name, value in stored.items()
    }
    path = walk(scaled, variables(stored), times_1024)
    plain = walk(sgd(), variables(stored), stored)
    for a, b in zip(path, plain, strict=True):
        np.testing.assert_array_equal(a, b)  # a power of two rounds nothing


def test_an_infinite_gradient_changes_no_weight_under_a_loss_scale(stored):
    scaled = keras.optimizers.LossScaleOptimizer(sgd())
    weights = variables(stored)
    walk(scaled, weights, {n: v * np.inf for n, v in stored.items()}, range(3))
    for name, weight in zip(NAMES, weights, strict=True):
        np.testing.assert_array_equal(weight, stored[f"{name}/start"])


def test_the_path_is_the_same_compiled_in_a_strategy(stored):
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        optimizer, weights = sgd(), variables(stored)
        optimizer.build(weights)

    @tf.function
    def step(gradients):
        # What a device has computed itself, as gradients of a loss are.
        strategy.run(
            lambda: optimizer.apply(
                [tf.identity(g) for g in gradients], weights
            )
        )

    for index in range(STEPS):
        step([tf.constant(stored[f"{n}/gradients"][index]) for n in NAMES])
    for name, weight in zip(NAMES, weights, strict=True):
        np.testing.assert_allclose(
            weight, stored[f"{name}/weights"][-1], **TOLERANCE
        )


@pytest.mark.full
def test_two_devices_take_the_path_of_the_sum_of_their_gradients():
    expect("sgd_on_two_devices")


def test_a_rate_can_be_read_at_every_step(stored):
    optimizer, weights = sgd(), variables(stored)
    walk(optimizer, weights, stored, range(20))
    assert float(optimizer.learning_rate) == np.float32(0.01)


def fine_tuned(name, **changes):
    """An optimizer with decay of kernels, whose biases have half the rate."""
    config = OptimizerConfig(
        base_lr=0.1,
        name=name,
        schedule="steps",
        drops_at_steps=DROPS,
        weight_decay=0.3,
    )
    config = dataclasses.replace(config, **changes)
    rate = schedules.learning_rate(config, batch=32, steps=STEPS)
    return optimizers.make(config, rate, rates={"bias": 0.5})


def adamw(m, v, gradient, step):
    """The move by a rate of 1, of Loshchilov and Hutter's algorithm 2.

    Epsilon is that of Kingma and Ba's formulation before section 2.1, as in
    Keras.
    """
    m += 0.1 * (gradient - m)
    v += 0.001 * (gradient**2 - v)
    alpha = np.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
    return alpha * m / (np.sqrt(v) + 1e-7)


def lion(m, v, gradient, step):
    """The same of Chen et al.'s program 1; v is not used."""
    move = np.sign(0.9 * m + 0.1 * gradient)
    m += 0.01 * (gradient - m)
    return move


@pytest.mark.parametrize(("name", "move"), [("adamw", adamw), ("lion", lion)])
def test_decay_is_decoupled_and_rates_are_of_variables(name, move, stored):
    path = walk(fine_tuned(name), variables(stored), stored)
    for weight, values in zip(NAMES, path, strict=True):
        w = stored[f"{weight}/start"].astype("float64")
        m, v, rate = np.zeros_like(w), np.zeros_like(w), 0.1
        factor = 0.5 if weight == "bias" else 1.0
        for step, gradient in enumerate(stored[f"{weight}/gradients"]):
            rate *= 0.1 if step in DROPS else 1
            if weight == "kernel":
                w *= 1 - rate * 0.3
            w -= factor * rate * move(m, v, gradient.astype("float64"), step)
        # 1 - 0.999 in float32 is off by 5e-5 of it, and so is each of the
        # first moves of 0.1.
        np.testing.assert_allclose(values[-1], w, rtol=0, atol=1e-4)
        assert np.abs(w - stored[f"{weight}/start"]).max() > 0.1


def test_the_path_of_adamw_is_that_of_pytorch(stored):
    path = walk(fine_tuned("adamw"), variables(stored), stored)
    with np.load(PATHS / "adamw_path.npz") as expected:
        for name, values in zip(NAMES, path, strict=True):
            # Keras adds its epsilon to what is not yet corrected for the start
            # at 0: in the first step of 0.1 it counts 32 times.
            epsilon = 1e-7 / np.sqrt(1 - 0.999)
            smallest = np.abs(stored[f"{name}/gradients"][0]).min()
            atol = TOLERANCE["atol"] + 0.1 * epsilon / smallest
            np.testing.assert_allclose(
                values, expected[f"{name}/weights"], rtol=0, atol=atol
            )


@pytest.mark.parametrize("name", ["adamw", "lion", "sgd"])
def test_an_optimizer_with_rates_is_saved_with_its_settings(name, stored):
    first = fine_tuned(name)
    second = keras.optimizers.deserialize(keras.optimizers.serialize(first))
    path = walk(second, variables(stored), stored)
    expected = walk(first, variables(stored), stored)
    for values, same in zip(path, expected, strict=True):
        np.testing.assert_array_equal(values, same)


def test_half_the_rate_of_a_variable_is_half_the_rate_of_all(stored):
    path = walk(fine_tuned("sgd"), variables(stored), stored)
    config = {"weight_decay": 0.3, "base_lr": 0.05}
    slower = walk(sgd(**config), variables(stored), stored)
    bias = NAMES.index("bias")
    np.testing.assert_allclose(path[bias], slower[bias], rtol=0, atol=1e-6)
    assert np.abs(path[0] - slower[0]).max() > 0.1


def test_adam_is_keras_own_with_the_schedule():
    config = OptimizerConfig(base_lr=3e-3, warmup_steps=50)
    rate = schedules.learning_rate(config, batch=32, steps=2400)
    optimizer = optimizers.make(config, rate)
    assert type(optimizer) is keras.optimizers.Adam
    own = keras.optimizers.Adam(rate, name=optimizer.name)
    assert optimizer.get_config() == own.get_config()


@pytest.mark.parametrize("wrong", [{"momentum": 1.0}, {"l2": -1e-4}])
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=f"Expected {next(iter(wrong))}"):
        optimizers.SGD(0.1, **wrong)


def test_biases_may_be_faster_and_without_l2():
    """Detectron's: twice the rate, no L2, a momentum that is not Nesterov's."""
    start, gradient = np.float32([2, -3]), tf.constant([0.5, 0.25])
    weights = [keras.Variable(start, name=n) for n in ("kernel", "bias")]
    optimizer = optimizers.SGD(
        0.1, 0.9, 0.02, nesterov=False, bias_l2=False, bias_rate=2.0
    )
    expected = {}
    for name, l2, rate in (("kernel", 0.02, 0.1), ("bias", 0.0, 0.2)):
        w, v = start.astype("float64"), 0.0
        for _ in range(3):
            v = 0.9 * v + np.asarray(gradient, "float64") + l2 * w
            w = w - rate * v
        expected[name] = w
    for _ in range(3):
        optimizer.apply([gradient, gradient], weights)
    for weight in weights:  # three steps of float32
        np.testing.assert_allclose(weight, expected[weight.name], rtol=1e-6)
    again = optimizers.SGD.from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()


def test_a_rate_of_biases_is_above_zero():
    with pytest.raises(ValueError, match="bias_rate above 0"):
        optimizers.SGD(0.1, bias_rate=0.0)
