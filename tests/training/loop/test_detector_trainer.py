"""Detectors that are trained: what they learn, on which devices, resumed."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from nonlocal_tf.detection import MaskRCNN, batch_losses
from tests.training.coco import stick_figures
from tests.training.processes import expect
from tests.training.tasks import small_detector
from training.coco import annotation_reader, batches
from training.coco.coco_evaluation import evaluate
from training.io import paths
from training.io.user_error import UserError
from training.reproduce import composites

pytest.importorskip("pycocotools")


@pytest.fixture(scope="module")
def annotated(tmp_path_factory):
    return small_detector.data_in(tmp_path_factory.mktemp("set"))


LOSSES = {
    "objectness",
    "rpn_boxes",
    "classes",
    "boxes",
    "masks",
    "keypoints",
}


def test_a_validation_is_without_a_step(annotated):
    trainer = small_detector.trainer(keras.optimizers.SGD(1e-3))
    before = trainer.get_weights()
    data = small_detector.batches_of(annotated, 0, 1)
    first, again = (
        trainer.evaluate(data, verbose=0, return_dict=True) for _ in range(2)
    )
    assert first == again
    for old, new in zip(before, trainer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    # Its logs are the losses of all heads.
    assert set(first) == {"loss", *LOSSES}
    total = sum(first[name] for name in LOSSES)
    np.testing.assert_allclose(first["loss"], total, rtol=1e-5)
    assert all(first[name] > 0 for name in LOSSES)


@pytest.fixture
def without_steps():
    """A trainer that reads batches and computes nothing of them."""
    trainer = small_detector.trainer(keras.optimizers.SGD(1e-3))
    trainer.train_step = lambda data: {}
    return trainer


def test_an_unreadable_image_is_named(without_steps, tmp_path):
    annotations = small_detector.data_in(tmp_path)
    for image in annotations.images:
        image.path.write_bytes(b"no image")
    with pytest.raises(UserError) as error:
        small_detector.fit(without_steps, annotations, 0, 1)
    (line,) = str(error.value).splitlines()
    assert line.startswith(str(tmp_path)) and "is damaged, or neither" in line


def test_other_errors_of_tensorflow_stay(without_steps, annotated):
    data = small_detector.batches_of(annotated, 0, 1)
    data = data.map(lambda batch: {**batch, "labels": batch["labels"] // 0})
    with pytest.raises(tf.errors.InvalidArgumentError, match="division by"):
        without_steps.fit(data, shuffle=False, verbose=0)


@pytest.mark.slow
def test_bfloat16_takes_the_step_of_float32(annotated):
    config = dataclasses.replace(
        small_detector.CONFIG, keypoint_nonlocal_block={}
    )
    wide = MaskRCNN(config)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        narrow = MaskRCNN(config)
    finally:
        keras.config.set_dtype_policy("float32")
    narrow.set_weights(wide.get_weights())
    assert {weight.dtype for weight in narrow.weights} == {"float32"}
    batch = next(iter(small_detector.batches_of(annotated, 0, 1)))
    (ours, a), (theirs, b) = (
        losses_and_gradient(model, batch) for model in (narrow, wide)
    )
    for name, value in ours.items():
        assert value.dtype == "float32"
        # Eight bits a layer; fresh weights make few proposals another.
        np.testing.assert_allclose(value, theirs[name], rtol=0.02)
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert cosine > 0.97  # 14 degrees


def losses_and_gradient(detector, batch):
    """Compute the losses of a batch, and the gradient of their sum."""
    with tf.GradientTape() as tape:
        losses = batch_losses(
            detector, batch, small_detector.TRAINING, batch["seeds"]
        )
        total = sum(losses.values())
    gradients = tape.gradient(total, detector.trainable_variables)
    return losses, flat(gradients)


def flat(arrays):
    """Concatenate arrays to one axis, in float64."""
    return np.concatenate(
        [np.ravel(array).astype("float64") for array in arrays]
    )


@pytest.mark.parametrize(("micro_batches", "clip_norm"), [(1, 0.25), (2, 1e3)])
def test_a_step_clips_the_mean_gradient_of_micro_batches(
    annotated, micro_batches, clip_norm
):
    config = dataclasses.replace(
        small_detector.CONFIG, mask_channels=(), num_keypoints=0
    )
    trainer = small_detector.trainer(
        keras.optimizers.SGD(1.0),
        config=config,
        micro_batches=micro_batches,
        clip_norm=clip_norm,
    )
    batch = next(iter(small_detector.batches_of(annotated, 0, 1)))
    images = len(batch["images"]) // micro_batches
    gradients = []
    for first in range(0, images * micro_batches, images):
        part = {key: x[first : first + images] for key, x in batch.items()}
        gradients.append(losses_and_gradient(trainer.detector, part)[1])
    gradient = np.mean(gradients, axis=0)
    norm = np.sqrt(np.sum(gradient**2))
    assert 0.5 < norm < 100
    gradient *= min(1, clip_norm / norm)
    before = flat(trainer.trainable_variables)
    trainer.train_step(batch)
    after = flat(trainer.trainable_variables)
    np.testing.assert_allclose(before - after, gradient, rtol=0, atol=1e-5)


def test_a_detector_of_a_script_takes_the_steps_of_the_trainer(annotated):
    config = dataclasses.replace(
        small_detector.CONFIG, mask_channels=(), num_keypoints=0
    )
    trainer = small_detector.trainer(
        keras.optimizers.SGD(0.1, momentum=0.9), config=config
    )
    detector = MaskRCNN(config)
    detector.set_weights(trainer.detector.get_weights())
    detector.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        sampling=small_detector.TRAINING,
    )
    for batch in small_detector.batches_of(annotated, 0, 2):
        expected = trainer.train_step(batch)
        logs = detector.train_step(batch)
    assert logs.keys() == expected.keys() and logs["loss"] > 0
    for name, value in expected.items():
        np.testing.assert_array_equal(logs[name], value, err_msg=name)
    for own, weight in zip(
        detector.get_weights(), trainer.detector.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(own, weight)


def test_batches_without_masks_are_named(annotated):
    detector = MaskRCNN(small_detector.CONFIG)
    detector.compile("sgd")
    batch = dict(next(iter(small_detector.batches_of(annotated, 0, 1))))
    del batch["masks"]
    with pytest.raises(ValueError, match="with 'masks'.*masks=False"):
        detector.test_step(batch)


@pytest.mark.full
def test_boxes_masks_and_keypoints_of_stick_figures_are_learnt(tmp_path):
    """Sixteen or more people of 17 keypoints each, on parts of a photo."""
    pytest.importorskip("sklearn")
    height, width = size_px = 96, 160
    images = composites.Composites("flower", 12, seed=3, size_px=size_px)
    annotations = annotation_reader.read(
        str(stick_figures.write(images, paths.as_path(str(tmp_path)))),
        str(tmp_path),
    )
    assert sum(len(picture.instances) for picture in annotations.images) >= 16
    config = dataclasses.replace(
        small_detector.CONFIG,
        num_classes=2,
        fpn_channels=32,
        anchor_sizes_px=(24, 32, 48, 64, 96),
        num_keypoints=17,
        keypoint_nonlocal_block={},
    )
    read = dataclasses.replace(
        small_detector.BATCHES,
        canvas_px=size_px,
        short_sides_px=(height,),
        long_side_px=width,
        mask_cells=98,  # for limbs of few pixels
        num_keypoints=17,
    )
    steps = 180
    rate = keras.optimizers.schedules.CosineDecay(4e-3, steps)
    trainer = small_detector.trainer(keras.optimizers.Adam(rate), config=config)
    trainer.fit(
        batches.batches(annotations, read, small_detector.SEED, 0, steps),
        shuffle=False,
        verbose=0,
    )
    scores = evaluate(trainer.detector, annotations, height, width)
    for kind in ("box", "mask", "keypoint"):
        assert scores[f"{kind}_AP50"] > 0.7


# In CI, networks of videos: test_devices.py, test_same_weights.py.
@pytest.mark.full
def test_two_devices_train_as_one(tmp_path):
    expect("tasks.detector_runs", tmp_path)


# In CI, on one device: test_a_detector_of_a_script_takes_the_steps...
@pytest.mark.full
def test_fit_on_two_devices_trains_as_the_trainer(tmp_path):
    expect("tasks.detector_runs", tmp_path, "with fit")
