"""Your own videos: a folder with one folder of videos for each class.

    python -m training.train --recipe finetune --set data.root=videos \
        --export savedmodels/videos

`finetune` is small: a network that learns some classes from some dozen videos
on two CPU cores in minutes, from scratch. Its size is what runs there, not what
is best. `finetune_i3d` is the paper's network for a GPU, from Kinetics weights
on your disk:

    python -m training.train --recipe finetune_i3d --set data.root=videos \
        --set model.weights=i3d_nonlocal_8x8_IN_pretrain_400k.pkl

Other data sets: `--set dataset=ucf101` and so on; the modules in
`training/data/` say which files each reads. Neither recipe has an expected
accuracy: that is a matter of the videos. Both are not from the paper, which
does not fine-tune on small data sets; the rates are ours. `finetune_i3d` has
not been run on a GPU.
"""

import dataclasses

from training.recipe import (
    DataConfig,
    ModelConfig,
    OptimizerConfig,
    Recipe,
    SamplingConfig,
    register_recipe,
)


@register_recipe
def finetune() -> Recipe:
    """A small network on clips of 8 frames of 112 x 112."""
    return Recipe(
        name="finetune",
        description="your own videos, a small network for a CPU",
        dataset="folder",
        data=DataConfig(),
        sampling=SamplingConfig(
            frame_stride=4,
            min_short_side_px=128,
            max_short_side_px=160,
            crop_px=112,
            eval_short_side_px=128,
        ),
        model=ModelConfig("c2d_nl1_small"),
        optimizer=OptimizerConfig(base_lr=2e-3, warmup_steps=20),
        batch=8,
        steps=200,
        epoch_steps=50,
    )


@register_recipe
def finetune_i3d() -> Recipe:
    """I3D-50 with five blocks, 8 frames with stride 8, of 224 x 224."""
    return dataclasses.replace(
        finetune(),
        name="finetune_i3d",
        description="your own videos, the paper's network for a GPU",
        sampling=SamplingConfig(),
        model=ModelConfig("i3d_nl5_r50", sampling="8x8"),
        optimizer=OptimizerConfig(base_lr=1e-4, warmup_steps=200),
        batch=16,
        steps=5000,
        epoch_steps=500,
    )
