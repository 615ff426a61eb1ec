"""Pictures in COCO's form that are made: stick figures of people on photos.

Each has COCO's 17 keypoints, in a pose at random; limbs of a left side have
another colour than those of a right one. They face the viewer, so their left
is at the right.
"""

import numpy as np

from ..coco import coco_names, rle
from ..io.paths import Path
from . import composites
from .composites import Composites

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
# In heights of a figure.
SHOULDER, HIP, TORSO, ARM, LEG, LIMB_RADIUS = 0.11, 0.07, 0.28, 0.15, 0.2, 0.025
HEAD, HEAD_RADIUS = 0.13, 0.08


def write(figures: Composites, folder: Path) -> Path:
    """Writes the pictures as PNG, and what is in them as annotations.json.

    Args:
        figures: what to make; each picture has one figure or two.
        folder: that is there.

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
    made = (
        _picture(random, photo, figures.size_px) for _ in range(figures.count)
    )
    return composites.write_set(made, [category], folder)


def _picture(random, photo: np.ndarray, size: tuple[int, int]):
    """Pixels, and the figures on them."""
    pixels = composites.part_of(random, photo, size)
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
        objects.append(_drawn(pixels, points, tall))
    return pixels, objects


def pose(random) -> np.ndarray:
    """Where the keypoints are, `(17, 2)`, in heights and from the neck on."""
    at = {"neck": np.array([0.0, HEAD])}
    head = np.array([random.uniform(-0.03, 0.03), 0.0])
    at["nose"] = head + [0, 0.01]
    for side, sign in (("left", 1), ("right", -1)):
        at[f"{side}_eye"] = head + [0.03 * sign, -0.02]
        at[f"{side}_ear"] = head + [0.065 * sign, 0.0]
        at[f"{side}_shoulder"] = at["neck"] + [SHOULDER * sign, 0.03]
        at[f"{side}_hip"] = at["neck"] + [HIP * sign, 0.03 + TORSO]
        for names, length, spread in (
            (("shoulder", "elbow", "wrist"), ARM, (-0.3, 2.4)),
            (("hip", "knee", "ankle"), LEG, (-0.1, 0.7)),
        ):
            angle = 0.0
            for before, name in zip(names, names[1:], strict=False):
                angle += random.uniform(*spread) / len(names[1:])
                step = [sign * np.sin(angle), np.cos(angle)]
                at[f"{side}_{name}"] = at[f"{side}_{before}"] + length * (
                    np.array(step)
                )
    return np.stack([at[name] for name in NAMES])


def _drawn(pixels: np.ndarray, points: np.ndarray, tall: float) -> dict:
    """Draws a figure; its annotation."""
    at = dict(zip(NAMES, points, strict=True))
    grid = np.moveaxis(np.mgrid[: pixels.shape[0], : pixels.shape[1]], 0, -1)
    grid = grid[..., ::-1] + 0.5  # x, y of middles
    mask = np.zeros(pixels.shape[:2], bool)
    middle = (at["left_ear"] + at["right_ear"]) / 2
    parts = [(middle, middle, HEAD_RADIUS, MIDDLE)]
    parts += [
        (at[first], at[second], LIMB_RADIUS, colour)
        for first, second, colour in LIMBS
    ]
    parts += [
        (at[f"{side}_eye"], at[f"{side}_eye"], LIMB_RADIUS / 2, colour)
        for side, colour in (("left", LEFT), ("right", RIGHT))
    ]
    for start, end, radius, colour in parts:
        inside = _distance(grid, start, end) <= max(1.0, radius * tall)
        pixels[inside] = colour
        mask |= inside
    rows, columns = np.nonzero(mask)
    left, top = int(columns.min()), int(rows.min())
    right, bottom = int(columns.max()) + 1, int(rows.max()) + 1
    seen = np.concatenate([points, np.full((len(points), 1), 2.0)], -1)
    return {
        "category_id": 1,
        "bbox": [left, top, right - left, bottom - top],
        "area": int(mask.sum()),
        "iscrowd": 0,
        "segmentation": rle.encode(mask),
        "keypoints": [round(float(number), 2) for number in seen.ravel()],
        "num_keypoints": len(points),
    }


def _distance(grid, start, end) -> np.ndarray:
    """How far each place is from a line between two points."""
    along = end - start
    square = max(float(along @ along), 1e-9)
    share = (((grid - start) @ along) / square).clip(0, 1)
    return np.linalg.norm(grid - start - share[..., None] * along, axis=-1)
