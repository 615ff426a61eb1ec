"""A small detector, its data set and its trainer."""

import keras

from nonlocal_tf.detection import DetectorConfig, MaskRCNN, TargetSamplingConfig
from tests.training.reproduce import synthetic_coco
from training.coco import annotation_reader, batches
from training.loop.detector_trainer import DetectorTrainer
from training.loop.train_step import Signals

CONFIG = DetectorConfig(
    num_classes=3,
    layers=(1, 1, 2, 1),
    width=8,
    nonlocal_block={},
    fpn_channels=16,
    anchor_sizes_px=(16, 24, 32, 48, 64),
    box_units=64,
    mask_channels=(16, 16),
    mask_deconv_channels=16,
    num_keypoints=2,
    keypoint_channels=(32,) * 4,
    pre_nms_top_n=64,
    post_nms_top_n=64,
)
TRAINING = TargetSamplingConfig(anchors_per_image=64, rois_per_image=32)
BATCHES = batches.BatchConfig(
    batch=2,
    canvas_px=(64, 96),
    short_sides_px=(64,),
    long_side_px=96,
    mask_cells=28,
    num_keypoints=2,
    horizontal_flip=False,
)
SEED = 1


def data_in(folder, count=6):
    """Write a data set to a folder; return its annotations."""
    path = synthetic_coco.write(folder, count)
    return annotation_reader.read(path, str(folder))


def batches_of(annotations, first, last):
    return batches.batches(annotations, BATCHES, SEED, first, last)


def trainer(optimizer, signals=None, config=CONFIG, **options):
    """Build a trainer of a detector with reproducible initial weights."""
    keras.utils.set_random_seed(0)
    detector_trainer = DetectorTrainer(
        MaskRCNN(config), TRAINING, signals or Signals(), **options
    )
    detector_trainer.compile(optimizer, jit_compile=False)
    detector_trainer.optimizer.build(detector_trainer.trainable_variables)
    return detector_trainer


def fit(trainer, annotations, first, last):
    """Train steps `first` to `last`, exclusive; return the history."""
    return trainer.fit(
        batches_of(annotations, first, last), shuffle=False, verbose=0
    ).history
