"""Synthetic COCO keypoint data set: stick figures of people on photos.

Each figure has COCO's 17 keypoints in a random pose; left and right limbs have
different colours. Figures face the viewer, so their left is the right of the
image.
"""

import numpy as np

from training.coco import coco_names, rle
from training.io.paths import Path
from training.reproduce import composites
from training.reproduce.composites import Composites

NAMES = coco_names.KEYPOINTS
# Colours of limbs on the left, on the right, and between.
LEFT, RIGHT, MIDDLE = (255, 140, 0), (0, 190, 255), (230, 0, 150)
# From the back to the front.
LIMBS = (
    ("left_shoulder", "right_shoulder", MIDDLE),
    ("left_hip", "right_hip", MIDDLE),
    ("left_shoulder", "left_hip", MIDDLE),
    ("right_shoulder", "right_hip", MIDDLE),
    ("left_shoulder", "left_elbow", LEFT),
    ("left_elbow", "left_wrist", LEFT),
    ("left_hip", "left_knee", LEFT),
    ("left_knee", "left_ankle", LEFT),
    ("right_shoulder", "right_elbow", RIGHT),
    ("right_elbow", "right_wrist", RIGHT),
    ("right_hip", "right_knee", RIGHT),
    ("right_knee", "right_ankle", RIGHT),
)
# In units of a figure's height.
SHOULDER, HIP, TORSO, ARM, LEG, LIMB_RADIUS = 0.11, 0.07, 0.28, 0.15, 0.2, 0.025
HEAD, HEAD_RADIUS = 0.13, 0.08


def write(figures: Composites, folder: Path) -> Path:
    """Write PNG images and their annotations.json.

    Args:
        figures: configuration; each image has one figure or two.
        folder: an existing folder.

    Returns:
        The path of the annotations.
    """
    random = np.random.default_rng([figures.seed, 0xF160])
    photo = composites.photo(figures.photo)
    category = {
        "id": 1,
        "name": "person",
        "keypoints": list(NAMES),
        "skeleton": [list(pair) for pair in coco_names.SKELETON],
    }
    images = (
        _draw_image(random, photo, figures.size_px)
        for _ in range(figures.count)
    )
    return composites.write_set(images, [category], folder)


def _draw_image(random, photo: np.ndarray, size: tuple[int, int]):
    """Draw an image; return its pixels and annotations."""
    pixels = composites.random_crop(random, photo, size)
    count = int(random.integers(1, 3))
    height, width = size
    objects = []
    for place in range(count):
        tall = random.uniform(0.7, 0.9) * height
        share = width / count
        middle = share * (place + random.uniform(0.45, 0.55))
        top = random.uniform(0.02, 0.98) * (height - tall)
        points = pose(random) * tall + [middle, top + 0.08 * tall]
        inside = points[:, 0].clip(place * share + 2, (place + 1) * share - 3)
        points = np.stack([inside, points[:, 1].clip(2, height - 3)], -1)
        objects.append(_draw_figure(pixels, points, tall))
    return pixels, objects


def pose(random) -> np.ndarray:
    """Draw random keypoints, `(17, 2)`, in heights of the figure.

    The origin is the center of the head.
    """
    positions = {"neck": np.array([0.0, HEAD])}
    head = np.array([random.uniform(-0.03, 0.03), 0.0])
    positions["nose"] = head + [0, 0.01]
    for side, sign in (("left", 1), ("right", -1)):
        positions[f"{side}_eye"] = head + [0.03 * sign, -0.02]
        positions[f"{side}_ear"] = head + [0.065 * sign, 0.0]
        positions[f"{side}_shoulder"] = positions["neck"] + [
            SHOULDER * sign,
            0.03,
        ]
        positions[f"{side}_hip"] = positions["neck"] + [
            HIP * sign,
            0.03 + TORSO,
        ]
        for names, length, spread in (
            (("shoulder", "elbow", "wrist"), ARM, (-0.3, 2.4)),
            (("hip", "knee", "ankle"), LEG, (-0.1, 0.7)),
        ):
            angle = 0.0
            for before, name in zip(names, names[1:], strict=False):
                angle += random.uniform(*spread) / len(names[1:])
                step = [sign * np.sin(angle), np.cos(angle)]
                positions[f"{side}_{name}"] = positions[
                    f"{side}_{before}"
                ] + length * (np.array(step))
    return np.stack([positions[name] for name in NAMES])


def _draw_figure(pixels: np.ndarray, points: np.ndarray, tall: float) -> dict:
    """Draw a figure; return its annotation."""
    positions = dict(zip(NAMES, points, strict=True))
    grid = np.moveaxis(np.mgrid[: pixels.shape[0], : pixels.shape[1]], 0, -1)
    grid = grid[..., ::-1] + 0.5  # x, y of pixel centers
    mask = np.zeros(pixels.shape[:2], bool)
    middle = (positions["left_ear"] + positions["right_ear"]) / 2
    parts = [(middle, middle, HEAD_RADIUS, MIDDLE)]
    parts += [
        (positions[first], positions[second], LIMB_RADIUS, colour)
        for first, second, colour in LIMBS
    ]
    parts += [
        (
            positions[f"{side}_eye"],
            positions[f"{side}_eye"],
            LIMB_RADIUS / 2,
            colour,
        )
        for side, colour in (("left", LEFT), ("right", RIGHT))
    ]
    for p1, p2, radius, colour in parts:
        inside = _distance(grid, p1, p2) <= max(1.0, radius * tall)
        pixels[inside] = colour
        mask |= inside
    rows, columns = np.nonzero(mask)
    left, top = int(columns.min()), int(rows.min())
    right, bottom = int(columns.max()) + 1, int(rows.max()) + 1
    keypoints = np.concatenate([points, np.full((len(points), 1), 2.0)], -1)
    return {
        "category_id": 1,
        "bbox": [left, top, right - left, bottom - top],
        "area": int(mask.sum()),
        "iscrowd": 0,
        "segmentation": rle.encode(mask),
        "keypoints": [round(float(number), 2) for number in keypoints.ravel()],
        "num_keypoints": len(points),
    }


def _distance(grid, p1, p2) -> np.ndarray:
    """Return the distance of each grid point to a line segment."""
    along = p2 - p1
    square = max(float(along @ along), 1e-9)
    share = (((grid - p1) @ along) / square).clip(0, 1)
    return np.linalg.norm(grid - p1 - share[..., None] * along, axis=-1)
