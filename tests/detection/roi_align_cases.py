"""Stored cases of torchvision's ROIAlign, as batches."""

import numpy as np

from tests.detection import golden

CASES = ("case0", "case1", "case2", "case3")


def single_map(name):
    """Return a case of one map.

    Returns:
        The stored arrays; the maps, channels last; boxes padded to
        `(batch, rois, 4)`; and the index of each stored box in those, as
        (example, place).
    """
    case = golden.group("roi_align", name)
    example = case["batch_index"]
    places = np.array(
        [np.sum(example[:i] == example[i]) for i in range(len(example))]
    )
    boxes = np.zeros((len(case["features"]), places.max() + 1, 4), "float32")
    boxes[example, places] = case["boxes"]
    maps = golden.channels_last(case["features"])
    return case, maps, boxes, (example, places)


def pyramid():
    """Return a case of P2 to P5: the stored arrays, maps and boxes."""
    case = golden.group("roi_align", "multi")
    maps = [golden.channels_last(case[f"P{level}"]) for level in range(2, 6)]
    return case, maps, np.stack([case["boxes0"], case["boxes1"]])
