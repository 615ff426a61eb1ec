"""Losses and their gradients beside torchvision's numbers."""

import numpy as np
import pytest
import tensorflow as tf

from nonlocal_tf.detection import (
    anchors,
    boxes,
    keypoints,
    losses,
    matching,
    roi_align,
)
from tests.detection import golden

CLOSE = {"rtol": 1e-5, "atol": 1e-7}
CLOSE_GRADIENT = {"rtol": 0, "atol": 1e-6}


def loss_and_gradients(function, *inputs):
    inputs = [tf.constant(x) for x in inputs]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        total, *parts = function(*inputs)
    return parts, tape.gradient(total, inputs)


@pytest.mark.parametrize("name", ["rpn", "rpn_nopos"])
def test_losses_of_anchors_are_torchvisions(name):
    stored = golden.group("losses", name)
    positive, negative = (
        stored[f"sampled_{sign}"].astype("float32") for sign in ("pos", "neg")
    )
    sampled = positive + negative

    def both(logits, deltas):
        first = losses.objectness(
            tf.reshape(logits, (2, -1)),
            stored["labels"],
            sampled,
            sampled.sum(),
        )
        second = losses.boxes(
            tf.reshape(deltas, (2, -1, 4)),
            stored["regression_targets"],
            positive,
            sampled.sum(),
        )
        return first + second, first, second

    parts, gradients = loss_and_gradients(
        both, stored["objectness"], stored["deltas"]
    )
    expected = stored["loss_objectness"], stored["loss_rpn_box_reg"]
    np.testing.assert_allclose(parts, expected, **CLOSE)
    for got, key in zip(gradients, ("objectness", "deltas"), strict=True):
        np.testing.assert_allclose(got, stored[f"grad_{key}"], **CLOSE_GRADIENT)


@pytest.mark.parametrize("name", ["box", "box_nofg"])
def test_losses_of_boxes_are_torchvisions(name):
    stored = golden.group("losses", name)
    labels, count = stored["labels"], len(stored["labels"])

    def both(logits, deltas):
        first = losses.classes(logits, labels, np.ones(count, "f4"), count)
        chosen = tf.gather(
            tf.reshape(deltas, (count, -1, 4)), labels, batch_dims=1
        )
        positive = (labels > 0).astype("float32")
        second = losses.boxes(
            chosen, stored["regression_targets"], positive, count
        )
        return first + second, first, second

    parts, gradients = loss_and_gradients(
        both, stored["class_logits"], stored["box_regression"]
    )
    expected = stored["loss_classifier"], stored["loss_box_reg"]
    np.testing.assert_allclose(parts, expected, **CLOSE)
    for got, key in zip(
        gradients, ("class_logits", "box_regression"), strict=True
    ):
        np.testing.assert_allclose(got, stored[f"grad_{key}"], **CLOSE_GRADIENT)


def mask_targets(stored, number):
    """Of one image: adaptive ROIAlign of each box's object."""
    of = stored[f"matched_idxs{number}"]
    bitmaps = stored[f"gt_masks{number}"][of].astype("float32")[..., None]
    found = stored[f"proposals{number}"]
    y = roi_align.roi_align_dense(bitmaps, found, 28, most=5)
    return np.asarray(y)[..., 0], stored[f"gt_labels{number}"][of]


def test_targets_and_loss_of_masks_are_torchvisions():
    stored = golden.group("losses", "mask")
    both = [mask_targets(stored, number) for number in (0, 1)]
    targets, labels = (np.concatenate(x) for x in zip(*both, strict=True))
    np.testing.assert_allclose(targets, stored["targets"], rtol=0, atol=2e-5)
    count = len(targets)

    def loss(logits):
        value = losses.masks(
            logits, targets, labels, np.ones(count, "f4"), count
        )
        return value, value

    (value,), (gradient,) = loss_and_gradients(
        loss, golden.channels_last(stored["logits"])
    )
    np.testing.assert_allclose(value, stored["loss_mask"], **CLOSE)
    np.testing.assert_allclose(
        np.moveaxis(gradient, -1, 1), stored["grad_logits"], **CLOSE_GRADIENT
    )


def keypoint_targets(stored):
    found = [
        keypoints.encode(
            stored[f"gt_keypoints{number}"][stored[f"matched_idxs{number}"]],
            stored[f"proposals{number}"],
        )
        for number in (0, 1)
    ]
    return (np.concatenate(x) for x in zip(*found, strict=True))


