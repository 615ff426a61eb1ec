"""Pictures in COCO's form that are made: shapes on photos, and a far cue.

Discs are of one class or another by the colour of a bar at the other end of the
image, beyond the receptive field of a small backbone. A box is a box whatever
the bar.
Each picture has three discs and a box. The photos are the two that scikit-learn
has (extra `digits`): one to train on, one to test on.
"""

import dataclasses
import importlib.resources
import json
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from ..io import image_bytes, outputs
from ..io.paths import Path
from ..io.user_error import missing_extra

CATEGORIES = ("disc by magenta", "disc by cyan", "box")
CUES = {"magenta": (255, 0, 255), "cyan": (0, 255, 255)}
COLOURS = {"disc": (255, 210, 0), "box": (40, 70, 255)}
CROPS = ("photo", *COLOURS, *CUES)
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
    whole = photo(composites.photo)
    random = np.random.default_rng([composites.seed, 0xC0C0])
    categories = [
        {"id": number, "name": name}
        for number, name in enumerate(CATEGORIES, start=1)
    ]
    made = (
        _picture(random, whole, composites.size_px)
        for _ in range(composites.count)
    )
    return write_set(made, categories, folder)


def write_set(
    made: Iterable[tuple[np.ndarray, list[dict]]],
    categories: list[dict],
    folder: Path,
) -> Path:
    """Writes pictures as PNG, and annotations.json.

    Args:
        made: pixels of a picture, and annotations of what is in it.
        categories: as in the file.
        folder: made if needed.

    Returns:
        The path of the annotations.

    Raises:
        UserError: the folder has files of these names that are the user's.
    """
    written = outputs.Outputs(folder)
    images: list[dict] = []
    annotations: list[dict] = []
    for number, (pixels, objects) in enumerate(made, start=1):
        height, width = pixels.shape[:2]
        name = f"{number:05d}.png"
        written.write_bytes(name, tf.io.encode_png(pixels).numpy())
        images.append(
            {"id": number, "file_name": name, "height": height, "width": width}
        )
        for one in objects:
            ids = {"id": len(annotations) + 1, "image_id": number}
            annotations.append({**ids, **one})
    content = {
        "images": images,
        "categories": categories,
        "annotations": annotations,
    }
    return written.write_text("annotations.json", json.dumps(content))


def crops(
    name: str, count: int, side_px: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Crops of a photo, each with one thing, to train a backbone on.

    Args:
        name: of the photo, as of `Composites`.
        count: of crops.
        side_px: of each.
        seed: of which they are a function.

    Returns:
        uint8 `(count, side_px, side_px, 3)`, and labels of `CROPS`, int32.
    """
    random = np.random.default_rng([seed, 0xC0C1])
    whole = photo(name)
    made, labels = [], random.integers(0, len(CROPS), count)
    for label in labels:
        pixels = part_of(random, whole, (side_px, side_px))
        kind = CROPS[label]
        if kind in CUES:
            left = random.integers(0, side_px - CUE_PX + 1)
            pixels[:, left : left + CUE_PX] = CUES[kind]
        elif kind != "photo":
            size = int(random.integers(22, 45))
            x, y = random.integers(0, side_px - size + 1, 2)
            shape = _disc if kind == "disc" else _box
            _drawn(pixels, shape(x, y, size), 0, COLOURS[kind], random)
        made.append(pixels)
    return np.stack(made), labels.astype(np.int32)


def part_of(random, whole: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A part of a photo, at random."""
    top, left = (
        random.integers(0, most - side + 1)
        for most, side in zip(whole.shape, size, strict=False)
    )
    return whole[top : top + size[0], left : left + size[1]].copy()


def photo(name: str) -> np.ndarray:
    """One of scikit-learn's two photos, uint8 RGB."""
    try:
        folder = importlib.resources.files("sklearn.datasets.images")
    except ImportError as error:
        raise missing_extra("scikit-learn", "digits") from error
    content = (folder / f"{name}.jpg").read_bytes()
    return image_bytes.decode_jpeg(content).numpy()


def _picture(random, whole: np.ndarray, size: tuple[int, int]):
    """Pixels, and the objects on them from the back to the front."""
    height, width = size
    pixels = part_of(random, whole, size)
    is_magenta = random.random() < 0.5
    cue_left = random.integers(0, CUE_END_PX - CUE_PX + 1)
    cue = CUES["magenta" if is_magenta else "cyan"]
    pixels[:, cue_left : cue_left + CUE_PX] = cue
    objects = []
    half = OBJECT_END_PX // 2
    for place, is_disc in enumerate(random.permutation([True] * 3 + [False])):
        column, row = place % 2, place // 2
        side_px = int(random.integers(22, half - 3))
        x = width - OBJECT_END_PX + column * half
        x += int(random.integers(1, half - side_px))
        y = row * height // 2 + int(random.integers(1, height // 2 - side_px))
        category = (1 if is_magenta else 2) if is_disc else 3
        polygon = _disc(x, y, side_px) if is_disc else _box(x, y, side_px)
        colour = COLOURS["disc" if is_disc else "box"]
        objects.append(_drawn(pixels, polygon, category, colour, random))
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


def _drawn(pixels, polygon, category: int, colour, random) -> dict:
    """Fills a convex polygon with a shade; its annotation."""
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    inside = np.ones(pixels.shape[:2], bool)
    for (x1, y1), (x2, y2) in zip(
        polygon, np.roll(polygon, -1, axis=0), strict=True
    ):
        far = (x2 - x1) * (rows + 0.5 - y1) - (y2 - y1) * (columns + 0.5 - x1)
        inside &= far >= 0
    shade = random.uniform(0.8, 1.0)
    pixels[inside] = np.multiply(colour, shade).astype(np.uint8)
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
