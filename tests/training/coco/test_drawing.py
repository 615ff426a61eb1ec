"""Drawing of detections on an image."""

import numpy as np
import pytest
import tensorflow as tf

from nonlocal_tf.detection import Detections
from tests.attention.plots import rendered_text
from training.coco import drawing
from training.coco.annotations import Category

pytest.importorskip("PIL")
CATEGORIES = (Category(1, "dog"), Category(2, "crane", ("a", "b"), ((1, 2),)))
GREY = (100, 100, 100)


def draw(detections, score_threshold=0.5):
    """Return the pixels of detections that are drawn on a grey image."""
    image = np.full((60, 80, 3), 100, "uint8")
    content = drawing.png(image, detections, CATEGORIES, score_threshold)
    return tf.io.decode_png(content).numpy()


def detections_of(scores, label=1, **arrays):
    boxes = np.float32([[10, 20, 40, 50], [50, 20, 70, 50]])[: len(scores)]
    labels = np.full(len(scores), label, "int32")
    return Detections(boxes, labels, np.float32(scores), **arrays)


def test_a_box_has_the_colour_of_its_class():
    pixels = draw(detections_of([0.9]))
    for x, y in ((10, 35), (40, 35), (25, 50)):
        assert tuple(pixels[y, x]) == drawing.colour_of(1)
    assert tuple(pixels[35, 25]) == GREY


def test_detections_below_the_threshold_are_not_drawn():
    pixels = draw(detections_of([0.9, 0.4]))
    assert (pixels[22:, 45:] == 100).all()  # below the label of the other


def test_a_mask_is_tinted():
    masks = np.zeros((1, 60, 80), bool)
    masks[0, 30:40, 20:30] = True
    pixels = draw(detections_of([0.9], masks=masks))
    colour = np.array(drawing.colour_of(1))
    expected = 100 + drawing.MASK_OPACITY * (colour - 100)
    np.testing.assert_allclose(pixels[35, 25], expected, atol=0.51)
    assert tuple(pixels[45, 25]) == GREY


def test_keypoints_of_a_high_score_are_drawn_and_joined():
    points = np.float32([[[15, 40, 1], [35, 40, 1]]])
    pixels, with_hidden = (
        draw(
            detections_of(
                [0.9], 2, keypoints=points, keypoint_scores=np.float32([logits])
            )
        )
        for logits in ([1, 1], [1, -1])
    )
    assert tuple(pixels[40, 25]) == drawing.SKELETON_COLOUR
    assert tuple(pixels[40, 15]) == drawing.KEYPOINT_COLOUR
    assert tuple(with_hidden[40, 25]) == tuple(with_hidden[40, 35]) == GREY


def test_labels_have_different_colours():
    colours = {drawing.colour_of(label) for label in range(1, 91)}
    assert len(colours) > 80


@pytest.mark.parametrize("size", [(9, 9), (32, 41), (60, 80), (300, 230)])
def test_names_are_not_cut_and_do_not_overlap(size, monkeypatch):
    names = [
        "Übergrößenträger",
        "cat",
        "one with a very long name " * 3,
        "日本",
    ]
    categories = [Category(n, name) for n, name in enumerate(names, start=1)]
    rng = np.random.default_rng(3)
    corners = rng.uniform(-4, 0.9, (40, 2)) * size[::-1]
    boxes = np.concatenate([corners, corners + rng.uniform(2, 90, (40, 2))], 1)
    labels = rng.integers(1, 5, 40)
    detections = Detections(boxes, labels, np.linspace(1, 0.6, 40))
    image = np.zeros((*size, 3), "uint8")
    with rendered_text.recorded(monkeypatch) as texts:
        drawing.png(image, detections, categories, 0.5)
    rendered_text.check(texts)
    assert texts or size == (9, 9)
    assert not any("very long name one" in text for *_, text in texts)


def test_a_name_keeps_its_accents():
    image = np.zeros((60, 80, 3), "uint8")
    drawings = {
        drawing.png(image, detections_of([0.9]), (Category(1, name),), 0.5)
        for name in ("Tür", "Tur", "T?r")
    }
    assert len(drawings) == 3
