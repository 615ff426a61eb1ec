"""Losses and gradients of a whole training step beside torchvision's."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from nonlocal_tf.detection import training
from nonlocal_tf.detection.detector import MaskRCNN
from tests.detection import golden, tiny
from tests.detection.test_detector import inputs

NAMES = ("tiny_mask_rcnn", "tiny_keypoint_rcnn")
THEIRS = {
    "objectness": "loss_objectness",
    "rpn_boxes": "loss_rpn_box_reg",
    "classes": "loss_classifier",
    "boxes": "loss_box_reg",
    "masks": "loss_mask",
    "keypoints": "loss_keypoint",
}
# All anchors and all boxes are taken, so that nothing is random.
EVERYTHING = training.TrainingConfig(
    anchors=20_000, positive_anchors=1.0, rois=65, positive_rois=1.0
)


def batch_of(name, padding=0):
    """The stored objects, and rows that are none."""
    _, arrays = tiny.stored(name)
    x, size = inputs(name)
    given = golden.group(name, "train")
    more = ((0, 0), (0, padding))
    boxes = np.pad(given["boxes"][None], (*more, (0, 0)))
    batch = {
        "images": x,
        "sizes": np.asarray([size], "int32"),
        "boxes": boxes,
        "labels": np.pad(given["labels"][None].astype("int32"), more),
        "crowds": np.zeros((1, 0, 4), "float32"),
    }
    if "masks" in given:
        masks = given["masks"][None].astype("float32")
        batch["masks"] = np.pad(masks, (*more, (0, 0), (0, 0)))
        height, width = masks.shape[2:]
        whole = np.array([0, 0, width, height], "float32")
        batch["mask_boxes"] = np.broadcast_to(whole, boxes.shape)
    if "keypoints" in given:
        points = given["keypoints"][None]
        batch["keypoints"] = np.pad(points, (*more, (0, 0), (0, 0)))
    return {key: tf.constant(value) for key, value in batch.items()}


def losses_of(name, config=EVERYTHING, seed=(0, 0), model=None, **options):
    model = model or tiny.detector(name)
    with tf.GradientTape() as tape:
        found = training.batch_losses(
            model, batch_of(name, **options), config, tf.constant(seed)
        )
        value = sum(found.values())
    variables = model.trainable_variables
    gradients = tape.gradient(value, variables)
    return found, dict(zip((v.path for v in variables), gradients, strict=True))


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("name", NAMES)
def test_losses_are_torchvisions(name, padding):
    found, _ = losses_of(name, padding=padding)
    stored = golden.group(name, "train")
    assert len(found) == 5
    for key, value in found.items():
        np.testing.assert_allclose(value, stored[THEIRS[key]], rtol=1e-4)


def test_training_has_its_own_numbers_of_proposals():
    """torchvision's, in a network that keeps fewer in a test."""
    name = "tiny_keypoint_rcnn"
    settings, _ = tiny.stored(name)
    full = tiny.detector(name)
    fewer = MaskRCNN(
        dataclasses.replace(full.config, proposals_a_level=3, proposals=7)
    )
    fewer.set_weights(full.get_weights())
    config = dataclasses.replace(
        EVERYTHING,
        pre_nms_top_n=settings["rpn_pre_nms_top_n"],
        post_nms_top_n=settings["rpn_post_nms_top_n"],
    )
    stored = golden.group(name, "train")
    found, _ = losses_of(name, config, model=fewer)
    for key, value in found.items():
        np.testing.assert_allclose(value, stored[THEIRS[key]], rtol=1e-4)
    as_in_a_test, _ = losses_of(name, model=fewer)
    assert abs(as_in_a_test["classes"] / found["classes"] - 1) > 1e-2


