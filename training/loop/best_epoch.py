"""The best epoch of a run, and early stopping.

Both follow from the rows of the history alone, so that a resumed run stops
where an uninterrupted one does.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from ..io.user_error import UserError

BEST: Literal["best"] = "best"
# The metric of a run that names none: the first of these that it has.
MAIN_METRICS = ("val_auc_pr", "val_accuracy", "val_box_AP", "val_loss")

Row = Mapping[str, float | None]


class EpochSettings(Protocol):
    """Settings of a run: `keep`, `metric` and `patience`."""

    @property
    def keep(self) -> Literal["last", "best"]: ...
    @property
    def metric(self) -> str | None: ...
    @property
    def patience(self) -> int | None: ...


def kept_epoch(settings: EpochSettings, history: Sequence[Row]) -> int | None:
    """Return the epoch whose weights are tested and exported.

    Args:
        settings: of the run.
        history: a row for each finished epoch.

    Returns:
        Its number from 1; None without an epoch.
    """
    if not history:
        return None
    if settings.keep == BEST:
        return best_epoch(settings, history)
    return len(history)


def check_metric(settings: EpochSettings, metrics: Sequence[str]) -> None:
    """Raise a UserError if epochs cannot be compared as the settings ask.

    Args:
        settings: of the run.
        metrics: that a row of the history will have.
    """
    if settings.keep == BEST or settings.patience is not None:
        metric_of(settings, dict.fromkeys(metrics, 0.0))


def is_stopped(settings: EpochSettings, history: Sequence[Row]) -> bool:
    """Return whether the last `patience` epochs did not improve the metric."""
    if settings.patience is None or not history:
        return False
    return len(history) - best_epoch(settings, history) >= settings.patience


def best_epoch(settings: EpochSettings, history: Sequence[Row]) -> int:
    """Return the number, from 1, of the first epoch with the best metric.

    An epoch without the metric is worse than any with it.

    Raises:
        UserError: the rows do not have the metric.
    """
    metric = metric_of(settings, history[0])
    sign = -1 if metric.endswith("loss") else 1
    values = [row.get(metric) for row in history]
    ranks = [-math.inf if v is None else sign * v for v in values]
    return 1 + ranks.index(max(ranks))


def metric_of(settings: EpochSettings, row: Row) -> str:
    """Return the metric that epochs are compared by.

    Args:
        settings: of the run.
        row: of an epoch.

    Raises:
        UserError: there is no such metric, or none of `MAIN_METRICS`.
    """
    validated = [name for name in row if name.startswith("val_")]
    names = MAIN_METRICS if settings.metric is None else [settings.metric]
    for name in names:
        if name in validated:
            return name
    raise UserError(
        "Expected training.metric as one of the metrics of validation: "
        f"{', '.join(validated) or 'there is none'}. Received: "
        f"{settings.metric}"
    )
