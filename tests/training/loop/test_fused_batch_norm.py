import keras
import numpy as np
import pytest
import tensorflow as tf

from nonlocal_tf.layers import BatchNormalization
from tests import harness
from tests.harness import normal
from tests.models.tiny import tiny
from training.loop.fused_batch_norm import (
    fused_batch_norm,
    use_fused_batch_norm,
)


def plain(x, gamma, beta, epsilon):
    """By the definition, in float64."""
    x = x.astype("float64")
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axes), x.var(axes)
    y = (x - mean) / np.sqrt(variance + epsilon) * gamma + beta
    return y, mean, variance


@pytest.mark.parametrize("shape", [(7, 3), (2, 5, 3), (2, 4, 5, 6, 3)])
def test_it_is_what_its_definition_says(shape):
    x = 2 + 3 * normal(shape)
    gamma, beta = normal((3,), 1), normal((3,), 2)
    results = fused_batch_norm(tf.constant(x), gamma, beta, 1e-5)
    for y, expected in zip(results, plain(x, gamma, beta, 1e-5), strict=True):
        assert y.shape == expected.shape
        # float32 sums of up to 240 numbers of size 5.
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_half_precision_is_rounded_at_the_end_alone():
    x = tf.constant(normal((2, 5, 4, 3)), tf.bfloat16)
    gamma, beta = np.ones(3, "float32"), np.zeros(3, "float32")
    y, mean, variance = fused_batch_norm(x, gamma, beta, 1e-5)
    expected = plain(np.asarray(x, "float32"), gamma, beta, 1e-5)
    assert (y.dtype, mean.dtype, variance.dtype) == (
        tf.bfloat16,
        tf.float32,
        tf.float32,
    )
    bound = 2**-8 * np.abs(expected[0]).max()
    np.testing.assert_allclose(
        np.asarray(y, "float32"), expected[0], atol=bound
    )


def gradients(layer, x, dy):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
    sources = [x, *(v.value for v in layer.trainable_variables)]
    return tape.gradient(y, sources, output_gradients=dy)


def test_gradients_are_those_of_keras():
    x, dy = tf.constant(1 + normal((2, 4, 5, 3))), normal((2, 4, 5, 3), 1)
    theirs, ours = BatchNormalization(), BatchNormalization()
    for layer in (theirs, ours):
        layer.build(x.shape)
        harness.randomise(layer)
    ours.train_kernel = fused_batch_norm
    for g, expected in zip(
        gradients(ours, x, dy), gradients(theirs, x, dy), strict=True
    ):
        np.testing.assert_allclose(g, expected, rtol=1e-4, atol=1e-5)


def test_every_normalisation_of_a_network_is_found():
    model = tiny("i3d_nl5_r50")
    # 53 convolutions and five blocks.
    assert use_fused_batch_norm(model) == 58
    assert use_fused_batch_norm(keras.Sequential([model])) == 58
    assert use_fused_batch_norm(tiny("c2d_r50", norm="affine")) == 0


def test_a_network_has_the_same_gradients():
    shape = (4, 32, 32, 3)
    models = [
        tiny("c2d_nl1_r50", clip_shape=shape, dropout=0.0) for _ in range(2)
    ]
    models[1].set_weights(models[0].get_weights())
    use_fused_batch_norm(models[1])
    x = normal((4, *shape))
    theirs, ours = (harness.logits_and_gradients(m, x) for m in models)
    for y, expected in zip(ours, theirs, strict=True):
        # Through fifty layers; a gradient is of the size of its largest.
        bound = 1e-3 * np.abs(expected).max() + 1e-6
        np.testing.assert_allclose(y, expected, rtol=0, atol=bound)
