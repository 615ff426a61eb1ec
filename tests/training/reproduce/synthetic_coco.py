"""A small synthetic data set in COCO's format."""

import json

import numpy as np
import tensorflow as tf

CATEGORIES = [
    {"id": 3, "name": "box", "keypoints": ["left", "right"], "skeleton": []},
    {"id": 8, "name": "wedge", "keypoints": ["left", "right"], "skeleton": []},
]
COLOURS = {3: (230, 40, 30), 8: (40, 60, 240)}


def write(folder, count=4, size=(64, 96), objects=2, seed=0):
    """Write FOLDER/set.json and its images; return the file's path.

    Image `n` has `1 + n % objects` objects that do not overlap.
    """
    rng = np.random.default_rng(seed)
    images, annotations = [], []
    for number in range(1, count + 1):
        pixels = rng.integers(90, 140, (*size, 3), dtype=np.uint8)
        object_count = 1 + number % objects
        for place in range(object_count):
            category = (3, 8)[(number + place) % 2]
            annotation = _object(rng, pixels, category, place, objects)
            annotation |= {"id": len(annotations) + 1, "image_id": number}
            annotations.append(annotation)
        name = f"{number}.png"
        (folder / name).write_bytes(tf.io.encode_png(pixels).numpy())
        height, width = size
        images.append(
            {"id": number, "file_name": name, "height": height, "width": width}
        )
    path = folder / "set.json"
    path.write_text(
        json.dumps(
            {
                "images": images,
                "categories": CATEGORIES,
                "annotations": annotations,
            }
        )
    )
    return str(path)


def _object(rng, pixels, category, place, objects):
    """Draw a rectangle or a triangle in its part of the image."""
    height, width = pixels.shape[:2]
    part = width // objects
    w, h = rng.integers(part // 2, part - 4), rng.integers(20, height // 2)
    left = place * part + rng.integers(1, part - w - 1)
    top = rng.integers(1, height - h - 1)
    right, bottom = left + w, top + h
    rows, columns = np.mgrid[top:bottom, left:right]
    if category == 3:
        polygon = [left, top, right, top, right, bottom, left, bottom]
        inside = np.ones((h, w), bool)
    else:
        polygon = [left, top, right, bottom, left, bottom]
        inside = (columns - left + 0.5) / w <= (rows - top + 0.5) / h
    pixels[rows[inside], columns[inside]] = COLOURS[category]
    left, top, right, bottom, w, h = map(int, (left, top, right, bottom, w, h))
    return {
        "category_id": category,
        "bbox": [left, top, w, h],
        "area": float(inside.sum()),
        "iscrowd": 0,
        "segmentation": [[int(value) for value in polygon]],
        "keypoints": [left + 1, bottom - 1, 2, right - 1, bottom - 1, 2],
        "num_keypoints": 2,
    }