def test_targets_and_loss_of_keypoints_are_torchvisions():
    stored = golden.group("losses", "keypoint")
    cells, valid = keypoint_targets(stored)
    np.testing.assert_array_equal(cells, stored["target_index"])
    np.testing.assert_array_equal(valid, stored["target_valid"] > 0)

    def loss(logits):
        value = losses.keypoints(
            logits, cells, valid.astype("float32"), valid.sum()
        )
        return value, value

    (value,), (gradient,) = loss_and_gradients(
        loss, golden.channels_last(stored["logits"])
    )
    np.testing.assert_allclose(value, stored["loss_keypoint"], **CLOSE)
    gradient = np.moveaxis(gradient, -1, 1)
    np.testing.assert_allclose(
        gradient[0], stored["grad_logits_roi0"], **CLOSE_GRADIENT
    )
    norms = np.sqrt(np.square(gradient).sum((-1, -2)))
    np.testing.assert_allclose(norms, stored["grad_logits_norm"], atol=1e-6)


def test_without_anything_to_learn_loss_and_gradient_are_zero():
    none = np.zeros((3, 17), "float32")

    def loss(logits):
        value = losses.keypoints(
            logits,
            none.astype("int32"),
            none,
            losses.smallest_denominator(none.sum()),
        )
        return value, value

    logits = np.random.default_rng(0).normal(size=(3, 5, 7, 17))
    (value,), (gradient,) = loss_and_gradients(loss, logits.astype("float32"))
    assert float(value) == 0 and not np.asarray(gradient).any()


@pytest.mark.parametrize("number", [0, 1, 2])
def test_targets_of_anchors_are_torchvisions(number):
    stored = golden.group("losses", "rpn_targets")
    every = np.concatenate(
        anchors.pyramid_anchors(tuple(map(int, stored["image_size"])))
    )
    objects = stored[f"gt_boxes{number}"]
    match = np.asarray(
        matching.match(boxes.iou(objects, every), 0.3, 0.7, True)
    )
    labels = np.select([match >= 0, match == matching.BELOW], [1, 0], -1)
    np.testing.assert_array_equal(labels, stored[f"labels{number}"])
    (positive,) = np.nonzero(labels == 1)
    np.testing.assert_array_equal(positive, stored[f"positive_index{number}"])
    if len(positive):
        targets = boxes.encode(objects[match[positive]], every[positive])
        expected = stored[f"positive_regression_targets{number}"]
        np.testing.assert_allclose(targets, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_targets_of_boxes_are_torchvisions(number):
    objects = golden.arrays("losses")[f"rpn_targets/gt_boxes{number}"]
    stored = golden.group("losses", "roi_targets")
    every = np.concatenate([stored[f"proposals{number}"], objects])
    np.testing.assert_array_equal(every, stored[f"all_proposals{number}"])
    match = np.asarray(matching.match(boxes.iou(objects, every), 0.5, 0.5))
    is_object = match >= 0
    of = np.where(is_object, match, 0)
    np.testing.assert_array_equal(of, stored[f"matched_idxs{number}"])
    if len(objects):
        labels = np.where(is_object, stored[f"gt_labels{number}"][of], 0)
        np.testing.assert_array_equal(labels, stored[f"labels{number}"])
        targets = boxes.encode(objects[of], every, boxes.HEAD_WEIGHTS)
        expected = stored[f"regression_targets{number}"]
        np.testing.assert_allclose(targets, expected, rtol=1e-5, atol=1e-5)


def test_targets_that_are_not_used_need_not_be_finite():
    targets = np.array([[1.0, 2, 3, 4], [np.inf, -np.inf, np.nan, 0]], "f4")
    weights = np.array([1.0, 0.0], "f4")

    def loss(deltas):
        value = losses.boxes(deltas, targets, weights, 2.0)
        return value, value

    (value,), (gradient,) = loss_and_gradients(loss, np.zeros((2, 4), "f4"))
    assert float(value) == pytest.approx(
        (10 - 4 / 18) / 2
    )  # linear but for 1/18
    np.testing.assert_allclose(gradient, [[-0.5] * 4, [0] * 4], atol=1e-7)
