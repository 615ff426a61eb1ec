"""Keras models of small clips that no recipe describes, and their videos."""

import contextlib

import keras
import pytest
from keras import layers

from tests.training import view_runs
from training.data import datasets

FRAMES, SIDE = 3, 24
CLIP = (FRAMES, SIDE, SIDE, 3)


def pooled(activation=None, shape=CLIP, **dense):
    """Build a model of clips of any size; its last layer may be a softmax."""
    model = keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv3D(4, 3, activation="relu"),
            layers.GlobalAveragePooling3D(),
            layers.Dense(7, activation, name="classes", **dense),
        ]
    )
    view_runs.randomise(model)
    return model


def flat(activation=None):
    """Build a model of clips of one size."""
    model = keras.Sequential(
        [keras.Input(CLIP), layers.Flatten(), layers.Dense(7, activation)]
    )
    view_runs.randomise(model)
    return model


@contextlib.contextmanager
def listed_videos(tmp_path_factory, videos):
    """Write videos, and load them as a data set.

    Args:
        tmp_path_factory: fixture of pytest.
        videos: as for `view_runs.write_lists`.

    Yields:
        The data set, and the paths of its test videos.
    """
    root = tmp_path_factory.mktemp("videos")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        config, paths = view_runs.write_lists(root, videos)
        sampling = view_runs.sampled(SIDE, FRAMES)
        yield datasets.load("mmaction2", config, sampling), paths
