"""Whole detectors, compared with torchvision's stage by stage."""

import numpy as np
import pytest
import tensorflow as tf

from nonlocal_tf.detection import anchors, model
from nonlocal_tf.detection.config import DetectorConfig
from tests.detection import tiny_detectors
from tests.detection.tiny_detectors import nearest, relative_error

# float32 in another order; torch's own is as far from its float64.
MAP_TOLERANCE = 1e-4


@pytest.fixture(params=tiny_detectors.NAMES)
def name(request):
    return request.param


def stages(name):
    """Return maps, (logits, deltas) of each level, and proposals."""
    detector, (x, size) = (
        tiny_detectors.detector(name),
        tiny_detectors.inputs(name),
    )
    maps = detector.pyramid(x)
    outputs = [detector.rpn(m) for m in maps]
    sizes = np.asarray([size], "int32")
    return maps, outputs, detector.proposals(outputs, x.shape[1:3], sizes)


def test_maps_and_rpn_outputs_equal_torchvision(name):
    _, arrays = tiny_detectors.stored(name)
    maps, outputs, _ = stages(name)
    levels = [level for level in range(2, 7) if f"P{level}" in arrays]
    for level in levels:
        actual = np.moveaxis(maps[level - 2], -1, 1)
        assert relative_error(actual, arrays[f"P{level}"]) < MAP_TOLERANCE
    for level in levels if "rpn_logits_P2" in arrays else []:
        logits, deltas = outputs[level - 2]
        expected = np.moveaxis(arrays[f"rpn_logits_P{level}"], 1, -1)
        expected = expected.reshape(-1)
        assert relative_error(logits[0], expected) < MAP_TOLERANCE
        expected = np.moveaxis(arrays[f"rpn_deltas_P{level}"], 1, -1)
        expected = expected.reshape(-1, 4)
        assert relative_error(deltas[0], expected) < MAP_TOLERANCE


def test_proposals_equal_torchvision(name):
    _, arrays = tiny_detectors.stored(name)
    boxes, scores = (np.asarray(x)[0] for x in stages(name)[2])
    expected = arrays["proposals"]
    assert (scores > 0).sum() == len(expected)
    index, distance = nearest(boxes, expected)
    assert distance.max() < tiny_detectors.BOX_TOLERANCES[name]
    assert len(set(index)) == len(expected)
    expected = arrays["proposal_scores"]
    np.testing.assert_allclose(scores[index], expected, rtol=0, atol=1e-3)


def test_box_head_outputs_equal_torchvision(name):
    _, arrays = tiny_detectors.stored(name)
    detector, maps = tiny_detectors.detector(name), stages(name)[0]
    boxes = arrays["proposals"][None]
    logits, deltas = detector.apply_head(detector.box_head, maps, boxes)
    assert relative_error(logits[0], arrays["class_logits"]) < MAP_TOLERANCE
    deltas = np.reshape(deltas[0], (len(deltas[0]), -1))
    assert relative_error(deltas, arrays["box_regression"]) < MAP_TOLERANCE


def match_detections(name):
    """Return for each of torchvision's detections ours, and its distance."""
    _, arrays = tiny_detectors.stored(name)
    detections = tiny_detectors.detections(name)
    # Only boxes of the same label are near each other.
    index, distance = nearest(
        detections.boxes + 1e4 * detections.labels[:, None],
        arrays["final_boxes"] + 1e4 * arrays["final_labels"][:, None],
    )
    assert len(set(index)) == len(index) == len(detections.boxes)
    return index, distance


