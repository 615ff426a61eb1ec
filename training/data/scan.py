"""Looking at all videos of a data set, so that bad ones are known."""

import concurrent.futures
import csv
import io
import os
from collections.abc import Sequence

from ..io import atomic_files, quoting
from ..io.progress import Progress
from ..io.remote import Path
from ..io.user_error import UserError
from . import file_names
from .datasets import BadVideo
from .listing import Video
from .sources import Probe, Source, VideoError

BAD_VIDEOS = "bad_videos.csv"
ADVICE = (
    "Mend or delete them, or raise data.max_bad_share; "
    "nonlocal-tf check lists them all."
)


def probe_all(source: Source, videos: list[Video]) -> list[Probe | VideoError]:
    """Looks at many videos at once; what is wrong with each is returned."""

    def probe(video):
        if not file_names.is_text(video.path):
            return VideoError(file_names.NOT_TEXT)
        try:
            return source.probe(video)
        except VideoError as error:
            return error

    shown = Progress(len(videos), "videos looked at")
    found = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for result in pool.map(probe, videos):
            found.append(result)
            shown.at(len(found))
    return found


def write_bad_videos(path: Path, bad: Sequence[BadVideo]) -> None:
    """Writes a list of bad videos anew; none leave no file.

    Raises:
        OSError: it cannot be written.
    """
    if not bad:
        path.unlink(missing_ok=True)
        return
    atomic_files.write_text(path, as_csv(bad))


def read_bad_videos(path: Path) -> list[BadVideo]:
    """What `write_bad_videos` wrote; nothing if there is no such file."""
    if not path.exists():
        return []
    text = path.read_bytes().decode("utf-8")  # carriage returns are names'
    rows = csv.reader(io.StringIO(text, newline=""))
    return [BadVideo(*row) for row in list(rows)[1:] if len(row) == 3]


def as_csv(bad: Sequence[BadVideo]) -> str:
    """A list of bad videos as it is written."""
    rows = ((b.split, b.path, b.reason) for b in bad)
    return quoting.csv_text([("split", "path", "reason"), *rows])


def check_share(
    bad: Sequence[BadVideo],
    listed: int,
    max_share: float,
    advice: str = ADVICE,
) -> None:
    """Raises a UserError if too many videos are bad.

    Args:
        bad: they.
        listed: how many there are in all.
        max_share: how many may be.
        advice: what to do then.
    """
    if len(bad) > max_share * listed:
        raise UserError(
            f"{len(bad)} of {listed} videos cannot be read, more than "
            f"data.max_bad_share={max_share} of them.{some_of(bad)} {advice}"
        )


def some_of(bad: Sequence[BadVideo]) -> str:
    """The first bad videos and their reasons, as the end of a message."""
    if not bad:
        return ""
    some = "; ".join(f"{b.path}: {b.reason}" for b in bad[:3])
    more = f"; and {len(bad) - 3} more" if len(bad) > 3 else ""
    return f" Bad: {some}{more}."
