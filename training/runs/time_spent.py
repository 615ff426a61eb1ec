"""Training time by activity, from the rows of metrics.csv."""

import math
from collections.abc import Mapping, Sequence

from ..io import tables

Row = Mapping[str, float | None]
NOT_MEASURED = "not measured"
TRAINING, VALIDATION = "train_seconds", "validation_seconds"
PRECISE_BN = "precise_bn_seconds"  # most runs have none


def duration(seconds: float) -> str:
    """3.25 as "3.25 s", and longer times in minutes or hours."""
    if seconds < 120:
        return f"{seconds:.2f} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def figures(
    rows: Sequence[Row], epoch_steps: int, batch: int
) -> dict[str, str]:
    """Describe the time of some epochs.

    Args:
        rows: of metrics.csv, at least one. `seconds` is that of a whole
            epoch, `train_seconds` that of its steps, `waiting_seconds` of
            these what was spent waiting for data, `validation_seconds` and
            `precise_bn_seconds` what their names say. What a row has not was
            not measured.
        epoch_steps: steps a row; the last one may have fewer, which its
            `epoch` and `step` say.
        batch: examples a step.
    """
    spent = {
        "epochs": f"{len(rows):,}",
        "steps": f"{_steps(rows, epoch_steps):,}",
        "time in all": _time(rows, "seconds"),
        "training": _time(rows, TRAINING),
        "of it waiting for data": _waiting(rows),
        "validation": _time(rows, VALIDATION),
    }
    if _sum(rows, PRECISE_BN):
        spent["statistics for normalisation"] = _time(rows, PRECISE_BN)
    spent["the rest"] = _rest(rows)
    return spent | _speed(rows, epoch_steps, batch)


def compared(
    rows: Sequence[Row], epoch_steps: int, batch: int
) -> list[tuple[str, ...]]:
    """Tabulate the figures of all epochs, and of those after the first.

    The first includes what is done once, such as tracing the graph.
    """
    columns = [("all epochs", figures(rows, epoch_steps, batch))]
    if len(rows) > 1:
        later = figures(rows[1:], epoch_steps, batch)
        columns.append(("without the first", later))
    head = ("", *(name for name, _ in columns))
    lines = [
        (name, *(column.get(name, NOT_MEASURED) for _, column in columns))
        for name in columns[0][1]
    ]
    return [head, *lines]


def _measured(rows: Sequence[Row], *keys: str) -> list[Row]:
    """Return the rows that have all of these times."""
    return [
        row
        for row in rows
        if all(math.isfinite(_value(row, key)) for key in keys)
    ]


def _value(row: Row, key: str) -> float:
    """Return a time of a row; NaN if it is missing."""
    value = row.get(key)
    return math.nan if value is None else value


def _steps(rows: Sequence[Row], epoch_steps: int) -> int:
    """Count the training steps of some epochs."""
    total = 0.0
    for row in rows:
        before = epoch_steps * ((row.get("epoch") or 1) - 1)
        total += min((row.get("step") or math.inf) - before, epoch_steps)
    return round(total)


def _sum(rows: Sequence[Row], key: str) -> float:
    return math.fsum(row.get(key) or 0 for row in rows)


def _of(part: Sequence[Row], rows: Sequence[Row]) -> str:
    """Return the note that a figure is of a part of the epochs, or ""."""
    if len(part) == len(rows):
        return ""
    return f" (in {len(part):,} of {len(rows):,} epochs)"


def _time(rows: Sequence[Row], key: str) -> str:
    part = _measured(rows, key)
    if not part:
        return NOT_MEASURED
    return duration(_sum(part, key)) + _of(part, rows)


def _rest(rows: Sequence[Row]) -> str:
    part = _measured(rows, "seconds", TRAINING, VALIDATION)
    if not part:
        return NOT_MEASURED
    counted = sum(_sum(part, key) for key in (TRAINING, PRECISE_BN, VALIDATION))
    return duration(max(0, _sum(part, "seconds") - counted)) + _of(part, rows)


def _waiting(rows: Sequence[Row]) -> str:
    part = _measured(rows, TRAINING, "waiting_seconds")
    waited, trained = _sum(part, "waiting_seconds"), _sum(part, TRAINING)
    if not trained:
        return NOT_MEASURED
    share = tables.percent(waited / trained)
    return f"{duration(waited)}, {share}{_of(part, rows)}"


def _speed(rows: Sequence[Row], epoch_steps: int, batch: int) -> dict[str, str]:
    """Return time per step and examples per second, of training if known."""
    key, note = TRAINING, ""
    part = _measured(rows, key)
    if not part:
        key, note = "seconds", " (validation included)"
        part = _measured(rows, key)
    seconds = _sum(part, key) / _steps(part, epoch_steps) if part else 0
    if not seconds:
        return {"time a step": NOT_MEASURED, "examples a second": NOT_MEASURED}
    note += _of(part, rows)
    return {
        "time a step": f"{seconds:.4g} s{note}",
        "examples a second": f"{batch / seconds:,.4g}{note}",
    }
