"""Pictures in COCO's form that are made: shapes on photos, and a far cue.

A disc is of one class or another by the colour of a patch at the other end of
the picture, farther away than a small trunk sees. A box is a box whatever the
patch. The photos are the two that scikit-learn has (extra `digits`): one to
train on, one to test on.
"""

import dataclasses
import importlib.resources
import json

import numpy as np
import tensorflow as tf

from training.errors import missing_extra
from training.remote import Path

CATEGORIES = ("disc by red", "disc by green", "box")
RED, GREEN = (220, 30, 30), (30, 200, 40)
CORNERS = 24  # of a disc's polygon
# A far cue is so near to its end of the picture, and objects to theirs.
CUE_END_PX, OBJECT_END_PX, CUE_PX = 24, 96, 16


@dataclasses.dataclass(frozen=True)
class Composites:
    """A set of made pictures.

    Attributes:
        photo: "china" or "flower", that they are on.
        count: of pictures.
        seed: of which they are a function.
        size_px: their height and width.
    """

    photo: str
    count: int
    seed: int
    size_px: tuple[int, int] = (96, 320)


def write(composites: Composites, folder: Path) -> Path:
    """Writes the pictures as PNG, and what is in them as annotations.json.

    Args:
        composites: what to make.
        folder: that is there.

    Returns:
        The path of the annotations.
    """
    photo = _photo(composites.photo)
    random = np.random.default_rng([composites.seed, 0xC0C0])
    height, width = composites.size_px
    images, annotations = [], []
    for number in range(1, composites.count + 1):
        pixels, objects = _picture(random, photo, composites.size_px)
        name = f"{number:05d}.png"
        (folder / name).write_bytes(tf.io.encode_png(pixels).numpy())
        images.append(
            {"id": number, "file_name": name, "height": height, "width": width}
        )
        annotations += [{"image_id": number, **one} for one in objects]
    content = {
        "images": images,
        "categories": [
            {"id": number, "name": name}
            for number, name in enumerate(CATEGORIES, start=1)
        ],
        "annotations": [
            {"id": number, **one}
            for number, one in enumerate(annotations, start=1)
        ],
    }
    path = folder / "annotations.json"
    path.write_text(json.dumps(content), "utf-8")
    return path


def _photo(name: str) -> np.ndarray:
    try:
        folder = importlib.resources.files("sklearn.datasets.images")
    except ImportError as error:
        raise missing_extra("scikit-learn", "digits") from error
    content = (folder / f"{name}.jpg").read_bytes()
    return tf.io.decode_jpeg(content).numpy()


def _picture(random, photo: np.ndarray, size: tuple[int, int]):
    """Pixels, and the objects on them from the back to the front."""
    height, width = size
    top, left = (
        random.integers(0, whole - side + 1)
        for whole, side in zip(photo.shape, size, strict=False)
    )
    pixels = photo[top : top + height, left : left + width].copy()
    is_red = random.random() < 0.5
    cue_left, cue_top = (
        random.integers(0, end - CUE_PX + 1) for end in (CUE_END_PX, height)
    )
    cue = RED if is_red else GREEN
    pixels[cue_top : cue_top + CUE_PX, cue_left : cue_left + CUE_PX] = cue
    objects = []
    half = OBJECT_END_PX // 2
    for place, is_disc in enumerate(random.permutation([True, False])):
        side_px = int(random.integers(22, half - 3))
        x = width - OBJECT_END_PX + place * half
        x += int(random.integers(1, half - side_px))
        y = int(random.integers(1, height - side_px))
        category = (1 if is_red else 2) if is_disc else 3
        polygon = _disc(x, y, side_px) if is_disc else _box(x, y, side_px)
        objects.append(_drawn(pixels, polygon, category, random))
    if random.random() < 0.5:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
        objects = [_in_mirror(one, width) for one in objects]
    return pixels, objects


def _disc(x: int, y: int, side_px: int) -> np.ndarray:
    angles = np.arange(CORNERS) * (2 * np.pi / CORNERS)
    corners = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return np.array([x, y]) + side_px / 2 * (1 + corners)


def _box(x: int, y: int, side_px: int) -> np.ndarray:
    return np.array([x, y]) + side_px * np.array(
        [[0, 0], [1, 0], [1, 1], [0, 1]], float
    )


def _drawn(pixels, polygon, category: int, random) -> dict:
    """Fills a convex polygon with a shade; its annotation."""
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    inside = np.ones(pixels.shape[:2], bool)
    for (x1, y1), (x2, y2) in zip(
        polygon, np.roll(polygon, -1, axis=0), strict=True
    ):
        far = (x2 - x1) * (rows + 0.5 - y1) - (y2 - y1) * (columns + 0.5 - x1)
        inside &= far >= 0
    pixels[inside] = random.integers(225, 256)
    (x1, y1), (x2, y2) = polygon.min(axis=0), polygon.max(axis=0)
    return {
        "category_id": category,
        "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)],
        "area": float(inside.sum()),
        "iscrowd": 0,
        "segmentation": [[round(float(side), 2) for side in polygon.ravel()]],
    }


def _in_mirror(one: dict, width: int) -> dict:
    x, y, w, h = one["bbox"]
    (polygon,) = one["segmentation"]
    mirrored = [
        side if number % 2 else round(width - side, 2)
        for number, side in enumerate(polygon)
    ]
    return {**one, "bbox": [width - x - w, y, w, h], "segmentation": [mirrored]}
