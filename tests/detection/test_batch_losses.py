"""Losses and gradients of a whole training step, compared with torchvision."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from nonlocal_tf.detection.config import TargetSamplingConfig
from nonlocal_tf.detection.losses import batch_losses
from nonlocal_tf.detection.model import MaskRCNN
from tests.detection import golden, tiny_detectors
from tests.detection.tiny_detectors import training_batch

NAMES = ("tiny_mask_rcnn", "tiny_keypoint_rcnn")
TORCHVISION_NAMES = {
    "objectness": "loss_objectness",
    "rpn_boxes": "loss_rpn_box_reg",
    "classes": "loss_classifier",
    "boxes": "loss_box_reg",
    "masks": "loss_mask",
    "keypoints": "loss_keypoint",
}
# Samples all anchors and RoIs, so that nothing is random.
ALL_SAMPLES = TargetSamplingConfig(
    anchors_per_image=20_000,
    positive_anchor_fraction=1.0,
    rois_per_image=65,
    positive_roi_fraction=1.0,
)
SEED = (0, 0)


def losses_of(name, config=ALL_SAMPLES, seed=SEED, **options):
    return batch_losses(
        tiny_detectors.detector(name),
        training_batch(name, **options),
        config,
        tf.constant(seed),
    )


def assert_equal_torchvision(losses, name):
    stored = golden.group(name, "train")
    assert len(losses) == 5
    for key, value in losses.items():
        expected = stored[TORCHVISION_NAMES[key]]
        np.testing.assert_allclose(value, expected, rtol=1e-4)


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("name", NAMES)
def test_losses_equal_torchvision(name, padding):
    assert_equal_torchvision(losses_of(name, padding=padding), name)


def test_training_may_keep_more_proposals_than_inference():
    name = "tiny_keypoint_rcnn"
    settings, _ = tiny_detectors.stored(name)
    full = tiny_detectors.detector(name)
    small = MaskRCNN(
        dataclasses.replace(full.config, pre_nms_top_n=3, post_nms_top_n=7)
    )
    small.set_weights(full.get_weights())
    batch, seed = training_batch(name), tf.constant(SEED)
    config = dataclasses.replace(
        ALL_SAMPLES,
        pre_nms_top_n=settings["rpn_pre_nms_top_n"],
        post_nms_top_n=settings["rpn_post_nms_top_n"],
    )
    losses = batch_losses(small, batch, config, seed)
    assert_equal_torchvision(losses, name)
    default = batch_losses(small, batch, ALL_SAMPLES, seed)
    assert abs(default["classes"] / losses["classes"] - 1) > 1e-2


@pytest.mark.parametrize("name", NAMES)
def test_gradients_equal_torchvision(name):
    detector = tiny_detectors.detector(name)
    variables = detector.trainable_variables
    with tf.GradientTape() as tape:
        total = sum(losses_of(name).values())
    gradients = tape.gradient(total, variables)
    stored = golden.group(name, "train")
    expected_norms = dict(
        zip(stored["grad_names"].tolist(), stored["grad_norms"], strict=True)
    )
    names = tiny_detectors.loaded(name)
    errors = []
    for variable, gradient in zip(variables, gradients, strict=True):
        norm = np.linalg.norm(np.asarray(gradient))
        expected = expected_norms[names[variable.path][0]]
        if expected < 1e-5:  # zero, but for rounding
            assert norm < 1e-4
        else:
            errors.append(abs(norm / expected - 1))
    assert len(errors) > 50
    # A few units whose input is nearly 0 may switch.
    assert np.median(errors) < 1e-2 and max(errors) < 0.05


def test_samples_depend_on_the_seed_alone():
    few = TargetSamplingConfig(anchors_per_image=16, rois_per_image=12)
    first, again, different = (
        float(sum(losses_of("tiny_mask_rcnn", few, seed).values()))
        for seed in ((3, 5), (3, 5), (3, 6))
    )
    assert first == again != different


def test_positive_anchors_do_not_exceed_their_fraction():
    config = dataclasses.replace(ALL_SAMPLES, positive_anchor_fraction=0.0)
    losses = losses_of("tiny_mask_rcnn", config)
    assert float(losses["rpn_boxes"]) == 0 < float(losses["objectness"])


def test_positive_rois_do_not_exceed_their_fraction():
    full = losses_of("tiny_mask_rcnn")
    config = dataclasses.replace(
        ALL_SAMPLES, positive_roi_fraction=1 / ALL_SAMPLES.rois_per_image
    )
    losses = losses_of("tiny_mask_rcnn", config)
    # The sum over one of many positive RoIs, by as many RoIs or fewer.
    assert 0 < float(losses["boxes"]) < 0.5 * float(full["boxes"])


def test_losses_are_means_over_the_samples_of_all_replicas():
    name = "tiny_mask_rcnn"
    single = losses_of(name)
    losses = batch_losses(
        tiny_detectors.detector(name),
        training_batch(name),
        ALL_SAMPLES,
        tf.constant(SEED),
        sum_over_replicas=lambda count: 2 * count,
    )
    for key, value in losses.items():
        np.testing.assert_allclose(2 * value, single[key], rtol=1e-6)


def test_without_objects_only_the_background_is_trained():
    name = "tiny_mask_rcnn"
    batch = training_batch(name)
    batch["labels"] = tf.zeros_like(batch["labels"])
    detector = tiny_detectors.detector(name)
    with tf.GradientTape() as tape:
        losses = batch_losses(
            detector, batch, TargetSamplingConfig(), tf.constant(SEED)
        )
        total = sum(losses.values())
    for key in ("rpn_boxes", "boxes", "masks"):
        assert float(losses[key]) == 0
    assert float(losses["objectness"]) > 0 and float(losses["classes"]) > 0
    for gradient in tape.gradient(total, detector.trainable_variables):
        assert np.isfinite(np.asarray(gradient)).all()


@pytest.mark.slow
def test_losses_in_a_graph_equal_eager_ones():
    name = "tiny_mask_rcnn"
    detector = tiny_detectors.detector(name)

    @tf.function
    def graph(batch):
        return batch_losses(detector, batch, ALL_SAMPLES, tf.constant(SEED))

    expected = losses_of(name)
    for key, value in graph(training_batch(name)).items():
        np.testing.assert_allclose(value, expected[key], rtol=1e-4)


def test_negative_boxes_in_a_crowd_are_ignored():
    name = "tiny_mask_rcnn"
    batch = training_batch(name)
    height, width = (int(side) for side in batch["sizes"][0])
    batch["crowds"] = tf.constant([[[0.0, 0, width, height]]])
    losses = batch_losses(
        tiny_detectors.detector(name), batch, ALL_SAMPLES, tf.constant(SEED)
    )
    without_crowd = float(losses_of(name)["classes"])
    # No background is left to sample.
    assert float(losses["classes"]) != pytest.approx(without_crowd)
    assert float(losses["boxes"]) > 0


def test_straddling_anchors_can_be_ignored():
    config = TargetSamplingConfig(straddling_anchors=False)
    losses = losses_of("tiny_mask_rcnn", config)
    assert 0 < float(losses["objectness"]) < 10
