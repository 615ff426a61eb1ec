"""Load a data set from plain arguments."""

import dataclasses
import numbers
import os
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from nonlocal_tf.choices import is_positive_integer, unknown

from ..io.paths import is_url
from ..io.user_error import UserError
from . import auto_stride, datasets
from .data_config import DataConfig
from .datasets import DATASETS, Dataset
from .sampling_config import AUGMENTATION, AUTO, SamplingConfig
from .video_dataset import VideoDataset

SETTINGS = [
    field.name
    for field in dataclasses.fields(DataConfig)
    if field.name not in ("root", "train", "validation", "test", "classes")
]


def load(
    root: str | os.PathLike = "",
    *,
    dataset: str = "folder",
    train: str | None = None,
    validation: str | None = None,
    test: str | None = None,
    classes: str | None = None,
    frames: int = 8,
    stride: int | Literal["auto"] = 8,
    size: int = 224,
    fps: float | None = None,
    short_sides: tuple[int, int] | None = None,
    eval_short_side: int | None = None,
    flip: bool = True,
    color_jitter: float = 0.0,
    augmentation: Mapping[str, Any] | None = None,
    past_end: str = "wrap",
    **location,
) -> Dataset:
    """Load videos and their labels.

    All videos are probed, which decodes new files once; results are cached.
    Unreadable videos are left out and listed in `bad`.

    Args:
        root: folder, or its URL, that paths are relative to. A data set
            "folder" has one folder of videos per class in it, or such folders
            in `train`, `val` and `test`.
        dataset: name in `DATASETS`: "folder", a format of list files such as
            "kinetics" or "mmaction2", or generated clips such as
            "digits_recall", which take no other argument, or "abilities",
            which takes `clips`.
        train: list file of the training videos, for data sets with lists.
        validation: list file of the validation videos.
        test: list file of the test videos. Without one of the two, validation
            and test have the same videos.
        classes: file with the class names, for data sets with lists.
        frames: frames per clip.
        stride: distance between the frames of a clip, in frames; "auto" lets a
            clip span a training video of median length.
        size: height and width of a clip, in pixels.
        fps: frame rate at which strides are counted; None counts frames of the
            file.
        short_sides: smallest and largest short side to which training frames
            are resized before the crop, in pixels; in proportion to `size` by
            default, 256 and 320 for 224.
        eval_short_side: short side before the centre crop of validation and
            test, in pixels; by default 256 for 224.
        flip: whether half of the training clips are flipped horizontally.
        color_jitter: strength of random color changes in training, 0 to 1.
        augmentation: other augmentation of training clips, and their order:
            `balanced`, `repeats`, `time_jitter`, `reversal`, `flip_pairs`,
            `crop_area`, `crop_ratio`, `grey`, `erase`, `rand_augment` and
            `magnitude` of `SamplingConfig`.
        past_end: frames after the end of a short video: "wrap" (from its first
            frame) or "clamp" (its last frame).
        **location: other fields of `DataConfig`, such as `split`, `groups`,
            `folds` and `fold` of class folders, `separator`,
            `max_bad_share` (share of unreadable videos that is an error, 0.05),
            `cache`, and `clips`, an `AbilityConfig`.

    Returns:
        The data set: `classes`, `splits` (number of examples of each), `bad`,
        `batches` for `fit`, and `source` for random access.

    Raises:
        UserError: the data set is unknown, cannot be read, or has too many
            unreadable videos; or an argument does not apply to it.
        TypeError: an argument is unknown.

    Example:

    >>> videos = data.load("videos/", frames=8, stride=8, size=224)
    >>> len(videos.classes), videos.splits
    (2, {'train': 80, 'validation': 10, 'test': 10})
    """
    for name in location:
        if name not in SETTINGS:
            raise TypeError(unknown("argument of load", name, SETTINGS))
    for name in augmentation or ():
        if name not in AUGMENTATION:
            raise TypeError(unknown("augmentation", name, AUGMENTATION))
    if dataset not in DATASETS:
        raise UserError(unknown("dataset", dataset, DATASETS))
    for name, value in {
        "frames": frames,
        "stride": stride,
        "size": size,
    }.items():
        if not is_positive_integer(value) and (name, value) != ("stride", AUTO):
            choice = f" or {AUTO!r}" * (name == "stride")
            raise UserError(
                f"Expected {name} as an integer above 0{choice}. "
                f"Received: {value!r}"
            )
    for name, number in {"fps": fps, "color_jitter": color_jitter}.items():
        is_default = (name, number) == ("fps", None)
        if not (is_default or isinstance(number, numbers.Real)):
            raise UserError(
                f"Expected {name} as a number. Received: {number!r}"
            )
    if not isinstance(flip, (bool, np.bool_)):
        raise UserError(f"Expected flip as True or False. Received: {flip!r}")
    if not isinstance(root, (str, os.PathLike)):
        raise UserError(
            f"Expected root as the path or URL of a folder. Received: {root!r}"
        )
    config = DataConfig(
        root=os.fspath(root),
        train=train,
        validation=validation,
        test=test,
        classes=classes,
        **location,
    )
    short_side = round(size * 256 / 224)
    smallest, largest = _short_sides(
        size, short_sides or (short_side, round(size * 10 / 7))
    )
    sampling = SamplingConfig(
        frames=frames,
        frame_stride=stride,
        fps=fps,
        past_end=past_end,
        min_short_side_px=smallest,
        max_short_side_px=largest,
        crop_px=size,
        flip=flip,
        color_jitter=color_jitter,
        eval_short_side_px=eval_short_side or short_side,
        **(augmentation or {}),
    )
    if not issubclass(DATASETS[dataset], VideoDataset):
        return _load_generated(dataset, config, sampling)
    if dataset == "folder" and not is_url(config.root):
        _check_folder(config.root)
    videos = datasets.load(dataset, config, sampling)
    if stride == AUTO and isinstance(videos, VideoDataset):
        sampling, _ = auto_stride.choose(videos, sampling)
        videos = datasets.load(dataset, config, sampling)
    return videos


def _short_sides(size: int, short_sides: tuple[int, int]) -> list[int]:
    """Return the smallest and the largest short side of training frames."""
    sides = np.atleast_1d(short_sides).tolist()
    if len(sides) != 2 or not size <= sides[0] <= sides[1]:
        raise UserError(
            "Expected short_sides as the smallest and the largest short side, "
            f"from size={size} pixels. Received: {short_sides}"
        )
    return sides


def _check_folder(root: str) -> None:
    """Raise a UserError unless a path is a folder."""
    if os.path.isdir(root):
        return
    hint = f" Did you mean dataset={root!r}?" * (root in DATASETS)
    raise UserError(
        "Expected root as a folder with one folder of videos per class. "
        f"Received: {root!r}.{hint}"
    )


def _load_generated(
    name: str, config: DataConfig, sampling: SamplingConfig
) -> Dataset:
    """Load generated examples, which have no location and own clips."""
    if (config, sampling) != (DataConfig(clips=config.clips), SamplingConfig()):
        raise UserError(
            f"The examples of {name!r} are generated: load takes no argument "
            "but dataset, and clips for 'abilities'."
        )
    return datasets.load(name, config if config.clips is not None else None)
