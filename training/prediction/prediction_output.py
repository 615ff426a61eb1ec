"""Predictions as files: JSON with all scores, and CSV with the best classes.

FILE.json
    {"model": ..., "views": ..., "classes": [...], "videos": [
      {"path": ..., "top": [{"class": ..., "score": ...}, ...],
       "scores": [one a class],
       "timeline": {"step_s": ..., "rows": [
         {"time_s": ..., "start_s": ..., "end_s": ..., "class": ...,
          "score": ..., "scores": [...]}, ...]}},
      {"path": ..., "error": "why it could not be looked at"}]}

FILE.csv
    path,class_1,score_1,class_2,score_2,...,error
    path,time_s,start_s,end_s,class_1,score_1,...,error   with a timeline
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ..io import outputs, quoting, remote
from ..io.remote import Path
from ..io.user_error import UserError
from .predictions import Prediction

KINDS = (".json", ".csv")


def path_of(text: str) -> Path:
    """Where to write, from what was typed.

    Raises:
        UserError: it is neither a JSON nor a CSV file.
    """
    path = remote.as_path(text)
    if path.suffix.lower() not in KINDS:
        raise UserError(
            f"Expected --out to end in {' or '.join(KINDS)}, not {text}."
        )
    return path


def best(scores: np.ndarray, top: int) -> np.ndarray:
    """Numbers of the best classes, best first; of equal ones the first."""
    return np.argsort(-scores, kind="stable")[:top]


def write(
    path: Path,
    found: Sequence[Prediction],
    classes: Sequence[str],
    top: int,
    about: dict[str, str],
) -> None:
    """Writes predictions in the format that the file's name ends in.

    Args:
        path: ends in .json or .csv; its folder is made if needed.
        found: predictions.
        classes: names.
        top: how many of the best classes.
        about: what else JSON says, such as the model.
    """
    if path.suffix.lower() == ".json":
        text = as_json(found, classes, top, about)
    else:
        text = as_csv(found, classes, top)
    outputs.write_text(path, text)


def as_json(
    found: Sequence[Prediction],
    classes: Sequence[str],
    top: int,
    about: dict[str, str],
) -> str:
    """Predictions with all scores, as JSON."""
    videos = [_video(one, classes, top) for one in found]
    content = {**about, "classes": list(classes), "videos": videos}
    return json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n"


def _video(one: Prediction, classes: Sequence[str], top: int) -> dict[str, Any]:
    if one.scores is None:
        return {"path": one.path, "error": one.reason}
    pairs = _pairs(one.scores, classes, top)
    video: dict[str, Any] = {
        "path": one.path,
        "top": [{"class": name, "score": score} for name, score in pairs],
        "scores": [_short(score) for score in one.scores],
    }
    if one.timeline is not None:
        rows = [
            {
                **moments,
                **dict(zip(("class", "score"), pair, strict=True)),
                "scores": [_short(score) for score in scores],
            }
            for moments, scores in _moments(one)
            for pair in _pairs(scores, classes, 1)
        ]
        video["timeline"] = {"step_s": one.timeline.step_s, "rows": rows}
    return video


def as_csv(
    found: Sequence[Prediction], classes: Sequence[str], top: int
) -> str:
    """Predictions as rows: one a video, or one a moment of its timeline."""
    top = min(top, len(classes))
    along = any(one.timeline is not None for one in found)
    times = ["time_s", "start_s", "end_s"] if along else []
    names = [f"{kind}_{n + 1}" for n in range(top) for kind in CELLS]
    head = ["path", *times, *names, "error"]
    rows = (
        {"path": one.path, **moments, **cells}
        for one in found
        for moments, cells in _rows(one, classes, top, names)
    )
    cells = ([row.get(name, "") for name in head] for row in rows)
    return quoting.csv_text([head, *cells])


CELLS = ("class", "score")


def _rows(
    one: Prediction, classes: Sequence[str], top: int, names: Sequence[str]
) -> Iterator[tuple[dict, dict]]:
    """(times, cells) of each row of a video."""
    if one.scores is None:
        yield {}, {"error": one.reason}
        return
    looks: Iterable[tuple[dict, np.ndarray]] = [({}, one.scores)]
    if one.timeline is not None:
        looks = _moments(one)
    for moments, scores in looks:
        pairs = _pairs(scores, classes, top)
        cells = [cell for pair in pairs for cell in pair]
        yield moments, dict(zip(names, cells, strict=True))


def _moments(one: Prediction) -> Iterator[tuple[dict, np.ndarray]]:
    """(times, scores) of each row of a timeline."""
    along = one.timeline
    if along is None:
        return
    columns = along.times_s, along.starts_s, along.ends_s, along.scores
    for time, start, end, scores in zip(*columns, strict=True):
        seconds = (round(float(number), 4) for number in (time, start, end))
        names = ("time_s", "start_s", "end_s")
        yield dict(zip(names, seconds, strict=True)), scores


def _pairs(
    scores: np.ndarray, classes: Sequence[str], top: int
) -> list[tuple[str, float]]:
    """(class, score) of the best classes."""
    return [(classes[i], _short(scores[i])) for i in best(scores, top)]


def _short(score: float) -> float:
    """A score without digits that a float32 does not have."""
    return float(str(np.float32(score)))
