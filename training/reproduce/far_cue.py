"""Whether a detector sees a far cue with a non-local block, and without.

python -m training.reproduce.far_cue WORKDIR

For each of three seeds, train a small backbone to classify crops, put it into
two detectors, with and without a block before the last residual block of res4,
train both on synthetic images (`composites`) and test them on images on
another photo: as the paper does with ImageNet and COCO. WORKDIR/far_cue.json
has each run's numbers; what is there already is not run again.

What can be known of a disc's class without the cue is nothing: the AP50 of such
a detector is about 1 of boxes and 1/2 of each kind of disc, thus 2/3.
"""

import dataclasses
import json
import time
from collections.abc import Sequence

import keras
import numpy as np

from nonlocal_tf.detection import (
    RGB,
    DetectorConfig,
    MaskRCNN,
    TargetSamplingConfig,
    load_backbone_weights,
)
from nonlocal_tf.detection.backbone import build_classifier
from nonlocal_tf.detection.preprocessing import normalize

from ..coco import annotation_reader, batches
from ..coco.annotations import Annotations
from ..coco.coco_evaluation import evaluate
from ..io import cli, outputs, paths
from ..io.paths import Path
from ..io.versions import versions
from ..loop.detector_trainer import DetectorTrainer
from ..loop.train_step import Signals
from . import composites

EXAMPLE = "python -m training.reproduce.far_cue runs/far_cue"
RESULTS = "far_cue.json"
SEEDS = (0, 1, 2)
CROPS, CROP_PX = 4000, 64
# At four times the rate the cue was not found in as many steps.
STEPS, LEARNING_RATE, DROP_AT, DROPPED = 1400, 5e-4, 1200, 1e-4
TRAINED_ON = composites.Composites("china", 400, seed=1)
TESTED_ON = composites.Composites("flower", 96, seed=2)
# The scale of its output starts at 1, as everything after the backbone is new,
# too: from 0 a block did not find the cue in as many steps in one run of two.
BLOCK: dict = {"gamma_init": 1.0}
SHORT_PX, LONG_PX = TRAINED_ON.size_px
# What a class is told from on P2 is less than 110 px from its box: 53 px of
# the backbone, 32 of the cell of P5 that is added, and 8 of what reads P2. From
# a cue to the objects it is 200 px at least.
DETECTOR = DetectorConfig(
    num_classes=1 + len(composites.CATEGORIES),
    layers=(1, 1, 2, 1),
    width=8,
    fpn_channels=32,
    anchor_sizes_px=(16, 24, 32, 48, 64),
    box_units=128,
    mask_channels=(16, 16),
    mask_deconv_channels=16,
    pre_nms_top_n=64,
    post_nms_top_n=64,
)
TRAINING = TargetSamplingConfig(
    anchors_per_image=64, rois_per_image=32, positive_roi_fraction=0.5
)
BATCHES = batches.BatchConfig(
    batch=2,
    canvas_px=TRAINED_ON.size_px,
    short_sides_px=(SHORT_PX,),
    long_side_px=LONG_PX,
    mask_cells=28,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `python -m training.reproduce.far_cue`."""
    parser = cli.parser("reproduce.far_cue", __doc__ or "", EXAMPLE)
    parser.add_argument("workdir", help="what is made is kept here")
    options, _ = cli.parse(parser, arguments)
    workdir = paths.as_path(options.workdir)
    outputs.check(workdir / RESULTS)
    train, test = (
        _made(composites_, workdir / name)
        for composites_, name in ((TRAINED_ON, "train"), (TESTED_ON, "test"))
    )
    path = workdir / RESULTS
    runs = json.loads(path.read_text("utf-8")) if path.exists() else []
    done = {(one["seed"], one["block"]): one for one in runs}
    for seed in SEEDS:
        backbone = workdir / f"backbone_{seed}.keras"
        if not backbone.exists():
            accuracy = pretrain(backbone, seed)
            print(f"backbone, seed {seed}: accuracy {accuracy:.3f}", flush=True)
        for block in (False, True):
            if (seed, block) not in done:
                found = run(train, test, block, seed, backbone)
                about = {"seed": seed, "block": block, **found}
                runs.append({**about, "versions": versions()})
                done[seed, block] = runs[-1]
                outputs.write_text(path, json.dumps(runs, indent=2) + "\n")
            what = "with a block" if block else "without"
            print(
                f"{what}, seed {seed}: {summary(done[seed, block])}", flush=True
            )


def run(
    train: Annotations,
    test: Annotations,
    block: bool,
    seed: int,
    backbone: Path,
) -> dict:
    """Numbers of a training.

    Args:
        train: what it is trained on.
        test: held-out pictures.
        block: whether there is a non-local block.
        seed: of weights, batches and samples.
        backbone: of `pretrain`.

    Returns:
        COCO's numbers of both sets, and seconds.
    """
    began = time.monotonic()
    keras.utils.set_random_seed(seed)
    config = dataclasses.replace(
        DETECTOR, nonlocal_block=BLOCK if block else None
    )
    detector = MaskRCNN(config)
    load_backbone_weights(detector, str(backbone))
    trainer = DetectorTrainer(detector, TRAINING, Signals())
    rate = keras.optimizers.schedules.PiecewiseConstantDecay(
        [DROP_AT], [LEARNING_RATE, DROPPED]
    )
    trainer.compile(keras.optimizers.Adam(rate), jit_compile=False)
    data = batches.batches(train, BATCHES, seed, 0, STEPS)
    trainer.fit(data, shuffle=False, verbose=0)
    seconds = time.monotonic() - began
    return {
        "train": evaluate(detector, train, SHORT_PX, LONG_PX),
        "test": evaluate(detector, test, SHORT_PX, LONG_PX),
        "seconds": round(seconds, 1),
    }


def pretrain(path: Path, seed: int) -> float:
    """Trains a backbone to name what is on crops, and writes it to a file.

    It is what ImageNet is to the paper's: features, and the norms that a
    detector has frozen.

    Returns:
        Its accuracy on crops of the other photo.
    """
    keras.utils.set_random_seed(seed)
    model = build_classifier(DETECTOR, len(composites.CROPS))
    pixels, labels = composites.crops("china", CROPS, CROP_PX, seed)
    others, expected = composites.crops("flower", 500, CROP_PX, seed + 1)
    model.compile(
        keras.optimizers.Adam(3e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    x, y = (np.asarray(normalize(p, RGB)) for p in (pixels, others))
    model.fit(x, labels, batch_size=32, epochs=3, verbose=0)
    model.save(path)
    return float(model.evaluate(y, expected, verbose=0)[1])


def summary(result: dict) -> str:
    """The numbers that matter, on a line."""
    parts = [
        f"{part}: {kind} AP50 {result[part][f'{kind}_AP50']:.3f}"
        for part in ("train", "test")
        for kind in ("box", "mask")
    ]
    return ", ".join([*parts, f"{np.round(result['seconds']):.0f} s"])


def _made(made: composites.Composites, folder: Path) -> Annotations:
    folder.mkdir(parents=True, exist_ok=True)
    path = composites.write(made, folder)
    return annotation_reader.read(str(path), str(folder))


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
