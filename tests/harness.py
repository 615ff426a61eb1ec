"""What every layer and every model owes its users, as one call each."""

import keras
import numpy as np

RNG_SEED = 20180618


def normal(shape, seed=RNG_SEED, dtype="float32"):
    """Standard normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def check_layer(make, input_shape, expected_output_shape=None):
    """Runs a layer through everything that users do with layers.

    Args:
        make: function of keyword arguments (`dtype`, ...) to a new layer.
        input_shape: with batch, no None.
        expected_output_shape: default: the input's.
    """
    expected = tuple(expected_output_shape or input_shape)
    x = normal(input_shape)
    layer = make()
    y = layer(x)
    assert tuple(y.shape) == expected
    assert tuple(layer.compute_output_shape(input_shape)) == expected
    _check_config(layer)
    _check_symbolic(make, input_shape, expected)
    _check_mixed_precision(make, x)


def check_model(model, tmp_path, train=True):
    """Forward with finite values, `.keras` round trip, one training step."""
    x = normal((2, *model.input_shape[1:]))
    before = keras.ops.convert_to_numpy(model(x, training=False))
    assert before.dtype == np.float32
    assert np.isfinite(before).all()
    check_saving(model, x, tmp_path)
    if train:
        check_training_step(model, x)


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


def check_training_step(model, x):
    """One step changes every trainable weight and leaves all finite."""
    before = [keras.ops.convert_to_numpy(w) for w in model.trainable_weights]
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
    target = normal((len(x), *model.output_shape[1:]), seed=RNG_SEED + 1)
    model.fit(x, target, batch_size=len(x), verbose=0)
    for old, weight in zip(before, model.trainable_weights, strict=True):
        new = keras.ops.convert_to_numpy(weight)
        assert np.isfinite(new).all(), weight.path
        assert (new != old).any(), weight.path


def _check_config(layer):
    config = layer.get_config()
    again = type(layer).from_config(config).get_config()
    assert again == config


def _check_symbolic(make, input_shape, expected):
    """Everything but the channels may be unknown when a model is built."""
    unknown = (None,) * (len(input_shape) - 2)
    inputs = keras.Input((*unknown, input_shape[-1]))
    model = keras.Model(inputs, make()(inputs))
    assert tuple(model(normal(input_shape)).shape) == expected
    other = tuple(size + 1 for size in input_shape[:-1]) + input_shape[-1:]
    assert tuple(model(normal(other)).shape)[:-1] == other[:-1]


def _check_mixed_precision(make, x):
    layer = make(dtype="mixed_bfloat16")
    y = layer(x)
    assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"
    for weight in layer.weights:
        assert keras.backend.standardize_dtype(weight.dtype) == "float32"
