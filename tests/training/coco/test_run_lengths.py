"""Run lengths beside pycocotools', and broken ones."""

import numpy as np
import pytest

from training.coco import run_lengths

SIZE = (7, 11)


def made():
    rng = np.random.default_rng(0)
    yield np.zeros(SIZE, bool)
    yield np.ones(SIZE, bool)
    for share in (0.1, 0.5, 0.9):
        yield rng.random(SIZE) < share


@pytest.mark.parametrize("mask", list(made()), ids=lambda m: str(m.sum()))
def test_a_mask_comes_back(mask):
    lengths = run_lengths.encode(mask)
    np.testing.assert_array_equal(run_lengths.decode(lengths), mask)


@pytest.mark.parametrize("mask", list(made()), ids=lambda m: str(m.sum()))
def test_pycocotools_writes_what_is_read(mask):
    coco = pytest.importorskip("pycocotools.mask")
    packed = coco.encode(np.asfortranarray(mask.astype("uint8")))
    packed["counts"] = packed["counts"].decode("ascii")
    assert packed["size"] == list(SIZE)
    np.testing.assert_array_equal(run_lengths.decode(packed), mask)


def test_long_runs_are_packed_too():
    coco = pytest.importorskip("pycocotools.mask")
    mask = np.zeros((900, 1300), bool)
    mask[17:400, 300:1111] = True
    packed = coco.encode(np.asfortranarray(mask.astype("uint8")))
    np.testing.assert_array_equal(run_lengths.decode(packed), mask)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ({"size": [7, 12], "counts": [84]}, "of a mask of"),
        ({"size": [7, 11], "counts": [70]}, "70 pixels, not 77"),
        ({"size": [7, 11], "counts": [80, -3]}, "negative"),
        ({"size": [7, 11], "counts": None}, "list of integers or a text"),
        ({"size": [7, 11], "counts": [1.5, 75.5]}, "list of integers"),
        ({"size": [7, 11], "counts": "é"}, "is no letter"),
        ({"size": [7, 11], "counts": "o"}, "middle of a number"),
        ({"size": [7, 11], "counts": "o" * 10**6}, "text is too long"),
        ({"size": [7, 11], "counts": [10**400, 77]}, r"9\.\.\.|0\.\.\."),
    ],
)
def test_broken_ones_say_what_is_wrong(mask, message):
    with pytest.raises(ValueError, match=message):
        run_lengths.checked(mask, SIZE)


def test_lengths_written_as_floats_are_whole_numbers():
    mask = {"size": [7.0, 11.0], "counts": [7.0, 70.0]}
    assert run_lengths.checked(mask, SIZE) == {
        "size": [7, 11],
        "counts": [7, 70],
    }
