"""Manifest of a data set: its videos, labels and splits."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Span:
    """A label with start and end times, both included."""

    label: int
    start_s: float
    end_s: float


@dataclasses.dataclass(frozen=True)
class Video:
    """One video of a data set.

    Attributes:
        path: path of a video file, a folder of JPEG frames, or a TFRecord
            shard.
        labels: indices of its classes; empty without labels.
        spans: times of labels, in data sets that have them; a label without
            a span holds for the whole video.
        frames: number of frames; None if the list does not give it.
        frame_name: format string of frame names in the folder, applied to a
            frame number.
        first_frame: number of the first frame in the folder.
        fps: frames per second; None if the data set does not give it.
        offset: offset of the record in its shard, in bytes.
    """

    path: str
    labels: tuple[int, ...] = ()
    spans: tuple[Span, ...] = ()
    frames: int | None = None
    frame_name: str = "img_{:05}.jpg"
    first_frame: int = 1
    fps: float | None = None
    offset: int = 0


@dataclasses.dataclass(frozen=True)
class Manifest:
    """All videos of a data set.

    Attributes:
        classes: class names in the order of the labels.
        splits: videos of "train", "validation" and "test"; a split may be
            missing.
        multi_label: whether a video may have several classes or none.
        skips_unlabelled: whether mean average precision leaves out videos
            without a class, as the official script of Charades does.
        notes: warnings about skipped files and likely mistakes.
    """

    classes: tuple[str, ...]
    splits: dict[str, list[Video]]
    multi_label: bool = False
    skips_unlabelled: bool = False
    notes: tuple[str, ...] = ()
