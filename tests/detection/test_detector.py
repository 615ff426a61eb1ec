"""Whole detectors beside torchvision's, stage by stage."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from nonlocal_tf.detection import anchors, detector, heads, transform
from nonlocal_tf.detection.pyramid import build_pyramid
from tests.detection import tiny

# float32 in another order; torch's own is as far from its float64.
MAPS_CLOSE = 1e-4


@pytest.fixture(params=tiny.NAMES)
def name(request):
    return request.param


def inputs(name):
    given, arrays = tiny.stored(name)
    return transform.prepare(
        arrays["image"], given["min_size"], given["max_size"]
    )


def stages(name):
    """Maps, (logits, deltas) a level, and proposals."""
    model, (x, size) = tiny.detector(name), inputs(name)
    maps = model.pyramid(x)
    sizes = np.asarray([size], "int32")
    proposals = model.propose(maps, x.shape[1:3], sizes)
    return maps, [model.rpn(m) for m in maps], proposals, sizes


def test_maps_and_proposal_network_are_torchvisions(name):
    _, arrays = tiny.stored(name)
    maps, outputs, _, _ = stages(name)
    levels = [level for level in range(2, 7) if f"P{level}" in arrays]
    for level in levels:
        got = np.moveaxis(maps[level - 2], -1, 1)
        assert tiny.far(got, arrays[f"P{level}"]) < MAPS_CLOSE
    for level in levels if "rpn_logits_P2" in arrays else []:
        logits, deltas = outputs[level - 2]
        expected = np.moveaxis(arrays[f"rpn_logits_P{level}"], 1, -1)
        assert tiny.far(logits[0], expected.reshape(-1)) < MAPS_CLOSE
        expected = np.moveaxis(arrays[f"rpn_deltas_P{level}"], 1, -1)
        assert tiny.far(deltas[0], expected.reshape(-1, 4)) < MAPS_CLOSE


def nearest(found, expected):
    """For each expected box the number of the nearest, and how far it is."""
    distance = np.abs(found[None] - expected[:, None]).max(-1)
    return distance.argmin(-1), distance.min(-1)


def test_proposals_are_torchvisions(name):
    _, arrays = tiny.stored(name)
    found, scores = (np.asarray(x)[0] for x in stages(name)[2])
    expected = arrays["proposals"]
    assert (scores > 0).sum() == len(expected)
    at, distance = nearest(found, expected)
    assert distance.max() < tiny.PIXELS_CLOSE[name]
    assert len(set(at)) == len(expected)
    expected = arrays["proposal_scores"]
    np.testing.assert_allclose(scores[at], expected, rtol=0, atol=1e-3)


def test_the_box_head_is_torchvisions(name):
    _, arrays = tiny.stored(name)
    model, maps = tiny.detector(name), stages(name)[0]
    boxes = arrays["proposals"][None]
    logits, deltas = model.on_boxes(model.box_head, maps, boxes)
    assert tiny.far(logits[0], arrays["class_logits"]) < MAPS_CLOSE
    deltas = np.reshape(deltas[0], (len(deltas[0]), -1))
    assert tiny.far(deltas, arrays["box_regression"]) < MAPS_CLOSE


def detections(name):
    given, arrays = tiny.stored(name)
    return detector.detect(
        tiny.detector(name),
        arrays["image"],
        given["min_size"],
        given["max_size"],
    )


def order(name, found):
    """Of each of torchvision's the nearest of ours with its label."""
    _, arrays = tiny.stored(name)
    offset = 1e4 * found.labels[:, None], 1e4 * arrays["final_labels"][:, None]
    at, distance = nearest(
        found.boxes + offset[0], arrays["final_boxes"] + offset[1]
    )
    assert len(set(at)) == len(at) == len(found.boxes)
    return at, distance


