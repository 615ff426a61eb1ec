"""The training step on one device; on several: test_same_weights.py."""

import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from nonlocal_tf.models import small_convnet
from nonlocal_tf.models.backbones import ConvNetConfig
from tests.harness import normal
from tests.training.loop.linear_trainer import (
    BATCH,
    CLASSES,
    FEATURES,
    LABELS,
    X,
    make,
)
from training.loop.train_step import Signals
from training.loop.trainer import Trainer

# One step of float32 against float64.
TOLERANCE = {"rtol": 0, "atol": 1e-6}


def step(trainer, weights=None, steps=1):
    """The weights before and after."""
    before = [np.asarray(v, "float64") for v in trainer.trainable_variables]
    arrays = (X, LABELS) if weights is None else (X, LABELS, weights)
    batches = tf.data.Dataset.from_tensors(arrays).repeat(steps)
    logs = trainer.fit(batches, shuffle=False, verbose=0).history
    after = [np.asarray(v, "float64") for v in trainer.trainable_variables]
    return before, after, logs


def gradients(kernel, bias, weights):
    """Gradients of the weighted mean cross-entropy, in float64."""
    logits = X.astype("float64") @ kernel + bias
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    error = (p - np.eye(CLASSES)[LABELS]) * (weights / weights.sum())[:, None]
    return [X.T @ error, error.sum(axis=0)]


def test_a_step_is_that_of_the_mean_loss():
    before, after, _ = step(make())
    expected = gradients(*before, np.ones(BATCH))
    for old, new, gradient in zip(before, after, expected, strict=True):
        np.testing.assert_allclose(new, old - gradient, **TOLERANCE)


@pytest.mark.parametrize("parts", [2, 3])
def test_parts_of_a_batch_are_as_the_whole(parts):
    trainer = make(micro_batches=parts)
    weights = np.array([1, 0, 0, 0, 0.5, 2], "float32")
    before, after, _ = step(trainer, weights)
    expected = gradients(*before, weights)
    for old, new, gradient in zip(before, after, expected, strict=True):
        np.testing.assert_allclose(new, old - gradient, **TOLERANCE)


def test_an_example_without_weight_counts_nowhere():
    trainer = make()
    weights = np.array([1, 1, 0, 1, 0, 1], "float32")
    (kernel, bias), _, logs = step(trainer, weights)
    logits = X @ kernel + bias
    kept = weights > 0
    right = (logits.argmax(axis=1) == LABELS)[kept].mean()
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    loss = -log_p[np.arange(BATCH), LABELS][kept].mean()
    assert logs["accuracy"] == [pytest.approx(right)]
    assert logs["loss"] == [pytest.approx(loss, rel=1e-5)]


@pytest.mark.parametrize("parts", [1, 3])
def test_classes_have_weights_in_the_loss_alone(parts):
    of_class = np.linspace(0.5, 2, CLASSES)
    trainer = make(micro_batches=parts, class_weights=of_class)
    weights = np.array([1, 0, 1, 1, 0.5, 2], "float32")
    before, after, logs = step(trainer, weights)
    expected = gradients(*before, weights * of_class[LABELS])
    for old, new, gradient in zip(before, after, expected, strict=True):
        np.testing.assert_allclose(new, old - gradient, **TOLERANCE)
    right = (X @ before[0] + before[1]).argmax(axis=1) == LABELS
    accuracy = (right * weights).sum() / weights.sum()
    assert logs["accuracy"] == [pytest.approx(accuracy)]


def test_a_mixture_of_two_classes_has_the_gradients_of_both():
    of_class = np.linspace(0.5, 2, CLASSES)
    trainer = make(class_weights=of_class)
    labels = 0.75 * np.eye(CLASSES)[LABELS]
    labels += 0.25 * np.eye(CLASSES)[LABELS[::-1]]
    before = [np.asarray(v, "float64") for v in trainer.trainable_variables]
    batches = tf.data.Dataset.from_tensors((X, labels.astype("float32")))
    trainer.fit(batches, shuffle=False, verbose=0)
    logits = X.astype("float64") @ before[0] + before[1]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    weights = labels @ of_class
    error = (p - labels) * (weights / weights.sum())[:, None]
    expected = [X.T @ error, error.sum(axis=0)]
    for new, old, gradient in zip(
        trainer.trainable_variables, before, expected, strict=True
    ):
        np.testing.assert_allclose(new, old - gradient, **TOLERANCE)


def test_a_batch_of_bad_examples_changes_nothing():
    before, after, logs = step(make(), np.zeros(BATCH, "float32"))
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    assert logs["loss"] == [0.0]


@pytest.mark.parametrize("limit", [1e-3, 1e3])
def test_gradients_are_clipped_by_the_norm_of_all(limit):
    before, after, _ = step(make(clip_norm=limit))
    expected = gradients(*before, np.ones(BATCH))
    norm = np.sqrt(sum((gradient**2).sum() for gradient in expected))
    factor = min(1.0, limit / norm)
    for old, new, gradient in zip(before, after, expected, strict=True):
        np.testing.assert_allclose(new, old - factor * gradient, **TOLERANCE)


