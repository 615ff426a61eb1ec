"""Charades: the two networks of the paper's table 4, many labels a video.

    nonlocal-tf train --recipe charades_i3d_nl5_r101_128x1 \\
        --set data.root=Charades_v1_480 \\
        --set data.classes=Charades_v1_classes.txt \\
        --set data.train=Charades_v1_train.csv \\
        --set data.validation=Charades_v1_test.csv \\
        --set model.weights=runs/k400_i3d_nl5_r101_128x1

Each starts from its own 128-frame network on Kinetics. Clips are scaled by
288/224 against Kinetics', so that the crop shows as much at 288 pixels; each
class has a sigmoid. The paper says no more than that, one clip a GPU, 200,000
iterations at a rate of 0.00125 that falls to a tenth every 75,000, and a test
at a short side of 320. Ours are:

- 8 GPUs; scales and shifts that stay as loaded, as for its other small batches;
  the momentum, weight decay and dropout of Kinetics;
- the loss: the mean over the 157 classes of their binary cross-entropies; a sum
  would have gradients 157 times as large;
- the labels of a training clip: those of the actions that overlap it. The 174
  training videos without an action are trained on as negatives of all classes;
- the test: whole frames, as the paper's on Kinetics, 10 clips a video, and the
  largest score of the clips, as in the authors' later work. Its mean average
  precision leaves videos without an action out, as the data set's own script
  does, 49 of the 1,863 to validate on; at the paper's level that is about 0.5
  points more than with them.

The paper's first numbers are of networks trained on "train" and tested on
"val", as ours would be; its second of networks trained on both and tested on
"test".

Neither has been run here.
"""

from .published import estimated_hours, publish
from .schema import (
    DataConfig,
    ModelConfig,
    NonLocalConfig,
    OptimizerConfig,
    Recipe,
    Reference,
    SamplingConfig,
    ViewsConfig,
)

GPUS, STEPS, CROP_PX = 8, 200_000, 288
LARGER = CROP_PX / 224
# model, billions of multiply-adds of a clip of 288 x 288, row of the table,
# mean average precision (trained on train, tested on val; on both, on test)
ROWS = (
    (
        "i3d_r101",
        340.16,
        "I3D, ours",
        "35.5 % mAP (train/val), 37.2 % (trainval/test)",
    ),
    (
        "i3d_nl5_r101",
        422.29,
        "NL I3D, ours",
        "37.5 % mAP (train/val), 39.5 % (trainval/test)",
    ),
)


def recipe_of(model: str, gmacs: float, row: str, expected: str) -> Recipe:
    """The recipe of a row."""
    has_blocks = "_nl" in model
    return Recipe(
        name=f"charades_{model}_128x1",
        description=f"{row.removesuffix(', ours')} R101 on clips of 128 frames",
        dataset="charades",
        data=DataConfig(),
        sampling=SamplingConfig(
            frames=128,
            frame_stride=1,
            min_short_side_px=round(256 * LARGER),
            max_short_side_px=round(320 * LARGER),
            crop_px=CROP_PX,
            eval_short_side_px=320,
        ),
        views=ViewsConfig(crops=0, short_side_px=320, pool="max"),
        model=ModelConfig(
            model,
            NonLocalConfig() if has_blocks else None,
            sampling="128x1",
            norm="affine",
            dropout=0.5,
            start="kinetics",
        ),
        optimizer=OptimizerConfig(
            base_lr=0.00125,
            name="sgd",
            schedule="steps",
            drops_at_steps=(75_000, 150_000),
            weight_decay=1e-4,
            lr_batch=GPUS,
        ),
        batch=GPUS,
        steps=STEPS,
        epoch_steps=10_000,
        reference=Reference(
            table="table 4",
            row=row,
            expected=expected,
            hardware=f"{GPUS} GPUs, 1 clip each",
            hours=estimated_hours(gmacs, GPUS * STEPS, GPUS),
        ),
    )


publish(
    ((recipe_of(*row), f"runs/k400_{row[0]}_128x1") for row in ROWS), globals()
)