def test_detections_are_torchvisions(name):
    _, arrays = tiny.stored(name)
    found = detections(name)
    at, distance = order(name, found)
    # Of offset boxes, which are float32 numbers up to 5e4.
    assert distance.max() < tiny.PIXELS_CLOSE[name] + 4e-3
    expected = arrays["final_scores"]
    np.testing.assert_allclose(found.scores[at], expected, rtol=0, atol=1e-3)
    np.testing.assert_array_equal(found.labels[at], arrays["final_labels"])


@pytest.mark.parametrize(
    ("name", "close"),
    [("tiny_mask_rcnn", 5e-3), ("tiny_mask_rcnn_resize", 2e-2)],
)
def test_masks_are_torchvisions(name, close):
    _, arrays = tiny.stored(name)
    model, (x, size) = tiny.detector(name), inputs(name)
    out = model({"images": x, "sizes": np.asarray([size], "int32")})
    found = detections(name)
    at, _ = order(name, found)
    masks = np.asarray(out["masks"])[0][at]
    np.testing.assert_allclose(masks, arrays["masks"], rtol=0, atol=close)
    shape = arrays["final_pasted_shape"]
    binary = np.unpackbits(arrays["final_pasted_binary"], count=np.prod(shape))
    assert (found.masks[at] != binary.reshape(shape)).mean() < 1e-3


def test_keypoints_are_torchvisions():
    name = "tiny_keypoint_rcnn"
    _, arrays = tiny.stored(name)
    found = detections(name)
    at, _ = order(name, found)
    sure = arrays["keypoints_margin"] > 0.02
    assert sure.mean() > 0.5
    got, expected = found.keypoints[at][sure], arrays["final_keypoints"][sure]
    np.testing.assert_allclose(got, expected, rtol=0, atol=0.05)
    # Logits, of which the largest are about 4.
    got, expected = found.keypoint_scores[at], arrays["final_keypoints_scores"]
    assert tiny.far(got, expected) < 1e-3


def test_two_images_are_each_as_alone():
    name = "tiny_mask_rcnn"
    model, (x, size) = tiny.detector(name), inputs(name)
    both = tf.concat([x, x[:, :, ::-1]], 0)
    sizes = np.asarray([size, size], "int32")
    together = model({"images": both, "sizes": sizes})
    alone = model({"images": both[1:], "sizes": sizes[1:]})
    assert int(together["count"][1]) == int(alone["count"][0]) > 0
    for key in ("boxes", "scores", "masks"):
        np.testing.assert_allclose(
            together[key][1], alone[key][0], rtol=1e-3, atol=1e-3
        )


def test_a_graph_gives_the_same():
    name = "tiny_mask_rcnn"
    model, (x, size) = tiny.detector(name), inputs(name)
    given = {"images": x, "sizes": tf.constant([size], tf.int32)}
    eager, graph = model(given), tf.function(model)(given)
    for key in ("boxes", "scores", "labels", "masks"):
        np.testing.assert_allclose(graph[key], eager[key], rtol=0, atol=1e-3)


def test_boxes_with_a_side_below_the_smallest_are_no_detections():
    name = "tiny_mask_rcnn"
    assert len(detections(name).boxes) > 0
    model = tiny.detector(name, detection_side_px=1e4)
    x, size = inputs(name)
    out = model({"images": x, "sizes": np.asarray([size], "int32")})
    assert int(out["count"][0]) == 0


def test_an_empty_image_has_no_detections():
    model = tiny.detector("tiny_mask_rcnn", least_score=0.99)
    found = detector.detect(model, np.zeros((64, 96, 3), "uint8"), 64, 96)
    assert found.boxes.shape == (0, 4) and found.masks.shape == (0, 64, 96)