def test_the_moving_average_follows_the_weights():
    trainer = make(ema_decay=0.75)
    average = [np.asarray(v, "float64") for v in trainer.average.variables]
    for _ in range(3):
        _, after, _ = step(trainer)
        average = [
            0.75 * old + 0.25 * new
            for old, new in zip(average, after, strict=True)
        ]
    for got, expected in zip(trainer.average.variables, average, strict=True):
        np.testing.assert_allclose(got, expected, **TOLERANCE)


def test_a_validation_loss_is_not_smoothed():
    trainer = make(label_smoothing=0.3)
    kernel, bias = (np.asarray(v) for v in trainer.trainable_variables)
    logits = X.astype("float64") @ kernel + bias
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    loss, _ = trainer.evaluate(X, LABELS, batch_size=4, verbose=0)
    expected = -log_p[np.arange(BATCH), LABELS].mean()
    assert loss == pytest.approx(expected, rel=1e-5)


def test_swapping_twice_leaves_everything_as_it_was():
    trainer = make(ema_decay=0.75)
    _, after, _ = step(trainer)
    average = [v.numpy() for v in trainer.average.variables]
    trainer.average.swap()
    for own, expected in zip(trainer.trainable_variables, average, strict=True):
        np.testing.assert_array_equal(own, expected)
    trainer.average.swap()
    for own, expected in zip(trainer.trainable_variables, after, strict=True):
        np.testing.assert_array_equal(own, expected)


def test_a_compiled_step_is_the_same():
    plain, compiled = make(bias=False), make(bias=False, jit_compile=True)
    compiled.set_weights(plain.get_weights())
    for actual, other in zip(step(plain)[1], step(compiled)[1], strict=True):
        np.testing.assert_allclose(actual, other, **TOLERANCE)


def test_time_spent_waiting_for_data_is_counted():
    def wait(x):
        time.sleep(0.2)
        return x

    def slow(x, labels):
        x = tf.ensure_shape(tf.py_function(wait, [x], tf.float32), X.shape)
        return x, labels

    trainer = make()
    batches = tf.data.Dataset.from_tensors((X, LABELS)).repeat(3).map(slow)
    trainer.fit(batches, shuffle=False, verbose=0)
    assert 0.4 < trainer.waited_s < 30


def test_a_trainer_has_the_variables_of_its_model():
    inputs = keras.Input((FEATURES,))
    x = keras.layers.BatchNormalization()(inputs)
    x = keras.layers.Dropout(0.5)(keras.layers.Dense(CLASSES)(x))
    model = keras.Model(inputs, x)
    trainer = Trainer(model, Signals(), ema_decay=0.5)
    for actual, other in zip(trainer.variables, model.variables, strict=True):
        assert actual is other


def test_asking_to_stop_is_seen():
    trainer = make()
    assert not trainer.stopping
    trainer.ask_to_stop()
    assert trainer.stopping


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_losses_and_weights_are_float32_under_mixed_precision(precision):
    keras.config.set_dtype_policy(precision)
    try:
        trainer = make()
    finally:
        keras.config.set_dtype_policy("float32")
    optimizer = keras.optimizers.SGD(1.0)
    if precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(
            optimizer, initial_scale=2.0**10
        )
    trainer.compile(optimizer, trainer.loss, jit_compile=False)
    before, after, _ = step(trainer)
    expected = gradients(*before, np.ones(BATCH))
    for old, new, gradient in zip(before, after, expected, strict=True):
        # Half precision has three digits, and x and weights are rounded.
        np.testing.assert_allclose(new, old - gradient, rtol=0, atol=0.02)
    assert {str(v.dtype) for v in trainer.trainable_variables} == {"float32"}


def test_float16_gradients_that_overflow_change_no_weight():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        trainer = make()
    finally:
        keras.config.set_dtype_policy("float32")
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(1.0), initial_scale=2.0**40
    )
    trainer.compile(optimizer, trainer.loss, jit_compile=False)
    before, after, _ = step(trainer)
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    assert float(optimizer.dynamic_scale) == 2.0**39


def test_a_step_with_gradient_checkpointing_is_the_same():
    config = ConvNetConfig((5,), ((3,),), (1,))
    x = normal((BATCH, 2, 6, 7, 3))
    weights, counts = [], []
    for is_checkpointed in (False, True):
        keras.utils.set_random_seed(1)
        model = small_convnet.clip_convnet(
            config,
            num_classes=CLASSES,
            clip_shape=x.shape[1:],
            gradient_checkpointing=is_checkpointed,
        )
        conv = model.get_layer("stage1_conv1")
        call = conv.call
        calls = []
        conv.call = lambda x, add=calls.append, call=call: add(1) or call(x)
        trainer = Trainer(model, Signals())
        trainer.compile(
            keras.optimizers.SGD(1.0), make().loss, jit_compile=False
        )
        batches = tf.data.Dataset.from_tensors((x, LABELS))
        trainer.fit(batches, shuffle=False, verbose=0)
        weights.append(trainer.get_weights())
        counts.append(len(calls))
    assert counts[1] == counts[0] + 1
    for plain, other in zip(*weights, strict=True):
        np.testing.assert_allclose(plain, other, **TOLERANCE)
