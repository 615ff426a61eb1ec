import keras
import numpy as np
import pytest

from nonlocal_tf.layers import BatchNormalization
from tests import harness
from tests.harness import normal
from tests.layers.blocks import tensorflow_only


def test_it_does_what_layers_do():
    harness.check_layer(BatchNormalization, (2, 3, 5, 7, 4))


def test_its_constants_are_the_papers():
    layer = BatchNormalization()
    assert (layer.momentum, layer.epsilon) == (0.9, 1e-5)


def numpy_kernel(x, gamma, beta, epsilon):
    axes = tuple(range(x.ndim - 1))
    mean = keras.ops.mean(x, axes)
    variance = keras.ops.var(x, axes)
    y = (x - mean) / keras.ops.sqrt(variance + epsilon) * gamma + beta
    return y, mean, variance


def pair(**options):
    """Two layers of the same weights, one with a kernel for training."""
    layers = BatchNormalization(**options), BatchNormalization(**options)
    for layer in layers:
        layer.build((None, 5, 4))
        harness.randomise(layer)
    layers[1].train_kernel = numpy_kernel
    return layers


def test_a_kernel_changes_neither_value_nor_statistics():
    plain, fused = pair()
    x = 3 + 2 * normal((7, 5, 4))
    expected, y = plain(x, training=True), fused(x, training=True)
    np.testing.assert_allclose(
        np.asarray(y), np.asarray(expected), rtol=1e-5, atol=1e-5
    )
    for ours, theirs in zip(fused.weights, plain.weights, strict=True):
        np.testing.assert_allclose(
            np.asarray(ours), np.asarray(theirs), rtol=1e-5, atol=1e-6
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
def test_the_kernel_is_left_alone_where_it_does_not_fit(options, training):
    _, layer = pair(**options)

    def kernel(*arguments):
        raise AssertionError("called")

    layer.train_kernel = kernel
    layer(normal((7, 5, 4)), training=training)
