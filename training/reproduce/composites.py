"""Synthetic COCO data set: shapes on photos, labelled by a distant cue.

The cue is the colour of a bar at the opposite end of the image, beyond the
receptive field of a small backbone. It is the class of the discs, or tells
which of two places of a disc is its keypoint. The class of a box does not
depend on the bar; with keypoints, boxes are not annotated.
Each image has three discs and a box. The photos are the two of scikit-learn
(extra `digits`): one for training, one for testing.
"""

import dataclasses
import importlib.resources
import json
from collections.abc import Iterable
from typing import Literal

import numpy as np
import tensorflow as tf

from ..io import image_bytes, outputs
from ..io.paths import Path
from ..io.user_error import missing_extra

CATEGORIES = ("disc by magenta", "disc by cyan", "box")
KEYPOINT_CATEGORY = {
    "id": 1,
    "name": "disc",
    "keypoints": ["mark"],
    "skeleton": [],
}
Task = Literal["class", "keypoint"]
CUES = {"magenta": (255, 0, 255), "cyan": (0, 255, 255)}
COLOURS = {"disc": (255, 210, 0), "box": (40, 70, 255)}
CROPS = ("photo", *COLOURS, *CUES)
CORNERS = 24  # of a disc's polygon
# Widths of the strips at the two ends of an image that hold cue and objects.
CUE_END_PX, OBJECT_END_PX, CUE_PX = 24, 96, 16
# Height of the keypoint in its disc: the share above it.
ABOVE_MARK = {"magenta": 0.15, "cyan": 0.85}


@dataclasses.dataclass(frozen=True)
class Composites:
    """Configuration of a synthetic data set.

    Attributes:
        photo: background, "china" or "flower".
        count: number of images.
        seed: random seed; it determines the images.
        size_px: height and width of the images.
        task: what the cue tells of a disc. With "class", it is the class;
            with "keypoint", discs have one class and a keypoint near the top
            (magenta) or the bottom (cyan).
    """

    photo: str
    count: int
    seed: int
    size_px: tuple[int, int] = (96, 320)
    task: Task = "class"


def write(composites: Composites, folder: Path) -> Path:
    """Write PNG images and their annotations.json.

    Args:
        composites: configuration of the data set.
        folder: an existing folder.

    Returns:
        The path of the annotations.
    """
    whole = photo(composites.photo)
    random = np.random.default_rng([composites.seed, 0xC0C0])
    categories = [
        {"id": number, "name": name}
        for number, name in enumerate(CATEGORIES, start=1)
    ]
    if composites.task == "keypoint":
        categories = [KEYPOINT_CATEGORY]
    images = (
        _draw_image(random, whole, composites.size_px, composites.task)
        for _ in range(composites.count)
    )
    return write_set(images, categories, folder)


def write_set(
    annotated_images: Iterable[tuple[np.ndarray, list[dict]]],
    categories: list[dict],
    folder: Path,
) -> Path:
    """Write PNG images and their annotations.json.

    Args:
        annotated_images: pixels and annotations of each image.
        categories: in COCO's format.
        folder: created if needed.

    Returns:
        The path of the annotations.

    Raises:
        UserError: the folder has files of the user's with these names.
    """
    written = outputs.Outputs(folder)
    images: list[dict] = []
    annotations: list[dict] = []
    for number, (pixels, objects) in enumerate(annotated_images, start=1):
        height, width = pixels.shape[:2]
        name = f"{number:05d}.png"
        written.write_bytes(name, tf.io.encode_png(pixels).numpy())
        images.append(
            {"id": number, "file_name": name, "height": height, "width": width}
        )
        for annotation in objects:
            ids = {"id": len(annotations) + 1, "image_id": number}
            annotations.append({**ids, **annotation})
    content = {
        "images": images,
        "categories": categories,
        "annotations": annotations,
    }
    return written.write_text("annotations.json", json.dumps(content))


