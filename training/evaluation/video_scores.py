"""Store the scores of an evaluation, and compute its metrics.

Metrics are recomputed from scores.npz without videos or network:

scores   float32 (videos, views, classes): class probabilities of each view
labels   int64 (videos,), or uint8 (videos, classes) for multi-label data
ok       bool (videos,): False for unreadable videos, whose scores are 0
paths    of the videos, as listed
reasons  read error of each video, else empty
classes  class names
about    JSON: split, views, pool, seconds, versions, skips_unlabelled
"""

import dataclasses
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nonlocal_tf.checkpoints.errors import CheckpointError

from ..io import atomic_files, finite, json_text, tables
from ..io.paths import Path
from ..io.user_error import UserError
from ..loop import checkpoint_arrays
from . import metrics

ARRAYS = ("scores", "labels", "ok", "paths", "reasons", "classes")


@dataclasses.dataclass(frozen=True)
class VideoScores:
    """Scores of the views of all videos of a split.

    Attributes:
        scores, labels, ok, paths, reasons, classes: as in the file.
        split: "validation" or "test".
        views: description of the views.
        pool: pooling over views: "mean" or "max".
        reading_seconds: time waiting for pixels.
        computing_seconds: time in the network.
        versions: of the software, and the machine.
        skips_unlabelled: whether mAP excludes videos without a class, as in
            Charades; else they are negatives of every class, as in
            scikit-learn.
    """

    scores: np.ndarray
    labels: np.ndarray
    ok: np.ndarray
    paths: np.ndarray
    reasons: np.ndarray
    classes: np.ndarray
    split: str
    views: str
    pool: str
    reading_seconds: float
    computing_seconds: float
    versions: dict
    skips_unlabelled: bool = False

    @property
    def multi_label(self) -> bool:
        return self.labels.ndim == 2


def save(path: Path, scored: VideoScores) -> None:
    """Write scores.npz atomically."""
    about = {
        field.name: getattr(scored, field.name)
        for field in dataclasses.fields(scored)
        if field.name not in ARRAYS
    }
    arrays = {name: getattr(scored, name) for name in ARRAYS}
    content = npz_bytes(about=np.array(json.dumps(about)), **arrays)
    atomic_files.write_bytes(path, content)


def load(path: Path) -> VideoScores:
    """Read scores.npz.

    Raises:
        UserError: the file is missing or damaged.
    """
    if not path.is_file():
        raise UserError(
            f"There is no file {path}. Expected the scores.npz that "
            "nonlocal-tf evaluate writes."
        )
    try:
        arrays = read_npz(path)
        about = json_text.parse(str(arrays.pop("about")))
        about.pop("chance", None)  # of older files; recomputed from labels
        scored = json_text.build(VideoScores, {**arrays, **about})
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a file of scores: {error}") from error
    check(scored, path)
    return scored


def concatenate(parts: Sequence[VideoScores]) -> VideoScores:
    """Join the scores of different videos, of the same views and classes."""
    names = ("scores", "labels", "ok", "paths", "reasons")
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in names
    }
    return dataclasses.replace(parts[0], **arrays)


def check(scored: VideoScores, path: Path) -> None:
    """Raise a UserError unless the array shapes are consistent."""
    videos, _, classes = shape = scored.scores.shape
    expected = {
        "labels": [(videos,), (videos, classes)],
        "ok": [(videos,)],
        "paths": [(videos,)],
        "reasons": [(videos,)],
        "classes": [(classes,)],
    }
    for name, shapes in expected.items():
        if getattr(scored, name).shape not in shapes:
            raise UserError(
                f"{path}: expected {name} for scores of shape {shape}. "
                f"Received: {getattr(scored, name).shape}"
            )


def npz_bytes(**arrays: np.ndarray) -> bytes:
    """Serialize arrays as an .npz file."""
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    return content.getvalue()


def read_npz(path: Path) -> dict[str, Any]:
    """Read the arrays of an .npz file.

    Raises:
        ValueError: it is damaged.
    """
    if atomic_files.is_endless(path):
        raise ValueError(f"{path} cannot be read: {atomic_files.ENDLESS}.")
    try:
        with path.open("rb") as file:
            checkpoint_arrays.check(file)
            with np.load(file) as saved:
                return {name: saved[name] for name in saved.files}
    except (
        CheckpointError,
        zipfile.BadZipFile,
        EOFError,
        OSError,
    ) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def compute_metrics(scored: VideoScores) -> dict[str, Any]:
    """Compute all metrics of an evaluation, as shares from 0 to 1.

    Unreadable videos count only in `..._of_listed`: as wrong predictions, or
    in multi-label data with a score of 0 for every class.

    Raises:
        UserError: no video could be read, or scores are not finite.
    """
    read = int(scored.ok.sum())
    if not read:
        raise UserError(f"None of the {len(scored.ok)} videos could be read.")
    finite_rows = np.isfinite(scored.scores[scored.ok]).all(axis=(1, 2))
    if not finite_rows.all():
        raise finite.outputs_error(
            f"test on the {scored.split} split",
            f" for {(~finite_rows).sum()} of {read} examples",
        )
    of_labels = (
        _multi_label_metrics if scored.multi_label else _single_label_metrics
    )
    seconds = scored.reading_seconds + scored.computing_seconds
    return {
        "split": scored.split,
        "views": scored.views,
        "pool": scored.pool,
        "listed": len(scored.ok),
        "read": read,
        **of_labels(scored),
        "reading_seconds": round(scored.reading_seconds, 2),
        "computing_seconds": round(scored.computing_seconds, 2),
        "videos_per_second": round(read / seconds, 3) if seconds else None,
    }


