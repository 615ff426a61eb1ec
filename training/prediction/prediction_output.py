"""Write predictions as JSON (all scores) or CSV (the best classes).

FILE.json
    {"model": ..., "views": ..., "classes": [...], "videos": [
      {"path": ..., "top": [{"class": ..., "score": ...}, ...],
       "scores": [one per class],
       "timeline": {"step_s": ..., "rows": [
         {"time_s": ..., "start_s": ..., "end_s": ..., "class": ...,
          "score": ..., "scores": [...]}, ...]}},
      {"path": ..., "error": "the reason"}]}

FILE.csv
    path,class_1,score_1,class_2,score_2,...,error
    path,time_s,start_s,end_s,class_1,score_1,...,error   with a timeline
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ..io import outputs, paths, quoting
from ..io.paths import Path
from ..io.user_error import UserError
from .predictions import Prediction

KINDS = (".json", ".csv")


def path_of(text: str) -> Path:
    """Parse the output path.

    Raises:
        UserError: the name ends in neither .json nor .csv.
    """
    path = paths.as_path(text)
    if path.suffix.lower() not in KINDS:
        raise UserError(
            f"Expected --out to end in {' or '.join(KINDS)}, not {text}."
        )
    return path


def top_classes(scores: np.ndarray, top: int) -> np.ndarray:
    """Return class indices by descending score; ties in index order."""
    return np.argsort(-scores, kind="stable")[:top]


def write(
    path: Path,
    predictions: Sequence[Prediction],
    classes: Sequence[str],
    top: int,
    about: dict[str, str],
) -> None:
    """Write predictions in the format of the file's suffix.

    Args:
        path: ends in .json or .csv; its folder is created if needed.
        predictions: of all inputs.
        classes: class names.
        top: number of best classes to write.
        about: further keys of the JSON object, such as the model.
    """
    if path.suffix.lower() == ".json":
        text = as_json(predictions, classes, top, about)
    else:
        text = as_csv(predictions, classes, top)
    outputs.write_text(path, text)


def as_json(
    predictions: Sequence[Prediction],
    classes: Sequence[str],
    top: int,
    about: dict[str, str],
) -> str:
    """Format predictions with all scores as JSON."""
    videos = [_video(prediction, classes, top) for prediction in predictions]
    content = {**about, "classes": list(classes), "videos": videos}
    return json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n"


def _video(
    prediction: Prediction, classes: Sequence[str], top: int
) -> dict[str, Any]:
    if prediction.scores is None:
        return {"path": prediction.path, "error": prediction.reason}
    pairs = _pairs(prediction.scores, classes, top)
    video: dict[str, Any] = {
        "path": prediction.path,
        "top": [{"class": name, "score": score} for name, score in pairs],
        "scores": [_short(score) for score in prediction.scores],
    }
    if prediction.timeline is not None:
        rows = [
            {
                **moments,
                **dict(zip(("class", "score"), pair, strict=True)),
                "scores": [_short(score) for score in scores],
            }
            for moments, scores in _moments(prediction)
            for pair in _pairs(scores, classes, 1)
        ]
        video["timeline"] = {"step_s": prediction.timeline.step_s, "rows": rows}
    return video


def as_csv(
    predictions: Sequence[Prediction], classes: Sequence[str], top: int
) -> str:
    """Format predictions as CSV: a row per video or per timeline step."""
    top = min(top, len(classes))
    along = any(prediction.timeline is not None for prediction in predictions)
    times = ["time_s", "start_s", "end_s"] if along else []
    names = [f"{kind}_{n + 1}" for n in range(top) for kind in CELLS]
    head = ["path", *times, *names, "error"]
    rows = (
        {"path": prediction.path, **moments, **cells}
        for prediction in predictions
        for moments, cells in _rows(prediction, classes, top, names)
    )
    cells = ([row.get(name, "") for name in head] for row in rows)
    return quoting.csv_text([head, *cells])


CELLS = ("class", "score")


def _rows(
    prediction: Prediction,
    classes: Sequence[str],
    top: int,
    names: Sequence[str],
) -> Iterator[tuple[dict, dict]]:
    """Yield (times, cells) of each row of a video."""
    if prediction.scores is None:
        yield {}, {"error": prediction.reason}
        return
    scored_times: Iterable[tuple[dict, np.ndarray]] = [({}, prediction.scores)]
    if prediction.timeline is not None:
        scored_times = _moments(prediction)
    for moments, scores in scored_times:
        pairs = _pairs(scores, classes, top)
        cells = [cell for pair in pairs for cell in pair]
        yield moments, dict(zip(names, cells, strict=True))


def _moments(prediction: Prediction) -> Iterator[tuple[dict, np.ndarray]]:
    """Yield (times, scores) of each step of a timeline."""
    timeline = prediction.timeline
    if timeline is None:
        return
    columns = (
        timeline.times_s,
        timeline.starts_s,
        timeline.ends_s,
        timeline.scores,
    )
    for time_s, start_s, end_s, scores in zip(*columns, strict=True):
        seconds = (
            round(float(number), 4) for number in (time_s, start_s, end_s)
        )
        names = ("time_s", "start_s", "end_s")
        yield dict(zip(names, seconds, strict=True)), scores


def _pairs(
    scores: np.ndarray, classes: Sequence[str], top: int
) -> list[tuple[str, float]]:
    """Return (class, score) of the best classes."""
    return [(classes[i], _short(scores[i])) for i in top_classes(scores, top)]


def _short(score: float) -> float:
    """Round a score to the digits of a float32."""
    return float(str(np.float32(score)))
