"""Cross-validation: train and test a recipe on each of k folds of its data."""

import contextlib
import json
import logging
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from ..evaluation import class_metrics, video_scores
from ..io import atomic_files, tables
from ..io.paths import Path
from ..io.user_error import UserError
from ..recipes import overrides
from ..runs import run_report
from ..runs.run_folder import RunFolder
from . import video_evaluation

RESULT = "folds.json"  # in the folder of the runs


def runs(recipe: Any, path: Path, folds: int) -> list[tuple[Any, RunFolder]]:
    """Return the recipe and the run folder of each fold.

    Args:
        recipe: of a data set with `data.folds`.
        path: folder of the run folders fold0, fold1 and so on.
        folds: number of folds.

    Raises:
        UserError: the data set is not divided into folds, or `path` is a run.
    """
    if getattr(recipe, "dataset", None) is None or recipe.data is None:
        raise UserError(
            "Expected a data set of class folders (dataset=folder) to divide "
            f"into folds. Received: recipe {recipe.name!r}"
        )
    if RunFolder(path).recipe_path.exists():
        raise UserError(
            f"{path} is the folder of one run. Give another --workdir for "
            "--folds."
        )
    parts = []
    for fold in range(folds):
        settings = [f"data.folds={folds}", f"data.fold={fold}"]
        own = overrides.override(recipe, settings)
        parts.append((own, RunFolder(path / f"fold{fold}")))
    return parts


@contextlib.contextmanager
def own_functions(folds: int) -> Iterator[None]:
    """Drop TensorFlow's warning of retracing: each fold has own functions."""

    def is_kept(record: logging.LogRecord) -> bool:
        is_retracing = "triggered tf.function retracing" in record.getMessage()
        return folds == 1 or not is_retracing

    logger = tf.get_logger()
    logger.addFilter(is_kept)
    try:
        yield
    finally:
        logger.removeFilter(is_kept)


def finish(path: Path, results: Sequence[dict]) -> str:
    """Write mean and spread of the folds' scores, and tabulate them.

    So for classes: precision and recall over the tests of all folds, which
    have each video once.

    Args:
        path: folder of the run folders.
        results: of all folds.

    Returns:
        A table for the screen.
    """
    metric = "accuracy"
    if results[0].get("mean_average_precision") is not None:
        metric = "mean_average_precision"
    scores = [result[metric] for result in results]
    mean, deviation = statistics.mean(scores), statistics.stdev(scores)
    record = {
        "metric": metric,
        "folds": scores,
        "mean": mean,
        "standard_deviation": deviation,
    }
    atomic_files.write_text(path / RESULT, json.dumps(record, indent=2))
    rows = [
        (f"fold {number}", f"{tables.percent(score)} of {result['examples']}")
        for number, (score, result) in enumerate(
            zip(scores, results, strict=True)
        )
    ]
    rows.append(("mean", f"{tables.percent(mean)}, of folds"))
    rows.append(("standard deviation", tables.percent(deviation)))
    title = f"test {metric.replace('_', ' ')}"
    return (
        f"{title}\n{tables.render(rows)}\n{_classes(path, len(results))}"
        f"  in {path / RESULT}; reports in fold0/{run_report.REPORT} and so on"
    )


def _classes(path: Path, folds: int) -> str:
    """Write and tabulate the metrics of classes over the tests of all folds.

    Each video is in the test of one fold.
    """
    parts = [RunFolder(path / f"fold{fold}") for fold in range(folds)]
    if not all(run.recipe_path.exists() for run in parts):
        return ""
    scored = [video_evaluation.tested_scores(run) for run in parts]
    rows = class_metrics.class_metrics(video_scores.concatenate(scored))
    class_metrics.write(path, rows)
    table = class_metrics.render(rows)
    return f"{table}\n" if table else ""