def test_detections_equal_torchvision(name):
    _, arrays = tiny_detectors.stored(name)
    detections = tiny_detectors.detections(name)
    index, distance = match_detections(name)
    # Of offset boxes, which are float32 numbers up to 5e4.
    assert distance.max() < tiny_detectors.BOX_TOLERANCES[name] + 4e-3
    np.testing.assert_allclose(
        detections.scores[index], arrays["final_scores"], rtol=0, atol=1e-3
    )
    np.testing.assert_array_equal(
        detections.labels[index], arrays["final_labels"]
    )


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [("tiny_mask_rcnn", 5e-3), ("tiny_mask_rcnn_resize", 2e-2)],
)
def test_masks_equal_torchvision(name, tolerance):
    _, arrays = tiny_detectors.stored(name)
    index, _ = match_detections(name)
    masks = np.asarray(tiny_detectors.outputs(name)["masks"])[0][index]
    np.testing.assert_allclose(masks, arrays["masks"], rtol=0, atol=tolerance)
    shape = arrays["final_pasted_shape"]
    binary = np.unpackbits(arrays["final_pasted_binary"], count=np.prod(shape))
    pasted = tiny_detectors.detections(name).masks[index]
    assert (pasted != binary.reshape(shape)).mean() < 1e-3


def test_keypoints_equal_torchvision():
    name = "tiny_keypoint_rcnn"
    _, arrays = tiny_detectors.stored(name)
    detections = tiny_detectors.detections(name)
    index, _ = match_detections(name)
    is_clear = arrays["keypoints_margin"] > 0.02
    assert is_clear.mean() > 0.5
    np.testing.assert_allclose(
        detections.keypoints[index][is_clear],
        arrays["final_keypoints"][is_clear],
        rtol=0,
        atol=0.05,
    )
    scores = detections.keypoint_scores[index]
    assert relative_error(scores, arrays["final_keypoints_scores"]) < 1e-3


def test_images_of_a_batch_are_independent():
    name = "tiny_mask_rcnn"
    detector = tiny_detectors.detector(name)
    x, size = tiny_detectors.inputs(name)
    images = tf.concat([x, x[:, :, ::-1]], 0)
    sizes = np.asarray([size, size], "int32")
    batch = detector({"images": images, "sizes": sizes})
    single = detector({"images": images[1:], "sizes": sizes[1:]})
    assert int(batch["count"][1]) == int(single["count"][0]) > 0
    for key in ("boxes", "scores", "masks"):
        np.testing.assert_allclose(
            batch[key][1], single[key][0], rtol=1e-3, atol=1e-3
        )


def test_graph_outputs_equal_eager_ones():
    name = "tiny_mask_rcnn"
    x, size = tiny_detectors.inputs(name)
    graph = tf.function(tiny_detectors.detector(name))
    outputs = graph({"images": x, "sizes": tf.constant([size], tf.int32)})
    expected = tiny_detectors.outputs(name)
    # Boxes are pixels up to 160; elsewhere they differed by 1e-3.
    bounds = {"boxes": 1e-2, "scores": 1e-3, "labels": 0, "masks": 5e-3}
    for key, bound in bounds.items():
        np.testing.assert_allclose(
            outputs[key], expected[key], rtol=0, atol=bound
        )


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("tiny_mask_rcnn", marks=pytest.mark.slow),
        "tiny_keypoint_rcnn",
    ],
)
def test_inference_function_takes_images_of_any_size(name):
    detector = tiny_detectors.detector(name)
    function = detector.inference_function()
    image = tiny_detectors.stored(name)[1]["image"]
    # The smallest has fewer anchors than proposals of a level.
    for height, width in ((128, 160), (64, 96), (40, 25)):
        crop = image[:height, :width]
        sides = min(crop.shape[:2]), max(crop.shape[:2])
        expected = model.detect(detector, crop, *sides)
        actual = model.detect(function, crop, *sides)
        index, distance = nearest(actual.boxes, expected.boxes)
        assert len(set(index)) == len(expected.boxes) == len(actual.boxes)
        # The same operations, which a graph may fuse, on up to 160 pixels.
        assert distance.max() < 1e-2
        np.testing.assert_allclose(
            actual.scores[index], expected.scores, rtol=0, atol=1e-5
        )
        np.testing.assert_array_equal(actual.labels[index], expected.labels)
    assert function.experimental_get_tracing_count() == 1


