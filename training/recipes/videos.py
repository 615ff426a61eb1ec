"""Your own videos: a folder with one folder of videos for each class.

    nonlocal-tf train --recipe finetune --set data.root=videos \
        --export savedmodels/videos

`finetune` trains a small network from scratch on some dozen videos of some
classes, in about five minutes on two CPU cores. Its size is chosen for these,
not for accuracy. It depends on motion and the order of frames; its accuracy
with 24 videos of each class is in MODEL_ZOO.md.
`finetune_pretrained` is the paper's network for a GPU, from Kinetics
weights; `linear_probe` trains its classifier alone:

    nonlocal-tf train --recipe finetune_pretrained --set data.root=videos \
        --set model.weights=k400_8x8_authors --accept-license

That downloads the authors' weights, which are not for commercial use;
`nonlocal-tf models --weights` lists others. Weights may also be a file, or the
folder of a run of the same network, on other videos.

None flips clips, which would confuse left and right: `--set sampling.flip=true`
where flipped videos are of the same class.

Other data sets: `--set dataset=ucf101` and so on; the modules in
`training/data/` say which files each reads. No recipe has an expected
accuracy: that is a matter of the videos. They are not from the paper, which
does not fine-tune on small data sets; the rates are ours. Those with Kinetics
weights have not been run on a GPU.
"""

import dataclasses

from ..data.sampling_config import AUTO
from .schema import (
    DataConfig,
    ModelConfig,
    OptimizerConfig,
    Recipe,
    SamplingConfig,
    TrainingConfig,
    ViewsConfig,
    register_recipe,
)


@register_recipe
def finetune() -> Recipe:
    """A small I3D with a block, on clips of 16 frames of 112 x 112.

    Chosen on the tasks of `training.reproduce.synthetic_videos`, with 24 videos
    a class:

    - An I3D, as a C2D gives clips and reversed clips the same scores. A maximum
      over all positions instead of the mean keeps things that are small.
    - A stride that makes a clip as long as the videos, and whole frames in
      tests, as an event may be outside of a crop.
    - No flips, which would confuse moving left and moving right.
    - Colour jitter and label smoothing, as some dozen videos are soon
      overfitted. With dropout of one half motion was not learnt.
    - More steps than 300, after which motion was classified less well.

    Shapes were not learnt from so few videos (MODEL_ZOO.md).
    """
    return Recipe(
        name="finetune",
        description="your own videos, a small network for a CPU",
        dataset="folder",
        data=DataConfig(),
        sampling=SamplingConfig(
            frames=16,
            frame_stride=AUTO,
            min_short_side_px=112,
            max_short_side_px=144,
            crop_px=112,
            flip=False,
            color_jitter=0.3,
            eval_short_side_px=120,
        ),
        model=ModelConfig("i3d_strided_nl1_small"),
        optimizer=OptimizerConfig(base_lr=2e-3, warmup_steps=20),
        batch=8,
        training=TrainingConfig(label_smoothing=0.1),
        steps=1200,
        epoch_steps=200,
        views=ViewsConfig(
            clips=1,
            crops=0,
            short_side_px=120,
            crop_px=120,
            starts="mmaction2",  # one clip is in the middle
        ),
    )


@register_recipe
def finetune_pretrained() -> Recipe:
    """I3D-50 with five blocks, 8 frames with stride 8, of 224 x 224.

    What a few hundred videos can move, and no more:

    - The stem and res2, whose features are of edges and short motion, stay as
      they are, and so do scales and shifts of normalizations, as in the
      authors' fine-tuning on Charades: batches are too small for statistics.
    - Each stage learns at 0.75 of the rate of the stage after it; the
      classifier, which is new, at ten times its stage's.
    - AdamW with its decay, a cosine, and an average of the weights, with which
      a run depends less on the step at which it ends.
    - Crops of 40 % of a frame or more and jittered colours: no rotation and no
      flip, as directions may be what tells classes apart.
    - The best epoch of validation is tested.
    """
    return dataclasses.replace(
        finetune(),
        name="finetune_pretrained",
        description="your own videos, the paper's network from weights",
        sampling=SamplingConfig(
            flip=False, crop_area=(0.4, 1.0), color_jitter=0.2
        ),
        model=ModelConfig(
            "i3d_nl5_r50",
            sampling="8x8",
            norm="affine",
            start="kinetics",
            frozen="conv1,res2",
        ),
        optimizer=OptimizerConfig(
            base_lr=1e-4,
            warmup_steps=200,
            name="adamw",
            weight_decay=0.05,
            layer_decay=0.75,
            part_rates="logits=10",
        ),
        batch=16,
        steps=3000,
        epoch_steps=300,
        training=TrainingConfig(
            label_smoothing=0.1, ema_decay=0.998, keep="best"
        ),
        views=None,
    )


@register_recipe
def linear_probe() -> Recipe:
    """The classifier alone, on the features of `finetune_pretrained`.

    The cheapest way to see what the weights know of one's classes, and the
    safest with five videos of each. A convex problem: a rate of Adam that is
    large for a network, no decay, no augmentation but the crop.
    """
    whole = finetune_pretrained()
    return dataclasses.replace(
        whole,
        name="linear_probe",
        description="your own videos, a new classifier on features of weights",
        sampling=SamplingConfig(flip=False),
        model=dataclasses.replace(whole.model, frozen="all"),
        optimizer=OptimizerConfig(base_lr=1e-3, warmup_steps=20),
        steps=1000,
        epoch_steps=100,
        training=TrainingConfig(keep="best"),
    )
