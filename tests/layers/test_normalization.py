import keras
import numpy as np
import pytest

from nonlocal_tf.layers import Affine, BatchNormalization
from nonlocal_tf.layers.normalization import gain_and_shift
from tests import harness
from tests.harness import array, normal, randomise
from tests.layers.blocks import tensorflow_only


def test_affine_as_a_layer():
    harness.check_layer(Affine, (2, 5, 3))


def test_affine_scales_and_shifts_each_channel():
    x = normal((2, 5, 3))
    layer = Affine()
    layer.build(x.shape)
    layer.set_weights([np.array([2.0, 3.0, 5.0]), np.array([7.0, 11.0, 13.0])])
    expected = x * [2.0, 3.0, 5.0] + [7.0, 11.0, 13.0]
    # Sums of numbers up to 13, which may cancel.
    np.testing.assert_allclose(array(layer(x)), expected, rtol=1e-6, atol=2e-6)


def test_affine_is_initialized_as_the_identity():
    x = normal((2, 5, 3))
    np.testing.assert_array_equal(array(Affine()(x)), x)


def test_affine_gradients_do_not_overflow_float16():
    # Sums of ones stop at 2048 in float16.
    inputs = keras.Input((7000, 2))
    layer = Affine(dtype="mixed_float16")
    model = keras.Model(inputs, layer(inputs))
    sgd = keras.optimizers.SGD(1.0)
    model.compile(sgd, "mean_absolute_error", jit_compile=False)
    # |0 x 1 + 0 - (-1)|: the gradient of the mean is one of beta's 7000 x 2.
    layer.set_weights([np.zeros(2), np.zeros(2)])
    x = np.ones((1, 7000, 2), "float16")
    model.train_on_batch(x, -x)
    weights = [keras.ops.convert_to_numpy(w) for w in layer.weights]
    np.testing.assert_allclose(weights, -0.5 * np.ones((2, 2)), rtol=1e-2)


def test_frozen_affine_is_never_trained():
    layer = Affine(frozen=True)
    layer.build((None, 5))
    layer.trainable = True
    assert layer.trainable_weights == []
    assert len(layer.weights) == 2
    assert Affine.from_config(layer.get_config()).frozen


def test_gain_and_shift_equal_the_normalization():
    x = normal((3, 7, 5))
    for layer in (
        Affine(),
        keras.layers.BatchNormalization(),
        keras.layers.BatchNormalization(scale=False, center=False),
    ):
        layer.build(x.shape)
        randomise(layer)
        gain, shift = gain_and_shift(layer)
        np.testing.assert_allclose(
            gain * x + shift, array(layer(x)), rtol=1e-5, atol=1e-6
        )


def test_batch_normalization_as_a_layer():
    harness.check_layer(BatchNormalization, (2, 3, 5, 7, 4))


def test_constants_of_the_paper():
    layer = BatchNormalization()
    assert (layer.momentum, layer.epsilon) == (0.9, 1e-5)


def numpy_kernel(x, gamma, beta, epsilon):
    axes = tuple(range(x.ndim - 1))
    mean = keras.ops.mean(x, axes)
    variance = keras.ops.var(x, axes)
    y = (x - mean) / keras.ops.sqrt(variance + epsilon) * gamma + beta
    return y, mean, variance


def pair(**options):
    """Build two layers of equal weights, the second with a kernel."""
    layers = BatchNormalization(**options), BatchNormalization(**options)
    for layer in layers:
        layer.build((None, 5, 4))
        harness.randomise(layer)
    layers[1].train_kernel = numpy_kernel
    return layers


def test_train_kernel_has_equal_values_and_statistics():
    plain, fused = pair()
    x = 3 + 2 * normal((7, 5, 4))
    expected, y = plain(x, training=True), fused(x, training=True)
    np.testing.assert_allclose(array(y), array(expected), rtol=1e-5, atol=1e-5)
    for actual, expected in zip(fused.weights, plain.weights, strict=True):
        np.testing.assert_allclose(
            array(actual), array(expected), rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize(
    ("options", "training"),
    [
        ({}, False),
        pytest.param({"synchronized": True}, True, marks=tensorflow_only),
        ({"trainable": False}, True),
        ({"center": False}, True),
        ({"scale": False}, True),
        ({"axis": 1}, True),
    ],
)
def test_train_kernel_is_not_used_where_unsupported(options, training):
    _, layer = pair(**options)

    def kernel(*arguments):
        raise AssertionError("called")

    layer.train_kernel = kernel
    layer(normal((7, 5, 4)), training=training)
