import keras
import numpy as np
import pytest
import tensorflow as tf

from nonlocal_tf.layers import BatchNormalization
from training.loop.fused_batch_norm import use_fused_batch_norm
from training.loop.precise_bn import BatchNormStatistics

CHANNELS = 3
RNG = np.random.default_rng(2)
# Batches of unequal means, so that the mean of variances is not enough.
BATCHES = [
    (RNG.standard_normal((4, 5, 2, CHANNELS)) + shift).astype("float32")
    for shift in (-3.0, 0.5, 2.0)
]


def make(layer, fused):
    inputs = keras.Input((5, 2, CHANNELS))
    model = keras.Model(inputs, layer(inputs))
    if fused:
        use_fused_batch_norm(model)
    return model


def data():
    for batch in BATCHES:
        yield tf.constant(batch), tf.zeros(len(batch))


def test_what_is_no_number_is_replaced():
    layer = BatchNormalization()
    model = make(layer, fused=False)
    layer.moving_variance.assign([np.inf, np.nan, 1.0])
    BatchNormStatistics(model)(data())
    assert np.isfinite(layer.moving_variance).all()


@pytest.mark.parametrize("fused", [False, True])
def test_statistics_are_those_of_all_batches_together(fused):
    layer = BatchNormalization()
    model = make(layer, fused)
    BatchNormStatistics(model)(data())
    whole = np.concatenate(BATCHES).reshape(-1, CHANNELS).astype("float64")
    # float32 sums of forty numbers.
    np.testing.assert_allclose(layer.moving_mean, whole.mean(0), atol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, whole.var(0), rtol=1e-5)


def test_training_goes_on_as_before():
    layer = BatchNormalization()
    model = make(layer, fused=True)
    kernel = layer.train_kernel
    weights = layer.gamma.numpy(), layer.beta.numpy()
    BatchNormStatistics(model)(data())
    assert (layer.momentum, layer.train_kernel) == (0.9, kernel)
    np.testing.assert_array_equal(layer.gamma, weights[0])
    np.testing.assert_array_equal(layer.beta, weights[1])


def test_a_layer_that_is_not_trained_keeps_its_statistics():
    layer = BatchNormalization()
    layer.trainable = False
    BatchNormStatistics(make(layer, fused=False))(data())
    np.testing.assert_array_equal(layer.moving_mean, np.zeros(CHANNELS))