def crops(
    name: str, count: int, side_px: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Make crops with one object each, to pre-train a backbone.

    Args:
        name: of the photo, see `Composites`.
        count: number of crops.
        side_px: height and width of a crop.
        seed: random seed; it determines the crops.

    Returns:
        uint8 `(count, side_px, side_px, 3)`, and labels, indices into `CROPS`,
        int32.
    """
    random = np.random.default_rng([seed, 0xC0C1])
    whole = photo(name)
    images, labels = [], random.integers(0, len(CROPS), count)
    for label in labels:
        pixels = random_crop(random, whole, (side_px, side_px))
        kind = CROPS[label]
        if kind in CUES:
            cue_left = random.integers(0, side_px - CUE_PX + 1)
            pixels[:, cue_left : cue_left + CUE_PX] = CUES[kind]
        elif kind != "photo":
            size = int(random.integers(22, 45))
            x, y = random.integers(0, side_px - size + 1, 2)
            shape = _disc if kind == "disc" else _box
            _draw_polygon(pixels, shape(x, y, size), 0, COLOURS[kind], random)
        images.append(pixels)
    return np.stack(images), labels.astype(np.int32)


def random_crop(random, whole: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Crop a photo at a random position."""
    top, left = (
        random.integers(0, most - side + 1)
        for most, side in zip(whole.shape, size, strict=False)
    )
    return whole[top : top + size[0], left : left + size[1]].copy()


def photo(name: str) -> np.ndarray:
    """Load one of scikit-learn's two photos, uint8 RGB."""
    try:
        folder = importlib.resources.files("sklearn.datasets.images")
    except ImportError as error:
        raise missing_extra("scikit-learn", "digits") from error
    content = (folder / f"{name}.jpg").read_bytes()
    return image_bytes.decode_jpeg(content).numpy()


def _draw_image(random, whole: np.ndarray, size: tuple[int, int], task: Task):
    """Draw an image; return its pixels and annotations, back to front."""
    height, width = size
    pixels = random_crop(random, whole, size)
    is_magenta = random.random() < 0.5
    cue_left = random.integers(0, CUE_END_PX - CUE_PX + 1)
    cue = "magenta" if is_magenta else "cyan"
    pixels[:, cue_left : cue_left + CUE_PX] = CUES[cue]
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
        objects.append(_draw_polygon(pixels, polygon, category, colour, random))
    if task == "keypoint":
        objects = [_with_mark(disc, cue) for disc in _discs_of(objects)]
    if random.random() < 0.5:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
        objects = [_flip(annotation, width) for annotation in objects]
    return pixels, objects


def _discs_of(objects: list[dict]) -> list[dict]:
    """Return the annotations of discs."""
    box = 1 + CATEGORIES.index("box")
    return [shape for shape in objects if shape["category_id"] != box]


def _with_mark(disc: dict, cue: str) -> dict:
    """Return the annotation of a disc with the keypoint that the cue tells."""
    x, y, width, height = disc["bbox"]
    place = [x + width / 2, y + ABOVE_MARK[cue] * height]
    return {
        **disc,
        "category_id": KEYPOINT_CATEGORY["id"],
        "keypoints": [*place, 2],
        "num_keypoints": 1,
    }


def _disc(x: int, y: int, side_px: int) -> np.ndarray:
    angles = np.arange(CORNERS) * (2 * np.pi / CORNERS)
    corners = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return np.array([x, y]) + side_px / 2 * (1 + corners)


def _box(x: int, y: int, side_px: int) -> np.ndarray:
    return np.array([x, y]) + side_px * np.array(
        [[0, 0], [1, 0], [1, 1], [0, 1]], float
    )


def _draw_polygon(pixels, polygon, category: int, colour, random) -> dict:
    """Fill a convex polygon; return its annotation."""
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    inside = np.ones(pixels.shape[:2], bool)
    for (x1, y1), (x2, y2) in zip(
        polygon, np.roll(polygon, -1, axis=0), strict=True
    ):
        cross_product = (x2 - x1) * (rows + 0.5 - y1) - (y2 - y1) * (
            columns + 0.5 - x1
        )
        inside &= cross_product >= 0
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


def _flip(annotation: dict, width: int) -> dict:
    x, y, w, h = annotation["bbox"]
    (polygon,) = annotation["segmentation"]
    mirrored = [
        side if number % 2 else round(width - side, 2)
        for number, side in enumerate(polygon)
    ]
    flipped = {"bbox": [width - x - w, y, w, h], "segmentation": [mirrored]}
    if "keypoints" in annotation:
        point_x, *rest = annotation["keypoints"]
        flipped["keypoints"] = [width - point_x, *rest]
    return {**annotation, **flipped}
