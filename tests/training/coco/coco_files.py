"""A small annotation file in COCO's format, and variants of it."""

import copy
import json

from training.coco import annotation_reader

CONTENT = {
    "images": [
        {"id": 7, "file_name": "a.jpg", "height": 50, "width": 80},
        {"id": 9, "file_name": "b c.png", "height": 30, "width": 40},
    ],
    "categories": [
        {"id": 3, "name": "dog"},
        {"id": 1, "name": "person", "keypoints": ["nose", "left_eye"]},
        {"id": 90, "name": "cup"},
    ],
    "annotations": [
        {
            "id": 11,
            "image_id": 7,
            "category_id": 90,
            "bbox": [10, 20, 30, 25.5],
            "area": 500.5,
            "iscrowd": 0,
            "segmentation": [[10, 20, 40, 20, 40, 45]],
        },
        {
            "id": 12,
            "image_id": 7,
            "category_id": 1,
            "bbox": [0, 0, 80, 50],
            "area": 4000,
            "iscrowd": 1,
            "segmentation": {"size": [50, 80], "counts": [0, 4000]},
        },
        {
            "id": 13,
            "image_id": 7,
            "category_id": 1,
            "bbox": [5, 5, 10, 10],
            "area": 100,
            "iscrowd": 0,
            "keypoints": [6, 7, 2, 0, 0, 0],
        },
    ],
}


def changed(name, index, /, **values):
    """Return the content with other values of an entry of a list."""
    content = copy.deepcopy(CONTENT)
    content[name][index].update(values)
    return content


def read(folder, content):
    """Write the content with empty image files, and read it."""
    for image in ("a.jpg", "b c.png"):
        (folder / image).touch()
    file = folder / "instances.json"
    file.write_text(json.dumps(content))
    return annotation_reader.read(str(file), str(folder))
