"""Stored numbers of torchvision; tests/data/detection/README.md has more."""

import functools
import pathlib

import numpy as np

FOLDER = pathlib.Path(__file__).parent.parent / "data" / "detection"


@functools.cache
def arrays(name):
    """Load the arrays of a file by name."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as stored:
        return dict(stored)


def group(name, prefix):
    """Return the arrays below `prefix/`, by name without the prefix."""
    start = f"{prefix}/"
    return {
        key.removeprefix(start): value
        for key, value in arrays(name).items()
        if key.startswith(start)
    }


def channels_last(maps):
    """Transpose `(n, c, h, w)` to `(n, h, w, c)`."""
    return np.moveaxis(maps, 1, -1)
