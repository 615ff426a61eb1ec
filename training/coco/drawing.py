"""What was found, drawn on the picture."""

import colorsys
import io
import math
from collections.abc import Sequence

import numpy as np

from nonlocal_tf.attention.plots import fonts
from nonlocal_tf.detection import Detections

from ..io.user_error import missing_extra
from . import label_places
from .annotations import Category

MASK_SHARE = 0.45
# Turns of the circle of colours from one label to the next: the golden ratio
# keeps any number of them apart.
TURN = 0.618034
# Of a keypoint's score, a logit: below it nothing is drawn.
LEAST_KEYPOINT = 0.0
# Of the font; it grows with the shorter side of the picture.
TEXT_PX = (11, 28)
TEXT_SHARE = 1 / 36
PAD_PX = 2  # left and right of a label's text
# Labels are up to half as wide as the picture, or this, or as their box.
LABEL_PX = 90
SHORTEST_EM = 3  # room of a name beside its score, in sizes of the font


def png(
    image: np.ndarray,
    found: Detections,
    categories: Sequence[Category],
    score_threshold: float,
) -> bytes:
    """The picture with boxes, masks, keypoints and names of classes.

    Labels are inside the picture and do not cover each other: where there is
    no place near a box, the box with the lower score has none. Long names are
    shortened.

    Args:
        image: uint8 RGB `(height, width, 3)`.
        found: in its pixels.
        categories: label 1 is the first.
        score_threshold: of what is drawn.

    Raises:
        UserError: Pillow is not installed.
    """
    Image, ImageDraw = require()
    shown = np.flatnonzero(found.scores >= score_threshold)
    picture = Image.fromarray(_with_masks(image, found, shown))
    draw = ImageDraw.Draw(picture)
    width = max(1, min(image.shape[:2]) // 200)
    for number in shown[::-1]:
        category = categories[found.labels[number] - 1]
        colour = colour_of(found.labels[number])
        box = [float(side) for side in found.boxes[number]]
        draw.rectangle(box, outline=colour, width=width)
        _draw_keypoints(draw, found, number, category, width)
    _draw_labels(draw, found, shown, categories, picture.size)
    content = io.BytesIO()
    picture.save(content, format="PNG")
    return content.getvalue()


def require():
    """Pillow's modules to draw with.

    Raises:
        UserError: it is not installed.
    """
    try:
        return fonts.pillow()
    except ImportError as error:
        raise missing_extra("pillow", "viz") from error


def colour_of(label: int) -> tuple[int, int, int]:
    """A colour of its own for each label."""
    red, green, blue = colorsys.hsv_to_rgb(label * TURN % 1, 0.85, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def _with_masks(image: np.ndarray, found: Detections, shown) -> np.ndarray:
    if found.masks is None:
        return image
    pixels = image.astype(np.float32)
    for number in shown[::-1]:  # the best is on top
        mask = found.masks[number]
        colour = np.array(colour_of(found.labels[number]), np.float32)
        pixels[mask] += MASK_SHARE * (colour - pixels[mask])
    return pixels.round().astype(np.uint8)


def _draw_labels(draw, found: Detections, shown, categories, size) -> None:
    """Writes names and scores beside the boxes, the best first."""
    text_px = int(np.clip(min(size) * TEXT_SHARE, *TEXT_PX))
    boxes = [(b[0], b[1], b[2], b[3]) for b in found.boxes[shown].tolist()]
    texts = []
    for number, box in zip(shown, boxes, strict=True):
        name = categories[found.labels[number] - 1].name
        room = min(max(size[0] / 2, box[2] - box[0], LABEL_PX), size[0])
        room -= 2 * PAD_PX
        texts.append(_label(name, float(found.scores[number]), room, text_px))
    height = fonts.text_height(text_px)
    sizes = [
        (math.ceil(fonts.text_width(text, text_px)) + 2 * PAD_PX, height)
        for text in texts
    ]
    corners = label_places.place_labels(boxes, sizes, size)
    for number, text, (wide, high), corner in zip(
        shown, texts, sizes, corners, strict=True
    ):
        if corner is None or not text:
            continue
        x, y = corner
        colour = colour_of(found.labels[number])
        draw.rectangle((x, y, x + wide - 1, y + high - 1), fill=colour)
        fonts.write(draw, (x + PAD_PX, y), text, text_px, (0, 0, 0))


def _label(name: str, score: float, room: float, text_px: int) -> str:
    """A name and its score, shortened to fit."""
    written = f" {score:.2f}"
    name_room = room - fonts.text_width(written, text_px)
    short = fonts.shortened(name, name_room, text_px)
    if short == name or name_room >= SHORTEST_EM * text_px:
        return short + written
    return fonts.shortened(name, room, text_px)


def _draw_keypoints(draw, found: Detections, number, category, width) -> None:
    if found.keypoints is None or found.keypoint_scores is None:
        return
    points = [tuple(map(float, point[:2])) for point in found.keypoints[number]]
    is_seen = found.keypoint_scores[number] > LEAST_KEYPOINT
    for first, second in category.skeleton:
        ends = (first - 1, second - 1)
        if all(is_seen[end] for end in ends):
            draw.line(
                [points[end] for end in ends], fill=(255, 255, 0), width=width
            )
    radius = 1.5 * width
    for (x, y), seen in zip(points, is_seen, strict=True):
        if seen:
            draw.ellipse(
                (x - radius, y - radius, x + radius, y + radius),
                fill=(255, 0, 255),
            )
