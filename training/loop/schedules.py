"""The learning rate, step by step."""

import dataclasses
import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from .optimizers import OptimizerConfig


def learning_rate(
    config: OptimizerConfig, batch: int, steps: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Learning rate of each update, counted from 0.

    Args:
        config: of the optimizer.
        batch: examples per step, for `scale_lr`.
        steps: of training.
    """
    factor = _factor(config, batch)
    base, warmup_lr = factor * config.base_lr, factor * config.warmup_lr
    warmup = config.warmup_steps
    if config.schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=warmup_lr if warmup else base,
            decay_steps=steps - warmup,
            warmup_target=base if warmup else None,
            warmup_steps=warmup,
        )
    return Schedule(
        config.schedule,
        base,
        steps,
        config.drops_at_steps,
        config.drop_factor,
        warmup,
        warmup_lr,
    )


def base_lr(config: OptimizerConfig, batch: int) -> float:
    """Base learning rate after scaling to the batch."""
    return _factor(config, batch) * config.base_lr


def scaling_note(config: OptimizerConfig, batch: int) -> str:
    """Note on a batch that the learning rate is not meant for.

    Returns:
        A line; "" if the batch is that of the rate.
    """
    if config.lr_batch in (None, batch):
        return ""
    meant = f"base_lr={config.base_lr:g} is meant for batch={config.lr_batch}"
    if config.scale_lr:
        return (
            f"{meant}; with batch={batch} it was scaled to "
            f"{base_lr(config, batch):g} (Goyal et al.'s linear rule)"
        )
    linear = config.base_lr * batch / config.lr_batch
    return (
        f"{meant}; for batch={batch} Goyal et al.'s linear rule gives "
        f"{linear:g}: --set optimizer.scale_lr=True"
    )


def _factor(config: OptimizerConfig, batch: int) -> float:
    if not config.scale_lr or config.lr_batch is None:
        return 1.0
    return batch / config.lr_batch


@keras.saving.register_keras_serializable("training")
@dataclasses.dataclass(eq=False)
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that falls by a rule, after a linear warm-up to that rule's.

    Args:
        rule: of `RULES`.
        base_lr: what the rule starts from.
        total_steps: of training.
        drops_at_steps: the steps that are the first with a lower rate, for
            the rule "steps".
        drop_factor: what the rate is multiplied by at each.
        warmup_steps: in which the rate rises to the rule's at their end.
        warmup_lr: the rate of step 0, if there is a warm-up.

    Call arguments:
        step: index of the update, from 0.

    Returns:
        A scalar, float32.
    """

    rule: str
    base_lr: float
    total_steps: int
    drops_at_steps: Sequence[int] = ()
    drop_factor: float = 0.1
    warmup_steps: int = 0
    warmup_lr: float = 0.0

    def __call__(self, step):
        step = ops.cast(step, "int32")
        rate = RULES[self.rule](self, step)
        if not self.warmup_steps:
            return rate
        warmup_end = RULES[self.rule](
            self, ops.cast(self.warmup_steps, "int32")
        )
        # Steps below 2**24 are exact in float32.
        share = ops.cast(step, "float32") / self.warmup_steps
        rising = self.warmup_lr + (warmup_end - self.warmup_lr) * share
        return ops.where(step < self.warmup_steps, rising, rate)

    def get_config(self):
        return vars(self) | {"drops_at_steps": list(self.drops_at_steps)}


def _constant(schedule, step):
    return ops.cast(schedule.base_lr, "float32")


def _steps(schedule, step):
    drops = np.array(schedule.drops_at_steps, "int32")
    rates = schedule.base_lr * np.power(
        float(schedule.drop_factor), np.arange(len(drops) + 1)
    )
    # From a table, so that no power is taken in float32.
    past = ops.sum(ops.cast(step >= drops, "int32"))
    return ops.take(ops.convert_to_tensor(rates, "float32"), past)


def _cosine_throughout(schedule, step):
    # (1 + cos(pi s / S)) / 2 is sin(pi (S - s) / 2 S)**2, which keeps its
    # digits in float32 where the cosine comes near to -1.
    steps_left = ops.maximum(schedule.total_steps - step, 0)
    angle = ops.cast(steps_left, "float32") * (
        math.pi / 2 / schedule.total_steps
    )
    return schedule.base_lr * ops.square(ops.sin(angle))


RULES = {
    "constant": _constant,
    "steps": _steps,
    "cosine_throughout": _cosine_throughout,
}
