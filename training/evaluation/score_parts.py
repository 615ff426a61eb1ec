"""Scores as they come, in parts, so that a killed test goes on.

A folder of a test has scored.json, which says what is scored, by which weights,
and part_00000.npz and so on, each of so many videos of the list in order. They
are replaced by scores.npz when the last one is there.
"""

import dataclasses
import json

import numpy as np

from ..io import atomic_files, json_text
from ..io.remote import Path
from ..io.user_error import UserError
from . import video_scores

STATE = "scored.json"
SCORES = "scores.npz"
METRICS = "metrics.json"
CONFUSION = "confusion.png"
BAD_VIDEOS = "bad_videos.csv"
PART_VIDEOS = 64


@dataclasses.dataclass(frozen=True)
class Part:
    """Scores of consecutive videos.

    Attributes:
        scores: float32 `(videos, views, classes)`; 0 where not `ok`.
        ok: bool `(videos,)`.
        reasons: why a video could not be read, else empty, `(videos,)`.
        seconds: reading and computing, `(2,)`.
    """

    scores: np.ndarray
    ok: np.ndarray
    reasons: np.ndarray
    seconds: np.ndarray


class Parts:
    """The parts of one test.

    Args:
        folder: where they are; made if needed.
        settings: all that decides the scores, as JSON has it.

    Raises:
        UserError: the folder holds something else.
    """

    def __init__(self, folder: Path, settings: dict):
        self.folder = folder
        self._settings = settings
        there = self._read_state()
        if there == settings:
            return
        folder.mkdir(parents=True, exist_ok=True)
        if there is None and any(
            not path.name.startswith(".") for path in folder.glob("*")
        ):
            raise UserError(
                f"{folder} is neither empty nor a folder of scores (it has no "
                f"{STATE} of a test). Give another --scores."
            )
        if there is not None:
            changed = [k for k in settings if there.get(k) != settings[k]]
            print(
                f"note: {folder} has scores of another test "
                f"({', '.join(changed) or 'other settings'} differ): it starts "
                "anew"
            )
        remove_parts(folder)
        for name in (SCORES, METRICS, CONFUSION, BAD_VIDEOS):
            (folder / name).unlink(missing_ok=True)
        atomic_files.write_text(folder / STATE, json.dumps(settings, indent=2))

    @property
    def scores_path(self) -> Path:
        return self.folder / SCORES

    def read(self) -> list[Part]:
        """The parts that are there, without gaps from the first one on."""
        parts: list[Part] = []
        for number, path in enumerate(_found(self.folder)):
            if path != self._path(number):
                break
            try:
                parts.append(Part(**video_scores.unpacked(path)))
            except (ValueError, TypeError) as error:
                print(f"note: scored again: {error}")
                break
        return parts

    def write(self, number: int, part: Part) -> None:
        """Keeps a part."""
        content = video_scores.packed(**vars(part))
        atomic_files.write_bytes(self._path(number), content)

    def _path(self, number: int) -> Path:
        return self.folder / f"part_{number:05d}.npz"

    def _read_state(self) -> dict | None:
        path = self.folder / STATE
        if not path.is_file():
            return None
        try:
            state = json_text.parse(path.read_bytes())
        except ValueError:
            return None
        is_own = isinstance(state, dict) and {"split", "weights"} <= set(state)
        return state if is_own else None


def remove_parts(folder: Path) -> None:
    """Removes all parts, when the scores are written or a test starts anew."""
    for path in _found(folder):
        path.unlink()


def _found(folder: Path) -> list[Path]:
    found = folder.glob("part_*.npz")
    return sorted(found, key=lambda path: path.name)
