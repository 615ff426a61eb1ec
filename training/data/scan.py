"""Find unreadable videos of a data set, and list them in a csv file."""

import concurrent.futures
import csv
import io
import os
from collections.abc import Sequence

from ..io import atomic_files, quoting
from ..io.paths import Path
from ..io.progress import Progress
from ..io.user_error import UserError
from . import file_names, file_tree
from .datasets import BadVideo
from .listing import Video
from .sources import Probe, Source, VideoError

BAD_VIDEOS = "bad_videos.csv"
ADVICE = (
    "Repair or delete them, or raise data.max_bad_share; "
    "nonlocal-tf check lists them all."
)


def probe_all(source: Source, videos: list[Video]) -> list[Probe | VideoError]:
    """Probe videos in parallel; errors are returned, not raised."""

    def probe(video):
        if not file_names.is_text(video.path):
            return VideoError(file_names.NOT_TEXT)
        try:
            return source.probe(video)
        except VideoError as error:
            return error

    progress = Progress(len(videos), "videos checked")
    probes = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for result in pool.map(probe, videos):
            probes.append(result)
            progress.at(len(probes))
    return probes


def write_bad_videos(path: Path, bad: Sequence[BadVideo]) -> None:
    """Write the list of bad videos; remove it if there are none.

    Raises:
        OSError: it cannot be written.
    """
    if not bad:
        path.unlink(missing_ok=True)
        return
    atomic_files.write_text(path, as_csv(bad))


def read_bad_videos(path: Path) -> list[BadVideo]:
    """Read the list of bad videos; [] if the file does not exist."""
    if not path.exists():
        return []
    # Not `read_text`: file names may contain carriage returns.
    text = path.read_bytes().decode("utf-8")
    rows = csv.reader(io.StringIO(text, newline=""))
    return [BadVideo(*row) for row in list(rows)[1:] if len(row) == 3]


def as_csv(bad: Sequence[BadVideo]) -> str:
    """Format a list of bad videos as csv."""
    rows = ((b.split, b.path, b.reason) for b in bad)
    return quoting.csv_text([("split", "path", "reason"), *rows])


def check_share(
    bad: Sequence[BadVideo],
    listed: int,
    max_share: float,
    advice: str = ADVICE,
) -> None:
    """Raise a UserError if too many videos are bad.

    Args:
        bad: bad videos.
        listed: number of all videos.
        max_share: highest allowed share of bad videos.
        advice: end of the error message.
    """
    if len(bad) > max_share * listed:
        raise UserError(
            f"{len(bad)} of {listed} videos cannot be read, more than "
            f"data.max_bad_share={max_share} of them.{abbreviated(bad)} "
            f"{advice}"
        )


def abbreviated(bad: Sequence[BadVideo]) -> str:
    """Name the first bad videos and reasons, as the end of a message."""
    if not bad:
        return ""
    texts = [f"{video.path}: {video.reason}" for video in bad]
    return f" Bad: {file_tree.abbreviated(texts)}."
