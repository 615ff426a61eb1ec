"""Weights for a folder of videos: a network that knows motion and shapes.

    nonlocal-tf train --recipe made_motion --workdir runs/made_motion

It is trained on clips that are drawn as they are needed
(`training/data/made_motion.py`), and its weights are in the package, as
`weights="made_motion"`; `finetune` starts from them.
"""

import dataclasses

from .schema import (
    ModelConfig,
    OptimizerConfig,
    Recipe,
    TrainingConfig,
    register_recipe,
)


@register_recipe
def made_motion() -> Recipe:
    """The network of `finetune`, on properties of generated clips.

    Averaged weights, as the run ends once: no epoch is chosen on validation.
    """
    return Recipe(
        name="made_motion",
        description="a small network on motion, shape and order of events",
        dataset="made_motion",
        model=ModelConfig("i3d_strided_nl1_small"),
        optimizer=OptimizerConfig(base_lr=3e-3, warmup_steps=200),
        batch=16,
        steps=6400,
        epoch_steps=640,
        training=TrainingConfig(ema_decay=0.998, precise_bn_batches=20),
    )


@register_recipe
def made_motion_small() -> Recipe:
    """The same for a network of short clips of small frames."""
    whole = made_motion()
    return dataclasses.replace(
        whole,
        name="made_motion_small",
        description="the same for clips of 8 frames of 56 x 56",
        dataset="made_motion_small",
        model=ModelConfig("i3d_nl1_small"),
        batch=32,
        steps=3200,
        epoch_steps=400,
    )