def test_detections_have_class_names(monkeypatch):
    name = "tiny_mask_rcnn"
    settings, arrays = tiny_detectors.stored(name)
    names = tuple(f"class {i}" for i in range(1, settings["num_classes"]))
    detector = model.MaskRCNN(
        tiny_detectors.config_of(name),
        names,
        tiny_detectors.detector(name).image_preprocessing,
    )
    monkeypatch.setattr(
        detector,
        "inference_function",
        lambda: lambda inputs: tiny_detectors.outputs(name),
    )
    detections = detector.detect(arrays["image"])
    expected = tiny_detectors.detections(name)
    np.testing.assert_array_equal(detections.boxes, expected.boxes)
    assert detections.classes == tuple(f"class {i}" for i in expected.labels)
    assert len(set(detections.classes)) > 1


def test_class_names_are_counted():
    with pytest.raises(ValueError, match="2 class names.*Received: 1"):
        model.MaskRCNN(DetectorConfig(3), ["dog"])


def test_a_detector_has_its_own_losses():
    detector = tiny_detectors.detector("tiny_mask_rcnn")
    with pytest.raises(ValueError, match="own losses.*Received: loss"):
        detector.compile("sgd", loss="mse")


def test_clips_with_labels_are_no_batches_of_a_detector():
    detector = model.MaskRCNN(tiny_detectors.config_of("tiny_mask_rcnn"))
    detector.compile()
    clips = np.zeros((1, 2, 32, 64, 3), "float32")
    with pytest.raises(ValueError, match="load_coco.*'seeds'.*32, 64, 3"):
        detector.fit(clips, np.zeros(1), verbose=0)


def test_keras_files_of_a_detector_are_unsupported(tmp_path):
    detector = tiny_detectors.detector("tiny_mask_rcnn")
    with pytest.raises(NotImplementedError, match="save_weights"):
        detector.save(tmp_path / "detector.keras")


def test_boxes_with_a_small_side_are_no_detections():
    name = "tiny_mask_rcnn"
    assert len(tiny_detectors.detections(name).boxes) > 0
    detector = tiny_detectors.detector(name, detection_min_side_px=1e4)
    x, size = tiny_detectors.inputs(name)
    outputs = detector({"images": x, "sizes": np.asarray([size], "int32")})
    assert int(outputs["count"][0]) == 0


def test_an_image_without_detections_has_empty_arrays():
    detector = tiny_detectors.detector("tiny_mask_rcnn", score_threshold=0.99)
    image = np.zeros((64, 96, 3), "uint8")
    detections = model.detect(detector, image, 64, 96)
    assert detections.boxes.shape == (0, 4)
    assert detections.masks.shape == (0, 64, 96)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((64, 96, 3), "float32"),
        np.zeros((1, 64, 96, 3), "uint8"),
        np.zeros((64, 96), "uint8"),
        np.zeros((0, 96, 3), "uint8"),
        "photo.jpg",
    ],
    ids=["float", "batch", "grey", "empty", "path"],
)
def test_other_images_are_refused(image):
    detector = tiny_detectors.detector("tiny_mask_rcnn")
    with pytest.raises(ValueError, match="Expected image as uint8 RGB"):
        model.detect(detector, image, 64, 96)


def test_heads_read_one_map_of_each_stride():
    assert model.SCALES == (1 / 4, 1 / 8, 1 / 16, 1 / 32)
    assert len(anchors.grid_sizes((64, 96))) == 5


def test_normalizations_are_frozen():
    detector = tiny_detectors.detector("tiny_mask_rcnn")
    trainable = {variable.path for variable in detector.trainable_variables}
    assert not any("affine" in path for path in trainable)
    assert any("conv1/kernel" in path for path in trainable)
