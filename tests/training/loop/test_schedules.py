"""The learning rate of every step, against plain arithmetic in float64."""

import math

import keras
import numpy as np
import pytest

from training.loop import schedules
from training.loop.optimizers import OptimizerConfig

# A rate is a few operations of float32, each right to 6e-8 of its value.
ROUNDING = {"rtol": 1e-6}


def schedule(steps=20, batch=32, **optimizer):
    return schedules.learning_rate(OptimizerConfig(**optimizer), batch, steps)


def rates(rate, steps):
    return np.array([float(rate(step)) for step in steps])


def test_cosine_is_keras_own_after_a_warmup():
    a = schedule(30, base_lr=3e-3, warmup_steps=7)
    keras_own = keras.optimizers.schedules.CosineDecay(
        0.0, 23, warmup_target=3e-3, warmup_steps=7
    )
    expected = [float(keras_own(step)) for step in range(31)]
    np.testing.assert_array_equal(rates(a, range(31)), expected)


def test_cosine_without_a_warmup_starts_at_base_lr():
    a = schedule(30, base_lr=3e-3)
    expected = [1.5e-3 * (1 + math.cos(math.pi * s / 30)) for s in range(30)]
    # Keras takes the cosine, which loses digits where it comes near to -1.
    np.testing.assert_allclose(rates(a, range(30)), expected, atol=1e-9)


def test_cosine_rises_from_the_warmup_rate():
    a = schedule(30, base_lr=0.5, warmup_steps=4, warmup_lr=0.1)
    np.testing.assert_allclose(
        rates(a, range(5)), [0.1, 0.2, 0.3, 0.4, 0.5], **ROUNDING
    )


def test_a_drop_is_at_its_step_to_the_step():
    drops = (150_000, 300_000, 599_999)
    a = schedule(600_000, base_lr=0.01, schedule="steps", drops_at_steps=drops)
    steps = [0, 149_999, 150_000, 299_999, 300_000, 599_998, 599_999]
    expected = [1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4, 1e-5]
    np.testing.assert_allclose(rates(a, steps), expected, **ROUNDING)


def test_drops_take_the_factor_and_come_after_the_warmup():
    a = schedule(
        base_lr=0.8,
        schedule="steps",
        drops_at_steps=(5, 9),
        drop_factor=0.5,
        warmup_steps=3,
        warmup_lr=0.2,
    )
    expected = [0.2, 0.4, 0.6, 0.8, 0.8, 0.4, 0.4, 0.4, 0.4, 0.2, 0.2]
    np.testing.assert_allclose(rates(a, range(11)), expected, **ROUNDING)


def test_constant_stays():
    a = schedule(base_lr=0.3, schedule="constant", warmup_steps=2)
    expected = [0, 0.15, 0.3, 0.3]
    np.testing.assert_allclose(rates(a, [0, 1, 2, 19]), expected, **ROUNDING)


def test_cosine_throughout_runs_from_step_0_under_the_warmup():
    a = schedule(
        base_lr=0.1,
        schedule="cosine_throughout",
        warmup_steps=6,
        warmup_lr=0.01,
    )
    cosine = [0.05 * (1 + math.cos(math.pi * s / 20)) for s in range(21)]
    rise = [0.01 + s * (cosine[6] - 0.01) / 6 for s in range(6)]
    np.testing.assert_allclose(
        rates(a, range(21)), rise + cosine[6:], atol=1e-16, **ROUNDING
    )


def test_a_late_rate_of_a_long_cosine_keeps_its_digits():
    steps = 600_000
    a = schedule(steps, base_lr=0.1, schedule="cosine_throughout")
    expected = 0.1 * math.sin(math.pi / 2 / steps) ** 2
    np.testing.assert_allclose(rates(a, [steps - 1]), expected, **ROUNDING)


@pytest.mark.parametrize("name", ["constant", "steps", "cosine_throughout"])
def test_a_schedule_survives_json(name):
    drops = (4,) if name == "steps" else ()
    a = schedule(
        base_lr=0.7, schedule=name, drops_at_steps=drops, warmup_steps=3
    )
    read = keras.optimizers.schedules.deserialize(
        keras.optimizers.schedules.serialize(a)
    )
    assert [float(read(s)) for s in range(9)] == list(rates(a, range(9)))


def test_scaling_follows_the_batch():
    config = OptimizerConfig(
        base_lr=0.01,
        warmup_lr=0.001,
        warmup_steps=2,
        schedule="constant",
        lr_batch=64,
        scale_lr=True,
    )
    assert schedules.base_lr(config, batch=8) == 0.00125
    rate = schedules.learning_rate(config, batch=8, steps=20)
    expected = [0.000125, 0.0006875, 0.00125]
    np.testing.assert_allclose(rates(rate, range(3)), expected, **ROUNDING)
    assert "scaled to 0.00125" in schedules.scaling_note(config, batch=8)


def test_without_scaling_the_rate_stays_and_a_note_says_what_it_would_be():
    config = OptimizerConfig(base_lr=0.01, lr_batch=64)
    assert schedules.base_lr(config, batch=16) == 0.01
    note = schedules.scaling_note(config, batch=16)
    assert "linear rule gives 0.0025" in note and "\n" not in note
    assert "--set optimizer.scale_lr=True" in note


@pytest.mark.parametrize("lr_batch", [None, 32])
def test_a_rate_for_this_batch_needs_no_note(lr_batch):
    config = OptimizerConfig(base_lr=1, lr_batch=lr_batch)
    assert not schedules.scaling_note(config, batch=32)
