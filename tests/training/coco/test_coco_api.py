"""Masks by pycocotools, and its extra."""

import sys

import numpy as np
import pytest

from tests.training.coco import squares
from training.coco import coco_api
from training.io.user_error import UserError

pytest.importorskip("pycocotools")


def test_polygons_and_rle_decode_to_the_same_mask():
    corners = [10, 20, 50, 20, 50, 60, 10, 60]
    expected = squares.mask_of(10, 20, 40)
    for segmentation in ([corners], coco_api.encode_mask(expected)):
        mask = coco_api.decode_mask(segmentation, squares.SIZE)
        np.testing.assert_array_equal(mask, expected)


def test_without_pycocotools_an_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(UserError, match=r"\[coco\]"):
        coco_api.decode_mask([[0, 0, 1, 0, 1, 1]], squares.SIZE)
