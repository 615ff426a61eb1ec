"""Checks that hold for every layer and every model, one call each."""

import keras
import numpy as np

from nonlocal_tf.ops import _causal_spans, _chunked_softmax, _softmax

RNG_SEED = 20180618


def normal(shape, seed=RNG_SEED, dtype="float32"):
    """Draw standard normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def array(tensor):
    """Return a tensor or a weight as a NumPy array.

    NumPy's own functions refuse tensors of PyTorch that have a gradient.
    """
    return keras.ops.convert_to_numpy(tensor)


def check_layer(make, input_shape, expected_output_shape=None):
    """Check shapes, config, unknown input shapes and mixed precision.

    Weights are random, so that a layer initialized as the identity computes.

    Args:
        make: function of keyword arguments (`dtype`, ...) to a new layer.
        input_shape: shape with batch, without None.
        expected_output_shape: default: `input_shape`.
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
    _check_unknown_shape(make, layer, x, y)
    _check_mixed_precision(make, layer, x, y, "mixed_bfloat16", 8)
    if keras.backend.backend() != "jax":  # which compiles for each dtype
        _check_mixed_precision(make, layer, x, y, "mixed_float16", 11)


def randomise(layer, scale=0.3):
    """Set every weight to random values; variances stay positive."""
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
    """Make the softmax use chunks of few rows, as for large matrices."""
    monkeypatch.setattr(_causal_spans, "MIN_QUERIES", 1)
    monkeypatch.setattr(_softmax, "CHUNK_ELEMENTS", 400)
    monkeypatch.setattr(_chunked_softmax, "CHUNK_ELEMENTS", 400)
    monkeypatch.setattr(_chunked_softmax, "MIN_ROWS", 1)
    monkeypatch.setattr(_chunked_softmax, "MIN_ROWS_PER_EXAMPLE", 1)


def check_model(model, tmp_path, without_gradient=()):
    """Check finite outputs, a training step and the `.keras` round trip."""
    x = normal((2, *model.input_shape[1:]))
    before = keras.ops.convert_to_numpy(model(x, training=False))
    assert before.dtype == np.float32
    assert np.isfinite(before).all()
    check_training_step(model, x, without_gradient)
    check_saving(model, x, tmp_path)  # of trained weights


def check_saving(model, x, tmp_path):
    """Check that a saved and loaded model has equal outputs."""
    path = tmp_path / "model.keras"
    model.save(path)
    restored = keras.models.load_model(path)
    before, after = (
        keras.ops.convert_to_numpy(m(x, training=False))
        for m in (model, restored)
    )
    np.testing.assert_array_equal(before, after)


def check_training_step(model, x, without_gradient=()):
    """Check that one step changes every trainable weight, to finite values.

    Args:
        model: model.
        x: inputs of the model.
        without_gradient: ends of the paths of weights with gradient zero.
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
    """Compute logits in training, and the gradient of the sum of their squares.

    Args:
        model: model.
        x: inputs of the model, a NumPy array.

    Returns:
        NumPy arrays: the logits, and the gradient of each trainable weight.
    """
    run = {
        "tensorflow": _tensorflow_gradients,
        "jax": _jax_gradients,
        "torch": _torch_gradients,
    }
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


def _torch_gradients(model, x):
    weights = [weight.value for weight in model.trainable_weights]
    for weight in weights:
        weight.grad = None
    logits = model(x, training=True)
    (logits**2).sum().backward()
    return [logits, *(weight.grad for weight in weights)]


def _check_config(layer):
    config = layer.get_config()
    assert type(layer).from_config(config).get_config() == config


def _check_unknown_shape(make, layer, x, expected):
    """Check a model whose sizes, but the channels, are unknown."""
    unknown = (None,) * (x.ndim - 2)
    inputs = keras.Input((*unknown, x.shape[-1]))
    model = keras.Model(inputs, make()(inputs))
    model.set_weights(layer.get_weights())
    y = keras.ops.convert_to_numpy(model(x))
    # The same float32 operations, in another order.
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    if keras.backend.backend() == "jax":  # compiles for every shape
        return
    larger = normal((*(size + 1 for size in x.shape[:-1]), x.shape[-1]))
    assert tuple(model(larger).shape)[:-1] == larger.shape[:-1]


def _check_mixed_precision(make, layer, x, expected, policy, bits):
    half = make(dtype=policy)
    half.build(x.shape)
    half.set_weights(layer.get_weights())
    for weight in half.weights:
        assert keras.backend.standardize_dtype(weight.dtype) == "float32"
    y = half(x)
    assert keras.backend.standardize_dtype(y.dtype) == policy[len("mixed_") :]
    y = keras.ops.convert_to_numpy(keras.ops.cast(y, "float32"))
    # A few roundings to `bits` bits of the largest value.
    bound = 8 * 2.0**-bits * np.abs(expected).max()
    np.testing.assert_allclose(y, expected, rtol=0, atol=bound)
