"""Datasets and input pipelines."""

# Each of these fills the table with its own.
from . import (
    charades,
    digits,
    folder,
    hmdb51,
    kinetics,
    media_sequence,
    mmaction2,
    nonlocal_net,
    slowfast,
    slowfast_frames,
    something_something,
    ucf101,
)
from .bad_videos import BadVideo
from .datasets import DATASETS, Dataset
from .loading import load
from .sampling_config import SamplingConfig

__all__ = [
    "DATASETS",
    "BadVideo",
    "Dataset",
    "SamplingConfig",
    "charades",
    "digits",
    "folder",
    "hmdb51",
    "kinetics",
    "load",
    "media_sequence",
    "mmaction2",
    "nonlocal_net",
    "slowfast",
    "slowfast_frames",
    "something_something",
    "ucf101",
]