@pytest.mark.parametrize("field", ["pre_nms_top_n", "post_nms_top_n"])
@pytest.mark.parametrize("value", [0, -5, 1.5, True])
def test_a_number_of_proposals_that_is_none_is_refused(field, value):
    with pytest.raises(ValueError, match=f"`{field}` to be an integer"):
        training.TrainingConfig(**{field: value})


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_torchvisions(name):
    _, gradients = losses_of(name)
    model = tiny.detector(name)
    stored = golden.group(name, "train")
    norms = dict(
        zip(stored["grad_names"].tolist(), stored["grad_norms"], strict=True)
    )
    far = []
    for path, names in tiny.loaded(name).items():
        if path not in gradients:
            continue
        expected = norms[names[0]]
        got = np.linalg.norm(np.asarray(gradients[path]))
        if expected < 1e-5:  # zero, but for rounding
            assert got < 1e-4
        else:
            far.append(abs(got / expected - 1))
    assert len(far) > 50 and len(model.trainable_variables) == len(gradients)
    # A unit whose input is nearly 0 may switch: some are farther than most.
    assert np.median(far) < 1e-2 and max(far) < 0.05


def test_a_sample_is_a_function_of_its_seed():
    few = training.TrainingConfig(anchors=16, rois=12)
    name = "tiny_mask_rcnn"
    first, again, other = (
        sum(losses_of(name, few, seed)[0].values())
        for seed in ((3, 5), (3, 5), (3, 6))
    )
    assert float(first) == float(again) != float(other)


def test_positive_anchors_are_no_more_than_their_share():
    none = dataclasses.replace(EVERYTHING, positive_anchors=0.0)
    found, _ = losses_of("tiny_mask_rcnn", none)
    assert float(found["rpn_boxes"]) == 0 < float(found["objectness"])


def test_positive_rois_are_no_more_than_their_share():
    full, _ = losses_of("tiny_mask_rcnn")
    one = dataclasses.replace(EVERYTHING, positive_rois=1 / EVERYTHING.rois)
    found, _ = losses_of("tiny_mask_rcnn", one)
    # The sum over one of many positive boxes, by as many boxes or fewer.
    assert 0 < float(found["boxes"]) < 0.5 * float(full["boxes"])


def test_losses_are_means_over_the_samples_of_all_replicas():
    name = "tiny_mask_rcnn"
    alone, _ = losses_of(name)
    shared = training.batch_losses(
        tiny.detector(name),
        batch_of(name),
        EVERYTHING,
        tf.constant([0, 0]),
        total=lambda count: 2 * count,
    )
    for key, value in shared.items():
        np.testing.assert_allclose(2 * value, alone[key], rtol=1e-6)


def test_without_objects_only_the_background_is_learnt():
    name = "tiny_mask_rcnn"
    batch = batch_of(name)
    batch["labels"] = tf.zeros_like(batch["labels"])
    model = tiny.detector(name)
    with tf.GradientTape() as tape:
        found = training.batch_losses(
            model, batch, training.TrainingConfig(), tf.constant([0, 0])
        )
        value = sum(found.values())
    for key in ("rpn_boxes", "boxes", "masks"):
        assert float(found[key]) == 0
    assert float(found["objectness"]) > 0 and float(found["classes"]) > 0
    for gradient in tape.gradient(value, model.trainable_variables):
        assert np.isfinite(np.asarray(gradient)).all()


@pytest.mark.slow
def test_a_graph_has_the_same_losses():
    name = "tiny_mask_rcnn"
    model, batch = tiny.detector(name), batch_of(name)
    seed = tf.constant([0, 0])

    @tf.function
    def graph(batch):
        return training.batch_losses(model, batch, EVERYTHING, seed)

    eager = training.batch_losses(model, batch, EVERYTHING, seed)
    for key, value in graph(batch).items():
        np.testing.assert_allclose(value, eager[key], rtol=1e-4)


def test_boxes_in_a_crowd_are_no_examples():
    name = "tiny_mask_rcnn"
    batch = batch_of(name)
    height, width = (int(side) for side in batch["sizes"][0])
    batch["crowds"] = tf.constant([[[0.0, 0, width, height]]])
    found = training.batch_losses(
        tiny.detector(name), batch, EVERYTHING, tf.constant([0, 0])
    )
    plain, _ = losses_of(name)
    # Of the background nothing is left to learn from.
    assert float(found["classes"]) != pytest.approx(float(plain["classes"]))
    assert float(found["boxes"]) > 0


def test_straddling_anchors_can_be_left_out():
    name = "tiny_mask_rcnn"
    inside = training.TrainingConfig(straddling_anchors=False)
    found, _ = losses_of(name, inside)
    assert 0 < float(found["objectness"]) < 10
