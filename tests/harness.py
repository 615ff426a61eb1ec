"""What every layer and every model owes its users, as one call each."""

import keras
import numpy as np

from nonlocal_tf.ops import _softmax

RNG_SEED = 20180618


def normal(shape, seed=RNG_SEED, dtype="float32"):
    """Standard normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def check_layer(make, input_shape, expected_output_shape=None, other_time=None):
    """Runs a layer through everything that users do with layers.

    Weights are random, so that a layer that starts as the identity computes.

    Args:
        make: function of keyword arguments (`dtype`, ...) to a new layer.
        input_shape: with batch, no None.
        expected_output_shape: default: the input's.
        other_time: what else the first axis after the batch may be. Default:
            one more.
    """
    expected = tuple(expected_output_shape or input_shape)
    x = normal(input_shape)
    layer = make()
    layer.build(input_shape)
    randomise(layer)
    y = keras.ops.convert_to_numpy(layer(x))
    assert y.shape == expected
    assert np.abs(y - x).max() > 0.01
    assert tuple(layer.compute_output_shape(input_shape)) == expected
    _check_config(layer)
    _check_unknown_shape(make, layer, x, y, other_time)
    for policy, bits in (("mixed_bfloat16", 8), ("mixed_float16", 11)):
        _check_mixed_precision(make, layer, x, y, policy, bits)


def randomise(layer, scale=0.3):
    """Gives every weight random values; variances stay positive."""
    layer.set_weights(
        [
            np.abs(values) + 0.5 if "variance" in weight.path else values
            for weight, values in (
                (weight, scale * normal(weight.shape, seed))
                for seed, weight in enumerate(layer.weights)
            )
        ]
    )


def small_chunks(monkeypatch):
    """Makes the softmax take chunks of a few rows, as of large matrices."""
    monkeypatch.setattr(_softmax, "CHUNK_ELEMENTS", 400)
    monkeypatch.setattr(_softmax, "MIN_ROWS", 1)
    monkeypatch.setattr(_softmax, "MIN_ROWS_PER_EXAMPLE", 1)


def check_model(model, tmp_path, without_gradient=()):
    """Forward with finite values, one training step, `.keras` round trip."""
    x = normal((2, *model.input_shape[1:]))
    before = keras.ops.convert_to_numpy(model(x, training=False))
    assert before.dtype == np.float32
    assert np.isfinite(before).all()
    check_training_step(model, x, without_gradient)
    check_saving(model, x, tmp_path)  # of weights that have moved


def check_saving(model, x, tmp_path):
    """A `.keras` file gives the model back with equal outputs."""
    path = tmp_path / "model.keras"
    model.save(path)
    restored = keras.models.load_model(path)
    before, after = (
        keras.ops.convert_to_numpy(m(x, training=False))
        for m in (model, restored)
    )
    np.testing.assert_array_equal(before, after)


def check_training_step(model, x, without_gradient=()):
    """One step changes every trainable weight and leaves all finite.

    Args:
        model: on `x`.
        x: inputs.
        without_gradient: ends of the paths of weights that cannot matter, and
            therefore do not have to change.
    """
    before = [keras.ops.convert_to_numpy(w) for w in model.trainable_weights]
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
    target = normal((len(x), *model.output.shape[1:]), seed=RNG_SEED + 1)
    model.fit(x, target, batch_size=len(x), verbose=0)
    for old, weight in zip(before, model.trainable_weights, strict=True):
        new = keras.ops.convert_to_numpy(weight)
        assert np.isfinite(new).all(), weight.path
        if not weight.path.endswith(tuple(without_gradient)):
            assert (new != old).any(), weight.path


def logits_and_gradients(model, x):
    """Logits in training, and the gradient of their squares by each weight.

    Args:
        model: on `x`.
        x: inputs, a NumPy array.

    Returns:
        NumPy arrays: the logits, and a gradient a trainable weight.
    """
    run = {"tensorflow": _tensorflow_gradients, "jax": _jax_gradients}
    results = run[keras.backend.backend()](model, x)
    return [keras.ops.convert_to_numpy(result) for result in results]


def _tensorflow_gradients(model, x):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = tf.reduce_sum(logits**2)
    weights = [weight.value for weight in model.trainable_weights]
    return [logits, *tape.gradient(loss, weights)]


def _jax_gradients(model, x):
    import jax

    def loss(trainable, fixed):
        logits, _ = model.stateless_call(trainable, fixed, x, training=True)
        return (logits**2).sum(), logits

    values = (
        [variable.value for variable in variables]
        for variables in (
            model.trainable_variables,
            model.non_trainable_variables,
        )
    )
    run = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (_, logits), gradients = run(*values)
    return [logits, *gradients]


def _check_config(layer):
    config = layer.get_config()
    again = type(layer).from_config(config).get_config()
    assert again == config


def _check_unknown_shape(make, layer, x, expected, other_time):
    """Everything but the channels may be unknown when a model is built."""
    unknown = (None,) * (x.ndim - 2)
    inputs = keras.Input((*unknown, x.shape[-1]))
    model = keras.Model(inputs, make()(inputs))
    model.set_weights(layer.get_weights())
    y = keras.ops.convert_to_numpy(model(x))
    # The same float32 operations, in another order.
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    other = [size + 1 for size in x.shape[:-1]]
    other[1] = other_time or other[1]
    other = normal((*other, x.shape[-1]))
    assert tuple(model(other).shape)[:-1] == other.shape[:-1]


def _check_mixed_precision(make, layer, x, expected, policy, bits):
    half = make(dtype=policy)
    half.build(x.shape)
    half.set_weights(layer.get_weights())
    for weight in half.weights:
        assert keras.backend.standardize_dtype(weight.dtype) == "float32"
    y = half(x)
    assert keras.backend.standardize_dtype(y.dtype) == policy[len("mixed_") :]
    y = keras.ops.convert_to_numpy(keras.ops.cast(y, "float32"))
    # A few roundings to so many bits, of values up to the largest.
    bound = 8 * 2.0**-bits * np.abs(expected).max()
    np.testing.assert_allclose(y, expected, rtol=0, atol=bound)
