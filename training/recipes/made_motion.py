"""Weights for a folder of videos: a network that knows motion.

    nonlocal-tf train --recipe made_motion --workdir runs/made_motion
    nonlocal-tf publish published/made_motion --workdir runs/made_motion

It is trained on clips that are drawn as they are needed, in an hour on two CPU
cores: `training/data/made_motion.py`. Its weights are in the package, as
`weights="made_motion"`: any recipe of the network starts from them with
`--set "model.start=made motion"`.

Mean average precision on the 512 clips of its test, and of chance: motion 0.91
(0.08), speed 0.99 (0.53), size 0.95 (0.49), colour 0.99 (0.13), the first event
0.47 (0.07), the second 0.41 (0.06), and the shape hardly: 0.15 (0.08). Shapes
alone, larger and in clips of 4 frames, were learnt from there in 2,000 steps of
32 (57.6 % of 12), but 2,000 steps on all properties after that ended at 0.59 of
all, where the first run had 0.62 (recipes of commit eb153df).
"""

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
        description="a small network, on properties of generated clips",
        dataset="made_motion",
        model=ModelConfig("i3d_strided_nl1_small"),
        optimizer=OptimizerConfig(base_lr=3e-3, warmup_steps=200),
        batch=16,
        steps=6400,
        epoch_steps=640,
        training=TrainingConfig(ema_decay=0.998, precise_bn_batches=20),
    )
