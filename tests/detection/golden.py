"""Stored numbers of torchvision; tests/data/detection/README.md has more."""

import functools
import pathlib

import numpy as np

FOLDER = pathlib.Path(__file__).parent.parent / "data" / "detection"


@functools.cache
def arrays(name):
    """The arrays of a file, by name."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as stored:
        return dict(stored)


def group(name, prefix):
    """Those whose names start with `prefix/`, without it."""
    start = f"{prefix}/"
    return {
        key.removeprefix(start): value
        for key, value in arrays(name).items()
        if key.startswith(start)
    }


def channels_last(maps):
    """`(n, c, h, w)` as `(n, h, w, c)`."""
    return np.moveaxis(maps, 1, -1)
