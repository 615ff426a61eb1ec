"""Store partial scores, so that an interrupted evaluation resumes.

The folder has scored.json with the settings of the evaluation (data, weights,
views) and part_00000.npz and so on, each with the scores of consecutive
videos. The last part written, scores.npz replaces them.
"""

import dataclasses
import json

import numpy as np

from ..io import atomic_files, json_text
from ..io.paths import Path
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
        reasons: read error of each video, else empty, `(videos,)`.
        seconds: reading and computing time, `(2,)`.
    """

    scores: np.ndarray
    ok: np.ndarray
    reasons: np.ndarray
    seconds: np.ndarray


class Parts:
    """The parts of one evaluation.

    Args:
        folder: of the parts; created if needed.
        settings: everything the scores depend on, as JSON values.

    Raises:
        UserError: the folder has other files.
    """

    def __init__(self, folder: Path, settings: dict):
        self.folder = folder
        self._settings = settings
        stored = self._read_state()
        if stored == settings:
            return
        folder.mkdir(parents=True, exist_ok=True)
        if stored is None and any(
            not path.name.startswith(".") for path in folder.glob("*")
        ):
            raise UserError(
                f"{folder} is neither empty nor a folder of scores (it has no "
                f"{STATE} of an evaluation). Give another --scores."
            )
        if stored is not None:
            changed = [k for k in settings if stored.get(k) != settings[k]]
            print(
                f"note: {folder} has scores of another evaluation "
                f"({', '.join(changed) or 'other settings'} differ): starting "
                "over"
            )
        remove_parts(folder)
        for name in (SCORES, METRICS, CONFUSION, BAD_VIDEOS):
            (folder / name).unlink(missing_ok=True)
        atomic_files.write_text(folder / STATE, json.dumps(settings, indent=2))

    @property
    def scores_path(self) -> Path:
        return self.folder / SCORES

    def read(self) -> list[Part]:
        """Read the stored parts up to the first missing or damaged one."""
        parts: list[Part] = []
        for number, path in enumerate(_part_paths(self.folder)):
            if path != self._path(number):
                break
            try:
                arrays = video_scores.read_npz(path)
                parts.append(json_text.build(Part, arrays))
            except (ValueError, TypeError) as error:
                print(f"note: scoring again: {error}")
                break
        return parts

    def write(self, number: int, part: Part) -> None:
        """Write a part atomically."""
        content = video_scores.npz_bytes(**vars(part))
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
    """Delete all parts, after scores.npz is written or to start over."""
    for path in _part_paths(folder):
        path.unlink()


def _part_paths(folder: Path) -> list[Path]:
    paths = folder.glob("part_*.npz")
    return sorted(paths, key=lambda path: path.name)
