"""Recipes: the rows of the paper's tables 5 and 6, and a small network.

    python -m training.detection.train --recipe coco_r50_nl \\
        --set data.train=annotations/instances_train2017.json \\
        --set data.pictures=train2017 \\
        --set data.validation=annotations/instances_val2017.json \\
        --set data.validation_pictures=val2017 \\
        --set start.weights=R-50.pkl

None of the paper's was run here: they need COCO and GPUs.

The paper says that these networks are fine-tuned from ImageNet, train on
train2017 and test on val2017, have one block before the last residual block of
res4, and four in the keypoint head after every two convolutions. Its code for
COCO is not public. What it does not say is our choice, and taken from
Detectron's baselines of 2017:

- schedule "1x": 90,000 steps of 16 pictures at a rate of 0.02, a tenth from
  60,000 and from 80,000 on, 500 steps of warm-up from a third; for X152 260,000
  steps of 8 at 0.01, a tenth from 200,000 and 240,000 on. The paper's is
  neither this nor twice it: its baselines lie between;
- sizes: short side 800 (keypoints 640 to 800), long side 1333;
- blocks: embedded Gaussian, scaled softmax; in res4 phi and g are pooled by 2;
  what follows W_z is a scale, 0 at first, and a shift, as all normalisations
  of a detector are frozen.

And unlike Detectron: boxes have no + 1; proposals are counted for each picture
(1,000), as in detectron2; a canvas is square, so that none has to be sorted by
its sides.
"""

from nonlocal_tf.detection import X152_32X8D, DetectorConfig, TrainingConfig
from nonlocal_tf.models.specs import DEPTHS
from training.detection.recipe import (
    DetectionRecipe,
    PicturesConfig,
    StartConfig,
    StepConfig,
    register_recipe,
)
from training.recipe import OptimizerConfig, Reference

TRUNKS: dict[str, dict] = {
    "r50": {"layers": DEPTHS[50], "stride_on": "1x1"},
    "r101": {"layers": DEPTHS[101], "stride_on": "1x1"},
    "x152": X152_32X8D,
}
CLASSES, PEOPLE = 81, 2  # with the background
KEYPOINTS = 17
EPOCH_STEPS = 5_000
# Of trunk and blocks: table, row, and AP, AP50, AP75 there.
MASK_ROWS = (
    ("r50", False, "R50 baseline", "38.0 59.6 41.0", "34.6 56.4 36.5"),
    ("r50", True, "R50 +1 NL", "39.0 61.1 41.9", "35.5 58.0 37.4"),
    ("r101", False, "R101 baseline", "39.5 61.4 42.9", "36.0 58.1 38.3"),
    ("r101", True, "R101 +1 NL", "40.8 63.1 44.5", "37.1 59.9 39.2"),
    ("x152", False, "X152 baseline", "44.1 66.4 48.4", "39.7 63.2 42.2"),
    ("x152", True, "X152 +1 NL", "45.0 67.8 48.9", "40.3 64.4 42.8"),
)
KEYPOINT_ROWS = (
    ("", False, False, "R101 baseline", "65.1 86.8 70.4"),
    ("_nl4head", True, False, "NL, +4 in head", "66.0 87.1 71.7"),
    ("_nl4head_nl", True, True, "NL, +4 in head, +1 in backbone",
     "66.5 87.3 72.8"),
)  # fmt: skip
HARDWARE = "8 GPUs"


def _optimizer(trunk: str) -> tuple[OptimizerConfig, int, int]:
    """With the batch and the steps."""
    rate, batch, drops, steps = 0.02, 16, (60_000, 80_000), 90_000
    if trunk == "x152":
        rate, batch, drops, steps = 0.01, 8, (200_000, 240_000), 260_000
    config = OptimizerConfig(
        name="sgd",
        base_lr=rate,
        warmup_steps=500,
        warmup_lr=rate / 3,
        schedule="steps",
        drops_at_steps=drops,
        weight_decay=1e-4,
        lr_batch=batch,
        scale_lr=True,
    )
    return config, batch, steps


def _coco(name, description, detector, trunk, pictures, reference):
    optimizer, batch, steps = _optimizer(trunk)
    return DetectionRecipe(
        name=name,
        description=description,
        detector=detector,
        optimizer=optimizer,
        batch=batch,
        steps=steps,
        epoch_steps=EPOCH_STEPS,
        start=StartConfig(frozen="conv1,res2"),
        pictures=pictures,
        examples=TrainingConfig(straddling_anchors=False, box_beta=1.0),
        reference=reference,
    )


def _mask_recipe(trunk, has_block, row, box, mask) -> DetectionRecipe:
    detector = DetectorConfig(
        CLASSES, **TRUNKS[trunk], nonlocal_block={} if has_block else None
    )
    return _coco(
        f"coco_{trunk}{'_nl' * has_block}",
        f"Mask R-CNN, {row}",
        detector,
        trunk,
        PicturesConfig(colours="bgr"),
        Reference(
            "table 5",
            row,
            f"box {box}, mask {mask} (AP, AP50, AP75)",
            HARDWARE,
            "not known",
        ),
    )


def _keypoint_recipe(suffix, in_head, in_trunk, row, expected):
    detector = DetectorConfig(
        PEOPLE,
        **TRUNKS["r101"],
        nonlocal_block={} if in_trunk else None,
        mask_channels=(),
        keypoints=KEYPOINTS,
        keypoint_nonlocal_block={} if in_head else None,
    )
    return _coco(
        f"coco_keypoints_r101{suffix}",
        f"Keypoint R-CNN, {row}",
        detector,
        "r101",
        PicturesConfig(
            colours="bgr", short_sides_px=tuple(range(640, 801, 32))
        ),
        Reference(
            "table 6",
            row,
            f"keypoint {expected} (AP, AP50, AP75)",
            HARDWARE,
            "not known",
        ),
    )


for _row in MASK_ROWS:
    register_recipe(_mask_recipe(*_row))
for _keypoint_row in KEYPOINT_ROWS:
    register_recipe(_keypoint_recipe(*_keypoint_row))

register_recipe(
    DetectionRecipe(
        name="small",
        description="a small network from scratch, for a CPU: your own "
        "pictures of up to some 300 pixels",
        detector=DetectorConfig(
            layers=(1, 1, 2, 1),
            width=16,
            nonlocal_block={},
            fpn_channels=32,
            anchor_sizes_px=(16, 32, 64, 128, 256),
            box_units=128,
            mask_channels=(32, 32),
            mask_deconv_channels=32,
            # For who sets how many keypoints there are.
            keypoint_channels=(64,) * 4,
            proposals_a_level=200,
            proposals=200,
        ),
        optimizer=OptimizerConfig(base_lr=2e-3, warmup_steps=20),
        batch=2,
        steps=1_000,
        epoch_steps=250,
        start=StartConfig(scratch=True),
        pictures=PicturesConfig(
            canvas_px=(256, 256),
            short_sides_px=(224, 256),
            long_side_px=256,
            eval_short_side_px=256,
            mask_cells=56,
        ),
        examples=TrainingConfig(anchors=128, rois=64),
        training=StepConfig(),
    )
)
