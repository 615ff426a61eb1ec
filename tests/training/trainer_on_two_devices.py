"""A trainer on two devices with unequal data; see test_devices.py."""

import keras
import numpy as np
import tensorflow as tf

from nonlocal_tf.layers import BatchNormalization
from tests.training.loop.step_graph import ancestors, operations
from training.loop.fused_batch_norm import use_fused_batch_norm
from training.loop.precise_bn import BatchNormStatistics
from training.loop.train_step import Signals
from training.loop.trainer import Trainer

RNG = np.random.default_rng(3)
# The first device gets the first half.
X = np.concatenate(
    [RNG.standard_normal((4, 5)) - 3, 2 * RNG.standard_normal((4, 5)) + 3]
).astype("float32")
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1])


def make(strategy, layer, optimizer, **settings):
    """Build a trainer of a layer and a classifier."""
    signals = Signals()
    with strategy.scope():
        inputs = keras.Input((5,))
        x = keras.layers.Dense(3)(layer()(inputs))
        model = Trainer(keras.Model(inputs, x), signals, **settings)
        use_fused_batch_norm(model)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer(), loss, jit_compile=False)
        model.optimizer.build(model.trainable_variables)
    return model


def batches(x=X):
    return tf.data.Dataset.from_tensors((x, LABELS))


def of_each_device(strategy, variable):
    return [
        v.numpy() for v in strategy.experimental_local_results(variable.value)
    ]


def identity():
    return keras.layers.Rescaling(1.0)


def mean_gradients(kernel, bias, weights):
    """Return gradients of the weighted mean cross-entropy, in float64."""
    logits = X.astype("float64") @ kernel + bias
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    error = (p - np.eye(3)[LABELS]) * (weights / weights.sum())[:, None]
    return [X.T @ error, error.sum(axis=0)]


def steps(strategy):
    """Check that a step uses the clipped mean gradient of all devices."""
    weights = np.array([1, 0, 0, 0, 0.5, 2, 1, 1], "float32")
    data = tf.data.Dataset.from_tensors((X, LABELS, weights))
    for limit in (None, 0.01):
        model = make(
            strategy,
            identity,
            lambda: keras.optimizers.SGD(0.1),
            clip_norm=limit,
        )
        before = [np.asarray(v, "float64") for v in model.trainable_variables]
        model.fit(data, shuffle=False, verbose=0)
        gradients = mean_gradients(*before, weights)
        norm = np.sqrt(sum((gradient**2).sum() for gradient in gradients))
        assert norm > 0.1
        factor = 0.1 * (limit / norm if limit else 1.0)
        for old, gradient, variable in zip(
            before, gradients, model.trainable_variables, strict=True
        ):
            # Float32 compared with float64; steps are 1e-3 or more.
            np.testing.assert_allclose(
                np.asarray(variable), old - factor * gradient, atol=1e-6
            )


def statistics(strategy):
    """Check that statistics cover the examples of both devices."""
    model = make(
        strategy, BatchNormalization, lambda: keras.optimizers.SGD(0.1)
    )
    layer = model.layers[1]
    model.fit(batches(), shuffle=False, verbose=0)
    # A tenth of the mean over devices of their batch means.
    expected = 0.1 * (X[:4].mean(0) + X[4:].mean(0)) / 2
    for mean in of_each_device(strategy, layer.moving_mean):
        np.testing.assert_allclose(mean, expected, atol=1e-6)
    expected = 0.9 + 0.1 * (X[:4].var(0) + X[4:].var(0)) / 2
    for variance in of_each_device(strategy, layer.moving_variance):
        np.testing.assert_allclose(variance, expected, rtol=1e-5)
    data = strategy.experimental_distribute_dataset(batches())
    count, products = operations(model, data)
    assert len({product.device for product in products}) == 2
    for product in products:
        assert count in ancestors(product), product
    BatchNormStatistics(model)(data)
    for mean in of_each_device(strategy, layer.moving_mean):
        np.testing.assert_allclose(mean, X.mean(0), atol=1e-5)
    for variance in of_each_device(strategy, layer.moving_variance):
        np.testing.assert_allclose(variance, X.var(0), rtol=1e-5)


def overflow(strategy):
    """Check that a NaN gradient on the second device alone is skipped."""
    model = make(
        strategy,
        identity,
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)),
    )
    before = model.get_weights()
    bad = X.copy()
    bad[-1] = np.inf
    model.fit(batches(bad), shuffle=False, verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    model.fit(batches(), shuffle=False, verbose=0)
    assert any(
        (old != new).any()
        for old, new in zip(before, model.get_weights(), strict=True)
    )


def check(strategy, folder):
    for case in (steps, statistics, overflow):
        case(strategy)
