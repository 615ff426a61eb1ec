"""Drawing of detections on their image: boxes, masks, keypoints, labels."""

import colorsys
import io
import math
from collections.abc import Sequence

import numpy as np

from nonlocal_tf.attention.plots import fonts
from nonlocal_tf.detection import Detections
from nonlocal_tf.typing import PILDraw, PILImage

from ..io.user_error import missing_extra
from . import label_placement
from .annotations import Category

MASK_OPACITY = 0.45
# Hues between consecutive labels: the golden ratio keeps any number of them
# apart.
HUE_STEP = 0.618034
KEYPOINT_THRESHOLD = 0.0  # of a keypoint's score, a logit
# Font size: a share of the image's shorter side, within limits.
TEXT_PX = (11, 28)
TEXT_SHARE = 1 / 36
PADDING_PX = 2  # left and right of a label's text
# A label is as wide as half of the image, this, or its box, at most.
LABEL_PX = 90
MIN_NAME_EM = 3  # room of a name beside its score, in font sizes
SKELETON_COLOUR, KEYPOINT_COLOUR = (255, 255, 0), (255, 0, 255)


def png(
    image: np.ndarray,
    detections: Detections,
    categories: Sequence[Category],
    score_threshold: float,
) -> bytes:
    """Draw an image as `draw_detections` does, and encode it as PNG."""
    content = io.BytesIO()
    canvas = draw_detections(image, detections, categories, score_threshold)
    canvas.save(content, format="PNG")
    return content.getvalue()


def draw_detections(
    image: np.ndarray,
    detections: Detections,
    categories: Sequence[Category],
    score_threshold: float,
) -> PILImage:
    """Draw boxes, masks, keypoints and class names on an image.

    Labels are inside the image and do not overlap: where there is no place
    near a box, the box with the lower score has none. Long names are
    shortened.

    Args:
        image: uint8 RGB `(height, width, 3)`.
        detections: detections in its pixels.
        categories: categories of the detector; label 1 is the first.
        score_threshold: smallest score of a detection that is drawn.

    Returns:
        A `PIL.Image.Image` of the same size.

    Raises:
        UserError: Pillow is not installed.
    """
    Image, ImageDraw = require()
    drawn = np.flatnonzero(detections.scores >= score_threshold)
    canvas = Image.fromarray(_with_masks(image, detections, drawn))
    draw = ImageDraw.Draw(canvas)
    width = max(1, min(image.shape[:2]) // 200)
    for number in drawn[::-1]:  # the best on top
        category = categories[detections.labels[number] - 1]
        colour = colour_of(detections.labels[number])
        box = [float(side) for side in detections.boxes[number]]
        draw.rectangle(box, outline=colour, width=width)
        _draw_keypoints(draw, detections, number, category, width)
    _draw_labels(draw, detections, drawn, categories, canvas.size)
    return canvas


def require():
    """Return Pillow's `Image` and `ImageDraw`.

    Raises:
        UserError: it is not installed.
    """
    try:
        return fonts.pillow()
    except ImportError as error:
        raise missing_extra("pillow", "viz") from error


def colour_of(label: int) -> tuple[int, int, int]:
    """Return the colour of a label, RGB."""
    red, green, blue = colorsys.hsv_to_rgb(label * HUE_STEP % 1, 0.85, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def _with_masks(
    image: np.ndarray, detections: Detections, drawn: np.ndarray
) -> np.ndarray:
    if detections.masks is None:
        return image
    pixels = image.astype(np.float32)
    for number in drawn[::-1]:
        mask = detections.masks[number]
        colour = np.array(colour_of(detections.labels[number]), np.float32)
        pixels[mask] += MASK_OPACITY * (colour - pixels[mask])
    return pixels.round().astype(np.uint8)


def _draw_labels(
    draw: PILDraw, detections: Detections, drawn, categories, image_size
) -> None:
    """Draw names and scores beside the boxes, the best first."""
    text_px = int(np.clip(min(image_size) * TEXT_SHARE, *TEXT_PX))
    boxes = [(b[0], b[1], b[2], b[3]) for b in detections.boxes[drawn].tolist()]
    texts = []
    for number, box in zip(drawn, boxes, strict=True):
        name = categories[detections.labels[number] - 1].name
        room = max(image_size[0] / 2, box[2] - box[0], LABEL_PX)
        room = min(room, image_size[0]) - 2 * PADDING_PX
        score = float(detections.scores[number])
        texts.append(_label(name, score, room, text_px))
    height = fonts.text_height(text_px)
    sizes = [
        (math.ceil(fonts.text_width(text, text_px)) + 2 * PADDING_PX, height)
        for text in texts
    ]
    corners = label_placement.place_labels(boxes, sizes, image_size)
    for number, text, (width, _), corner in zip(
        drawn, texts, sizes, corners, strict=True
    ):
        if corner is None or not text:
            continue
        x, y = corner
        colour = colour_of(detections.labels[number])
        draw.rectangle((x, y, x + width - 1, y + height - 1), fill=colour)
        fonts.write(draw, (x + PADDING_PX, y), text, text_px, (0, 0, 0))


def _label(name: str, score: float, room: float, text_px: int) -> str:
    """Return a name and its score, shortened to fit."""
    score_text = f" {score:.2f}"
    name_room = room - fonts.text_width(score_text, text_px)
    short = fonts.shortened(name, name_room, text_px)
    if short == name or name_room >= MIN_NAME_EM * text_px:
        return short + score_text
    return fonts.shortened(name, room, text_px)


def _draw_keypoints(
    draw: PILDraw, detections: Detections, number, category, width
) -> None:
    if detections.keypoints is None or detections.keypoint_scores is None:
        return
    points = [
        tuple(map(float, point[:2])) for point in detections.keypoints[number]
    ]
    is_visible = detections.keypoint_scores[number] > KEYPOINT_THRESHOLD
    for pair in category.skeleton:
        joints = [index - 1 for index in pair]
        if all(is_visible[joint] for joint in joints):
            line = [points[joint] for joint in joints]
            draw.line(line, fill=SKELETON_COLOUR, width=width)
    radius = 1.5 * width
    for (x, y), visible in zip(points, is_visible, strict=True):
        if visible:
            draw.ellipse(
                (x - radius, y - radius, x + radius, y + radius),
                fill=KEYPOINT_COLOUR,
            )
