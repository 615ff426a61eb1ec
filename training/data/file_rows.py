"""Videos of a split as rows of a table: file, label and content in words."""

from collections.abc import Sequence

from ..runs.training_files import TrainingFile, size_of
from .listing import Video
from .sources import Probe


def rows(
    pairs: Sequence[tuple[Video, Probe]], classes: Sequence[str], root: str
) -> list[TrainingFile]:
    """A row for each video, in their order.

    Args:
        pairs: videos, and what is known of each.
        classes: names of the labels.
        root: folder that names are relative to.
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
    """A path from the root on, the same wherever the root is."""
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
