"""Small data sets of all formats, with videos and frames of known content."""

import dataclasses
import os

import numpy as np
import tensorflow as tf

from tests.training.data import films, fixtures
from training.data import datasets
from training.data.data_config import DataConfig
from training.data.sampling_config import SamplingConfig

SMALL = SamplingConfig(
    frames=3,
    frame_stride=2,
    min_short_side_px=20,
    max_short_side_px=24,
    crop_px=16,
    eval_short_side_px=20,
)


def write_video(path):
    """Write a video whose content depends on its path."""
    seed = sum(os.fspath(path).encode())
    clip = films.pictures(5 + seed % 7, seed=seed)
    # Matroska whatever the extension: some containers do not take the codec.
    video = films.write_film(path.with_suffix(".mkv"), clip, gop=4)
    video.rename(path)


def write_frames(folder, template, first, count):
    """Write numbered JPEG frames."""
    folder.mkdir(parents=True, exist_ok=True)
    clip = films.pictures(count, seed=first)
    for number, frame in enumerate(clip, first):
        tf.io.write_file(
            str(folder / template.format(number)),
            tf.io.encode_jpeg(frame, quality=100, chroma_downsampling=False),
        )


def load(folder, name="folder", **settings):
    """Write the fixture of a format and load it."""
    data = fixtures.make(name, folder / "data", write_video, write_frames)
    return datasets.load(name, dataclasses.replace(data, **settings), SMALL)


def load_classes(folder):
    """Write and load a folder of 2 classes with 9 videos each."""
    for name in ("jump", "walk slowly"):
        for number in range(9):
            write_video(folder / "data" / name / f"{number} ä.MP4")
    return datasets.load("folder", DataConfig(str(folder / "data")), SMALL)


def reload(dataset, folder, **settings):
    """Load a data set again, with other settings and without a cache."""
    data = DataConfig(root=str(folder / "data"), **settings)
    return type(dataset)(data, SMALL)


def as_arrays(batches):
    """Return batches as lists of NumPy arrays."""
    return [[np.array(tensor) for tensor in batch] for batch in batches]


def assert_equal(first, second):
    """Compare two lists of batches."""
    assert len(first) == len(second)
    for batch, other in zip(first, second, strict=True):
        for array, expected in zip(batch, other, strict=True):
            np.testing.assert_array_equal(array, expected)
