"""Squares in three images as ground truth, and detections of them."""

import json

import numpy as np

from nonlocal_tf.detection import Detections
from training.coco import annotation_reader, coco_api, coco_scores

IOU_TYPES = ("bbox", "segm")
SIZE = (90, 120)
NUM_KEYPOINTS = 17  # those that COCO's evaluation has sigmas of
IMAGE_IDS = (1, 2, 4)
LABELS = {3: 1, 7: 2}  # by category
OBJECTS = [  # image, category, x, y, side
    (1, 3, 10, 20, 40),
    (1, 7, 60, 30, 50),
    (2, 7, 5, 5, 70),
]


def mask_of(x, y, side):
    mask = np.zeros(SIZE, bool)
    mask[y : y + side, x : x + side] = True
    return mask


def keypoints_of(x, y, side):
    offsets = np.linspace(0, side, NUM_KEYPOINTS)
    visibility = np.full(NUM_KEYPOINTS, 2.0)
    return np.stack([x + offsets, y + offsets, visibility], -1)


def content():
    """Return the content of the annotation file."""
    names = [f"k{i}" for i in range(NUM_KEYPOINTS)]
    return {
        "info": {},
        "images": [
            {"id": i, "file_name": "x", "height": 90, "width": 120}
            for i in IMAGE_IDS
        ],
        "categories": [
            {"id": 3, "name": "dog"},
            {"id": 7, "name": "person", "keypoints": names},
        ],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": category,
                "bbox": [x, y, side, side],
                "area": side * side,
                "iscrowd": 0,
                "segmentation": coco_api.encode_mask(mask_of(x, y, side)),
                "keypoints": keypoints_of(x, y, side).ravel().tolist(),
                "num_keypoints": NUM_KEYPOINTS,
            }
            for number, (image, category, x, y, side) in enumerate(
                OBJECTS, start=1
            )
        ],
    }


def read(content, folder):
    """Write the content to a file and read it."""
    (folder / "x").touch()
    path = folder / "truth.json"
    path.write_text(json.dumps(content))
    return annotation_reader.read(str(path), str(folder))


def detections_in(image, shift=0, with_keypoints=False):
    """Return detections of all objects of an image, moved to the right."""
    objects = [o for o in OBJECTS if o[0] == image]
    boxes = [[x, y, x + side, y + side] for _, _, x, y, side in objects]
    keypoints = np.array([keypoints_of(*o[2:]) for o in objects])
    return Detections(
        np.array(boxes, "float32").reshape(-1, 4) + shift,
        np.array([LABELS[o[1]] for o in objects], "int32"),
        np.full(len(objects), 0.9, "float32"),
        np.array([mask_of(x + shift, y, side) for _, _, x, y, side in objects]),
        keypoints if with_keypoints else None,
    )


def scores(truth, shift=0, with_keypoints=False, categories=None, id_shift=0):
    """Score the detections in all images."""
    iou_types = [*IOU_TYPES, *["keypoints"] * with_keypoints]
    scored = coco_scores.CocoScores(
        truth, categories or truth.categories, iou_types
    )
    for image in IMAGE_IDS:
        detections = detections_in(image, shift, with_keypoints)
        scored.add(image + id_shift, detections)
    return scored.scores()
