"""Saved arrays are compared with the model before they are read."""

import json
import os
import tracemalloc
import zipfile

import keras
import numpy as np
import pytest

from training.io.user_error import UserError
from training.loop import checkpoint_arrays

LARGE = 40_000_000


@pytest.fixture(scope="module")
def variables():
    return [
        keras.Variable(np.ones((2, 3), "float32")),
        keras.Variable(np.zeros(5, "float32")),
    ]


def saved(path, *arrays, save=np.savez):
    save(path, **{f"variable_{i:05d}": a for i, a in enumerate(arrays)})
    return path


def header(shape, dtype="<f4"):
    """A file of NumPy without the numbers that it says it has."""
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    text = repr(header).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\0" + len(text).to_bytes(2, "little") + text


def written(path, first):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("variable_00000.npy", first)
        archive.writestr("variable_00001.npy", header((5,)) + bytes(20))
    return path


def test_arrays_are_those_that_were_saved(variables, tmp_path):
    first, second = np.arange(6, dtype="f4").reshape(2, 3), np.arange(5.0)
    path = saved(tmp_path / "a.npz", np.asfortranarray(first), second)
    arrays = checkpoint_arrays.read(path, "variable_", variables)
    np.testing.assert_array_equal(arrays[0], first)
    np.testing.assert_array_equal(arrays[1], second)


def refused(path, variables, message):
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=message):
            checkpoint_arrays.read(path, "variable_", variables)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_of_another_size_are_not_read(variables, save, tmp_path):
    large = np.zeros(LARGE // 8)
    path = saved(tmp_path / "a.npz", large, np.zeros(5), save=save)
    message = "compressed" if save is np.savez_compressed else "does not fit"
    refused(path, variables, message)


def test_more_arrays_than_variables_are_not_read(variables, tmp_path):
    path = saved(tmp_path / "a.npz", *[np.zeros(5)] * 3)
    refused(path, variables, "3 arrays for 2 variables")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header((2, 3)), "cut off"),
        (header((LARGE, LARGE)), "cut off"),
        (header((2, 3), "|O"), "not of numbers"),
        (header((2, 3), "(9,)f4"), "not of numbers"),
        (b"\x93NUMPY\x09\0" + bytes(100), "damaged|format"),
        (b"garbage", "damaged"),
    ],
)
def test_an_array_that_is_none_is_one_error(
    variables, content, message, tmp_path
):
    refused(written(tmp_path / "a.npz", content), variables, message)


def test_a_fifo_is_not_waited_for(variables, tmp_path):
    os.mkfifo(tmp_path / "a.npz")
    refused(tmp_path / "a.npz", variables, "FIFO")


def test_json_of_no_archive_is_one_error(variables, tmp_path):
    path = tmp_path / "a.npz"
    path.write_text(json.dumps({"a": 1}))
    refused(path, variables, "damaged")
