"""Rows of a data-set table: file name, label and content of each video."""

from collections.abc import Sequence

from ..runs.training_files import TrainingFile, size_of
from .listing import Video
from .sources import Probe


def rows(
    pairs: Sequence[tuple[Video, Probe]], classes: Sequence[str], root: str
) -> list[TrainingFile]:
    """Return a row for each video, in order.

    Args:
        pairs: videos with their probes.
        classes: class names in the order of the labels.
        root: folder that file names are relative to.
    """
    return [
        TrainingFile(
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
