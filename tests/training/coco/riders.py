"""An annotated image of persons with three keypoints."""

import numpy as np

from training.coco import examples
from training.coco.annotations import AnnotatedImage, Category, Instance
from training.io import paths

SIZE = (30, 44)
CATEGORY = Category(1, "person", ("nose", "left_eye", "right_eye"))


def instance(number=1, box=(4.0, 6.0, 14.0, 13.0), **fields):
    x1, y1, x2, y2 = box
    defaults = {
        "id": number,
        "label": 2,
        "box": box,
        "area": 70.0,
        "is_crowd": False,
        "segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]],
        "keypoints": (5, 7, 2, 8, 9, 1, 0, 0, 0),
    }
    return Instance(**{**defaults, **fields})


def image(*instances):
    return AnnotatedImage(7, paths.as_path("a.jpg"), *SIZE, instances)


def pixels():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (*SIZE, 3), "uint8")


def example(*instances):
    return examples.make_example(
        image(*instances), pixels(), mask_cells=12, num_keypoints=3
    )


def image_mask(example, number=0):
    """Paste a mask whose cells are pixels into the image."""
    x1, y1, x2, y2 = example.mask_boxes[number].astype(int)
    mask = np.zeros((y2 + 50, x2 + 50), bool)
    mask[y1:y2, x1:x2] = example.masks[number] > 0.5
    return mask[: SIZE[0], : SIZE[1]]
