"""What was found, drawn on the picture."""

import colorsys
import io
from collections.abc import Sequence

import numpy as np

from nonlocal_tf.detection import Detections
from nonlocal_tf.pictures import base
from training.detection.annotations import Category
from training.errors import missing_extra

MASK_SHARE = 0.45
# Turns of the circle of colours from one label to the next: the golden ratio
# keeps any number of them apart.
TURN = 0.618034
# Of a keypoint's score, a logit: below it nothing is drawn.
LEAST_KEYPOINT = 0.0
TEXT_PX = 11


def png(
    image: np.ndarray,
    found: Detections,
    categories: Sequence[Category],
    least_score: float,
) -> bytes:
    """The picture with boxes, masks, keypoints and names of classes.

    Args:
        image: uint8 RGB `(height, width, 3)`.
        found: in its pixels.
        categories: label 1 is the first.
        least_score: of what is drawn.

    Raises:
        UserError: Pillow is not installed.
    """
    try:
        Image, ImageDraw = base.pillow()
    except ImportError as error:
        raise missing_extra("pillow", "viz") from error
    shown = np.flatnonzero(found.scores >= least_score)
    picture = Image.fromarray(_with_masks(image, found, shown))
    draw = ImageDraw.Draw(picture)
    width = max(1, min(image.shape[:2]) // 200)
    for number in shown[::-1]:
        category = categories[found.labels[number] - 1]
        colour = colour_of(found.labels[number])
        box = [float(side) for side in found.boxes[number]]
        draw.rectangle(box, outline=colour, width=width)
        _draw_keypoints(draw, found, number, category, width)
        _draw_name(
            draw, box, f"{category.name} {found.scores[number]:.2f}", colour
        )
    content = io.BytesIO()
    picture.save(content, format="PNG")
    return content.getvalue()


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


def _draw_name(draw, box, name: str, colour) -> None:
    text = base.plain(name)
    x, y = box[0], max(0.0, box[1] - TEXT_PX)
    draw.rectangle(draw.textbbox((x, y), text), fill=colour)
    draw.text((x, y), text, fill=(0, 0, 0))


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
