"""RLE of masks, compared with pycocotools, and malformed RLE."""

import numpy as np
import pytest

from training.coco import coco_api, rle

SIZE = (7, 11)


def masks():
    rng = np.random.default_rng(0)
    yield np.zeros(SIZE, bool)
    yield np.ones(SIZE, bool)
    for share in (0.1, 0.5, 0.9):
        yield rng.random(SIZE) < share


@pytest.mark.parametrize("mask", list(masks()), ids=lambda m: str(m.sum()))
def test_pycocotools_decodes_an_encoded_mask(mask):
    pytest.importorskip("pycocotools")
    encoded = rle.encode(mask)
    assert rle.check(encoded, SIZE) == encoded
    np.testing.assert_array_equal(coco_api.decode_mask(encoded, SIZE), mask)


@pytest.mark.parametrize("mask", list(masks()), ids=lambda m: str(m.sum()))
def test_compressed_rle_of_pycocotools_is_valid(mask):
    pytest.importorskip("pycocotools")
    encoded = coco_api.encode_mask(mask)
    assert rle.check(encoded, SIZE) == encoded


def test_compressed_rle_of_long_runs_is_valid():
    pytest.importorskip("pycocotools")
    mask = np.zeros((900, 1300), bool)
    mask[17:400, 300:1111] = True
    encoded = coco_api.encode_mask(mask)
    assert rle.check(encoded, mask.shape) == encoded


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ({"size": [7, 12], "counts": [84]}, "of a mask of"),
        ({"size": [7, 11], "counts": [70]}, "expected 77 pixels, not 70"),
        ({"size": [7, 11], "counts": [80, -3]}, "negative"),
        ({"size": [7, 11], "counts": None}, "list of integers or a text"),
        ({"size": [7, 11], "counts": [1.5, 75.5]}, "list of integers"),
        ({"size": [7, 11], "counts": "é"}, "'é' is an invalid character"),
        ({"size": [7, 11], "counts": "o"}, "middle of a number"),
        ({"size": [7, 11], "counts": "o" * 10**6}, "text is too long"),
        ({"size": [7, 11], "counts": [10**400, 77]}, r"9\.\.\.|0\.\.\."),
    ],
)
def test_malformed_rle_is_rejected(mask, message):
    with pytest.raises(ValueError, match=message):
        rle.check(mask, SIZE)


def test_lengths_may_be_written_as_floats():
    mask = {"size": [7.0, 11.0], "counts": [7.0, 70.0]}
    assert rle.check(mask, SIZE) == {"size": [7, 11], "counts": [7, 70]}
