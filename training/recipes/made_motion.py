"""Weights for a folder of videos: a network that knows motion and shapes.

    nonlocal-tf train --recipe made_motion --workdir runs/made_motion
    nonlocal-tf train --recipe made_shapes --workdir runs/made_shapes \\
        --set model.weights=runs/made_motion
    nonlocal-tf train --recipe made_motion_and_shapes --workdir runs/both \\
        --set model.weights=runs/made_shapes
    nonlocal-tf publish published/made_motion --workdir runs/both

It is trained on clips that are drawn as they are needed
(`training/data/made_motion.py`), and its weights are in the package, as
`weights="made_motion"`; `finetune` starts from them. After the first run the
network knew motion, speed, size and colour well, events in part, and shapes
not at all (a precision of 0.16 where chance is 0.09). Shapes alone, larger and
in short clips, are learnt after some 600 steps; the last run puts both
together. Two hours in all, on two CPU cores.
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
def made_shapes() -> Recipe:
    """The same network on shapes alone."""
    return Recipe(
        name="made_shapes",
        description="the network of made_motion, on shapes",
        dataset="made_shapes",
        model=ModelConfig("i3d_strided_nl1_small", start="other clips"),
        optimizer=OptimizerConfig(base_lr=2e-3, warmup_steps=50),
        batch=32,
        steps=2000,
        epoch_steps=500,
    )


@register_recipe
def made_motion_and_shapes() -> Recipe:
    """The network of made_shapes, on all properties again."""
    return dataclasses.replace(
        made_motion(),
        name="made_motion_and_shapes",
        description="the network of made_shapes, on motion again",
        model=ModelConfig("i3d_strided_nl1_small", start="other clips"),
        optimizer=OptimizerConfig(base_lr=2e-3, warmup_steps=50),
        steps=2000,
        epoch_steps=500,
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