@pytest.mark.parametrize(
    "pairwise",
    ["embedded_gaussian", "gaussian", "dot_product", "concatenation"],
)
def test_a_new_block_leaves_all_maps_bit_equal(pairwise):
    name = "tiny_mask_rcnn"
    block = {"pairwise": pairwise}
    x, _ = inputs(name)
    plain = tiny.detector(name).pyramid
    model = build_pyramid(tiny.config_of(name, nonlocal_block=block))
    for variable in plain.weights:
        layer, role = variable.path.split("/")[-2:]
        setattr_of = getattr(model.get_layer(layer), role)
        setattr_of.assign(variable)
    for got, expected in zip(model(x), plain(x), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("layers", "place"),
    [((3, 4, 6, 3), 4), ((3, 4, 23, 3), 21), ((3, 8, 36, 3), 34)],
)
def test_the_block_is_before_the_last_of_res4(layers, place):
    config = dataclasses.replace(
        tiny.config_of("tiny_mask_rcnn", nonlocal_block={}), layers=layers
    )
    names = [layer.name for layer in build_pyramid(config).layers]
    (block,) = (n for n in names if n.endswith("_nonlocal"))
    assert block == f"res4_block{place}_nonlocal"
    after = names.index(block)
    assert f"res4_block{place + 1}_conv1" in names[after:]
    assert f"res4_block{place + 2}_conv1" not in names


def test_the_block_of_res4_has_as_many_weights_as_the_paper_has_it():
    config = tiny.config_of("tiny_mask_rcnn")
    wide = dataclasses.replace(config, layers=(1, 1, 2, 1), width=64)
    with_one = dataclasses.replace(wide, nonlocal_block={})
    more = build_pyramid(with_one).count_params()
    more -= build_pyramid(wide).count_params()
    # 1024 to 512 three times and back, with biases, and a scale and a shift.
    assert more == 3 * (1024 * 512 + 512) + 512 * 1024 + 3 * 1024 == 2_101_760


def test_blocks_follow_every_second_convolution_of_the_keypoint_head():
    config = tiny.config_of("tiny_keypoint_rcnn", keypoint_nonlocal_block={})
    head = heads.build_keypoint_head(config)
    names = [layer.name for layer in head.layers]
    for number in (2, 4, 6, 8):
        at = names.index(f"keypoint_nonlocal{number}")
        assert names[at - 1] == f"keypoint_conv{number}"
        assert head.layers[at].pool_size == (2, 2)
    assert sum("nonlocal" in n for n in names) == 4


def test_scales_are_those_of_the_strides():
    assert detector.SCALES == (1 / 4, 1 / 8, 1 / 16, 1 / 32)
    assert len(anchors.grid_sizes((64, 96))) == 5


def test_a_config_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="stride_on"):
        tiny.config_of("tiny_mask_rcnn", stride_on="5x5")
    with pytest.raises(ValueError, match="last residual block of res4"):
        tiny.config_of("tiny_keypoint_rcnn", nonlocal_block={})


def test_normalisations_are_frozen():
    model = tiny.detector("tiny_mask_rcnn")
    trained = {variable.path for variable in model.trainable_variables}
    assert not any("affine" in path for path in trained)
    assert any("conv1/kernel" in path for path in trained)
    assert keras.backend.backend() == "tensorflow"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("tiny_mask_rcnn", marks=pytest.mark.slow),
        "tiny_keypoint_rcnn",
    ],
)
def test_the_graph_finds_the_same_in_pictures_of_any_size(name):
    model = tiny.detector(name)
    in_graph = model.in_graph()
    image = tiny.stored(name)[1]["image"]
    # Also smaller than there are proposals a level.
    for height, width in ((128, 160), (64, 96), (40, 25)):
        part = image[:height, :width]
        sides = min(part.shape[:2]), max(part.shape[:2])
        expected = detector.detect(model, part, *sides)
        found = detector.detect(in_graph, part, *sides)
        at, distance = nearest(found.boxes, expected.boxes)
        assert len(set(at)) == len(expected.boxes) == len(found.boxes)
        # The same operations, which a graph may put together.
        assert distance.max() < 1e-3
        np.testing.assert_allclose(
            found.scores[at], expected.scores, rtol=0, atol=1e-5
        )
        np.testing.assert_array_equal(found.labels[at], expected.labels)
    assert in_graph.experimental_get_tracing_count() == 1
