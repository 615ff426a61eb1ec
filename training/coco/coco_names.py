"""Names of COCO's classes and keypoints, for weights trained on it.

Reference:
    https://cocodataset.org/#format-data
"""

from .annotations import Category

NAMES = {
    1: "person", 2: "bicycle", 3: "car", 4: "motorcycle", 5: "airplane",
    6: "bus", 7: "train", 8: "truck", 9: "boat", 10: "traffic light",
    11: "fire hydrant", 13: "stop sign", 14: "parking meter", 15: "bench",
    16: "bird", 17: "cat", 18: "dog", 19: "horse", 20: "sheep", 21: "cow",
    22: "elephant", 23: "bear", 24: "zebra", 25: "giraffe", 27: "backpack",
    28: "umbrella", 31: "handbag", 32: "tie", 33: "suitcase", 34: "frisbee",
    35: "skis", 36: "snowboard", 37: "sports ball", 38: "kite",
    39: "baseball bat", 40: "baseball glove", 41: "skateboard",
    42: "surfboard", 43: "tennis racket", 44: "bottle", 46: "wine glass",
    47: "cup", 48: "fork", 49: "knife", 50: "spoon", 51: "bowl", 52: "banana",
    53: "apple", 54: "sandwich", 55: "orange", 56: "broccoli", 57: "carrot",
    58: "hot dog", 59: "pizza", 60: "donut", 61: "cake", 62: "chair",
    63: "couch", 64: "potted plant", 65: "bed", 67: "dining table",
    70: "toilet", 72: "tv", 73: "laptop", 74: "mouse", 75: "remote",
    76: "keyboard", 77: "cell phone", 78: "microwave", 79: "oven",
    80: "toaster", 81: "sink", 82: "refrigerator", 84: "book", 85: "clock",
    86: "vase", 87: "scissors", 88: "teddy bear", 89: "hair drier",
    90: "toothbrush",
}  # fmt: skip
KEYPOINTS = (
    "nose",
    *(
        f"{side}_{part}"
        for part in (
            "eye",
            "ear",
            "shoulder",
            "elbow",
            "wrist",
            "hip",
            "knee",
            "ankle",
        )
        for side in ("left", "right")
    ),
)
# Pairs of keypoints that are joined, counted from 1.
SKELETON = (
    (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13),
    (6, 7), (6, 8), (7, 9), (8, 10), (9, 11), (2, 3), (1, 2), (1, 3), (2, 4),
    (3, 5), (4, 6), (5, 7),
)  # fmt: skip


def categories_of(
    num_classes: int, num_keypoints: int = 0
) -> tuple[Category, ...]:
    """Return the categories of a network that was trained on COCO.

    Args:
        num_classes: number of classes, with the background: 91 with the gaps
            in COCO's ids, as in torchvision; 81 without, as in detectron2; 2
            for people alone. Classes of other networks are numbered.
        num_keypoints: keypoints of an object.
    """
    labels = range(1, num_classes)
    has_people_keypoints = num_keypoints == len(KEYPOINTS)
    if num_classes == 1 + max(NAMES):
        ids = list(labels)
    elif num_classes == 1 + len(NAMES):
        ids = list(NAMES)
    elif num_classes == 2 and has_people_keypoints:
        ids = [1]
    else:
        return tuple(Category(n, f"class {n}") for n in labels)
    keypoints: dict = {}
    if has_people_keypoints:
        keypoints = {"keypoints": KEYPOINTS, "skeleton": SKELETON}
    return tuple(
        Category(n, NAMES.get(n, f"class {n}"), **keypoints) for n in ids
    )