def _single_label_metrics(scored: VideoScores) -> dict[str, Any]:
    ok, listed = scored.ok, len(scored.ok)
    views, labels = scored.scores[ok], scored.labels[ok]
    scores = metrics.pool_views(views, scored.pool)
    results: dict[str, Any] = {}
    for key, metric in metrics.reported(False, scores.shape[1]).items():
        value = np.asarray(metric.compute(scores, labels))
        results[key] = float(value.mean())
        if value.ndim:
            results[f"{key}_of_listed"] = float(value.sum() / listed)
    if views.shape[1] > 1:
        by_view = views.argmax(axis=2) == labels[:, None]  # (videos, views)
        results["clip1_accuracy"] = float(by_view[:, 0].mean())
        results["clip_accuracy"] = float(by_view.mean())
    return {
        **results,
        "loss": metrics.log_loss(scores, labels),
        **_baselines(scored),
    }


def _baselines(scored: VideoScores) -> dict[str, Any]:
    """Compute the accuracies of random and of constant predictions."""
    counts = np.bincount(scored.labels[scored.ok])
    majority = int(counts.argmax())
    return {
        "chance": 1 / len(scored.classes),
        "majority_class": str(scored.classes[majority]),
        "majority_share": float(counts[majority] / counts.sum()),
    }


def _multi_label_metrics(scored: VideoScores) -> dict[str, Any]:
    scores = metrics.pool_views(scored.scores, scored.pool)
    ok, labels = scored.ok, scored.labels
    is_labelled = labels.any(axis=1)
    if not (ok & is_labelled).any():
        raise UserError(
            "None of the readable videos has a label: average precision is "
            "undefined."
        )
    counts = is_labelled if scored.skips_unlabelled else np.ones_like(ok)
    ranked, of_ranked = ok & counts, labels[ok & counts]
    unlabelled = int((ok & ~is_labelled).sum())
    figures: dict[str, Any] = {}
    for key, metric in metrics.reported(True, scores.shape[1]).items():
        compute = metric.compute
        figures[key] = compute(scores[ranked], of_ranked)
        figures[f"{key}_of_listed"] = compute(scores[counts], labels[counts])
        figures[f"clip1_{key}"] = compute(scored.scores[ranked, 0], of_ranked)
        if scored.skips_unlabelled and unlabelled:
            figures[f"{key}_with_unlabelled"] = compute(scores[ok], labels[ok])
    return {
        **figures,
        "classes_seen": int(of_ranked.any(axis=0).sum()),
        "unlabelled": unlabelled,
        "skips_unlabelled": scored.skips_unlabelled,
        "loss": metrics.binary_log_loss(scores[ok], labels[ok]),
        "chance": metrics.prevalence(of_ranked),
    }


POOL_NAMES = {"mean": "averaged", "max": "largest score"}
NAME_LETTERS = 40  # of a class, in a table


def baseline_rows(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Format the accuracies of random and of majority-class predictions.

    Args:
        results: metrics of an evaluation, or the result of a run.
    """
    if not results.get("chance"):  # an older result
        return []
    chance = tables.percent(results["chance"])
    if results.get("mean_average_precision") is not None:
        return [("chance (random scores)", chance)]
    name, share = results.get("majority_class"), results.get("majority_share")
    if name is None or share is None:  # an older result
        return [("chance", chance)]
    if len(name) > NAME_LETTERS:
        name = f"{name[: NAME_LETTERS - 1]}…"
    return [
        (f"chance (1 of {round(1 / results['chance'])} classes)", chance),
        ("majority class", f"{tables.percent(share)} for always {name!r}"),
    ]


def _names() -> dict[str, str]:
    """Return the names of the rows of the table, by key."""
    return {
        **metrics.names(),
        "clip1_accuracy": "Clip1 accuracy (first view)",
        **{
            f"clip1_{key}": f"{metric.name} of the first view"
            for key, metric in metrics.MULTI_LABEL.items()
        },
        "clip_accuracy": "Clip accuracy (all views)",
    }


def render(results: dict[str, Any]) -> str:
    """Format metrics as a table for the terminal."""
    listed, read = results["listed"], results["read"]
    examples = f"{read}" if read == listed else f"{read} read, {listed} listed"
    rows: list[tuple[str, object]] = [
        ("split", results["split"]),
        ("views", f"{results['views']}, {POOL_NAMES[results['pool']]}"),
        ("examples", examples),
    ]
    for key, name in _names().items():
        if results.get(key) is None:
            continue
        of_listed = results.get(f"{key}_of_listed")
        if read == listed or of_listed is None:
            rows.append((name, tables.percent(results[key])))
            continue
        rows.append(
            (f"{name} of the {read} read", tables.percent(results[key]))
        )
        rows.append(
            (
                f"{name} of all {listed} listed, unreadable ones wrong",
                tables.percent(of_listed),
            )
        )
    rows += baseline_rows(results)
    if "classes_seen" in results:
        rows.append(("classes with a video", results["classes_seen"]))
    if results.get("unlabelled"):
        rows.append(("videos without a class", _unlabelled(results)))
    rows.append(("loss", f"{results['loss']:.4f}"))
    rows.append(("waiting for pixels", f"{results['reading_seconds']:.1f} s"))
    rows.append(("computing", f"{results['computing_seconds']:.1f} s"))
    if results["videos_per_second"] is not None:
        rows.append(
            ("examples a second", f"{results['videos_per_second']:.2f}")
        )
    return tables.render(rows)


def _unlabelled(results: dict[str, Any]) -> str:
    if not results["skips_unlabelled"]:
        return f"{results['unlabelled']}, negatives of every class"
    counted = results["mean_average_precision_with_unlabelled"]
    return (
        f"{results['unlabelled']}, excluded from average precision as in the "
        f"data set's own script ({tables.percent(counted)} with them)"
    )
