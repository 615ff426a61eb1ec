"""Precision, recall and support of each class."""

import dataclasses
import json
from collections.abc import Sequence

import numpy as np

from ..io import atomic_files, json_text, tables
from ..io.paths import Path
from ..io.user_error import UserError
from . import metrics
from .video_scores import VideoScores

FILE_NAME = "classes.json"
TERMINAL_ROWS = 20  # classes; more are in the file alone
SHARE = (float, int, None)
SHAPE = [
    {
        "name": str,
        "support": int,
        "precision": SHARE,
        "recall": SHARE,
        "average_precision": SHARE,
    }
]
HEAD = ("class", "support", "precision", "recall")


@dataclasses.dataclass(frozen=True)
class ClassMetrics:
    """Metrics of one class.

    Attributes:
        name: of the class.
        support: readable videos of the class.
        precision: share of the videos predicted as it that are of it; None if
            there are none.
        recall: share of its videos that are predicted as it; None without any.
        average_precision: of several labels a video, in place of the two.
    """

    name: str
    support: int
    precision: float | None = None
    recall: float | None = None
    average_precision: float | None = None


def class_metrics(scored: VideoScores) -> list[ClassMetrics]:
    """Compute the metrics of each class, in the order of the labels."""
    names = [str(name) for name in scored.classes]
    scores = metrics.pool_views(scored.scores[scored.ok], scored.pool)
    labels = scored.labels[scored.ok]
    if scored.multi_label:
        support = (labels > 0).sum(axis=0)
        if scored.skips_unlabelled:
            kept = labels.any(axis=1)
            scores, labels = scores[kept], labels[kept]
        precisions = metrics.average_precisions(scores, labels)
        return [
            ClassMetrics(name, int(count), average_precision=_known(precision))
            for name, count, precision in zip(
                names, support, precisions, strict=True
            )
        ]
    predicted = metrics.predicted_classes(scores)
    counts = metrics.confusion_matrix(predicted, labels, len(names))
    return [
        ClassMetrics(
            name,
            int(counts[row].sum()),
            _share(counts[row, row], counts[:, row].sum()),
            _share(counts[row, row], counts[row].sum()),
        )
        for row, name in enumerate(names)
    ]


def write(folder: Path, rows: Sequence[ClassMetrics]) -> None:
    """Write the metrics of classes as JSON."""
    content = [dataclasses.asdict(row) for row in rows]
    atomic_files.write_text(
        folder / FILE_NAME, json.dumps(content, indent=1, ensure_ascii=False)
    )


def read(folder: Path) -> list[ClassMetrics]:
    """Read the metrics of classes; [] if older code did not write them.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return []
    try:
        rows = json_text.parse_as(path.read_bytes(), SHAPE)
        return [ClassMetrics(**row) for row in rows]
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({error}). Delete it, or test again."
        ) from error


def table(rows: Sequence[ClassMetrics]) -> list[tuple[str, ...]]:
    """Format the metrics of classes: a heading, and a row for each."""
    if any(row.average_precision is not None for row in rows):
        body = [
            (row.name, str(row.support), _text(row.average_precision))
            for row in rows
        ]
        return [("class", "support", "average precision"), *body]
    return [
        HEAD,
        *(
            (
                row.name,
                str(row.support),
                _text(row.precision),
                _text(row.recall),
            )
            for row in rows
        ),
    ]


def render(rows: Sequence[ClassMetrics]) -> str:
    """Format the table for the terminal; "" of too many classes."""
    if len(rows) > TERMINAL_ROWS:
        return ""
    return tables.render(table(rows))


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _text(value: float | None) -> str:
    return "-" if value is None else tables.percent(value)
