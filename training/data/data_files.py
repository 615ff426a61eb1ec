"""Files of a data set as rows: name, label and content."""

import dataclasses
import os
from collections.abc import Sequence

from ..io.paths import is_url
from .clip_reader import Probe
from .manifest import Video


@dataclasses.dataclass(frozen=True)
class DataFile:
    """One video or image that is trained on.

    Attributes:
        name: its path relative to the data set's root.
        label: its class or annotations, in words.
        content: what is known of it, such as its size and length, in words.
    """

    name: str
    label: str
    content: str


def size_of(path: str | os.PathLike) -> str:
    """Size of a local file in words; "" where that is not known."""
    if is_url(path) or not os.path.isfile(path):
        return ""
    return f"{os.path.getsize(path)} bytes"


def rows(
    pairs: Sequence[tuple[Video, Probe]], classes: Sequence[str], root: str
) -> list[DataFile]:
    """Return a row for each video, in order.

    Args:
        pairs: videos with their probes.
        classes: class names in the order of the labels.
        root: folder that file names are relative to.
    """
    return [
        DataFile(
            relative(video.path, root)
            + (f"#{video.offset}" if video.offset else ""),
            _label(video, classes),
            _content(video, probe),
        )
        for video, probe in pairs
    ]


def relative(path: str, root: str) -> str:
    """Return a path relative to the root."""
    return path.removeprefix(root).lstrip("/")


def _label(video: Video, classes: Sequence[str]) -> str:
    names = [classes[label] for label in video.labels]
    spans = [
        f"{classes[span.label]} from {span.start_s:g} to {span.end_s:g} s"
        for span in video.spans
    ]
    return ", ".join([*names, *spans])


def _content(video: Video, probe: Probe) -> str:
    size = f"{probe.frames} frames of {probe.width}x{probe.height}"
    first = video.first_frame
    start = f"from frame {first} on" if first > 1 else ""
    rate = f"{probe.fps:g} a second" if probe.fps else ""
    return ", ".join(filter(None, (size, start, rate, size_of(video.path))))
