"""Data sets of videos, and batches of their clips for `model.fit`.

Example:

>>> videos = data.load("videos/", frames=8, stride=8, size=224)
>>> model.fit(
...     videos.batches("train", 8, seed=0),
...     validation_data=videos.batches("validation", 8),
...     epochs=10,
... )
"""

# Each of these fills the table with its own.
from . import (
    abilities,
    charades,
    digits,
    folder,
    hmdb51,
    kinetics,
    made_motion,
    media_sequence,
    mmaction2,
    nonlocal_net,
    slowfast,
    slowfast_frames,
    something_something,
    ucf101,
)
from .bad_videos import BadVideo
from .coco_dataset import CocoDataset, load_coco
from .datasets import DATASETS, Dataset
from .loading import load
from .sampling_config import SamplingConfig

__all__ = [
    "DATASETS",
    "BadVideo",
    "CocoDataset",
    "Dataset",
    "SamplingConfig",
    "abilities",
    "charades",
    "digits",
    "folder",
    "hmdb51",
    "kinetics",
    "load",
    "load_coco",
    "made_motion",
    "media_sequence",
    "mmaction2",
    "nonlocal_net",
    "slowfast",
    "slowfast_frames",
    "something_something",
    "ucf101",
]
