"""Scores of a test as they are kept, and the figures computed from them.

scores.npz has everything that a figure needs, so that it can be computed again
without the videos or the network:

scores   float32 (videos, views, classes): probability of each class a view
labels   int64 (videos,), or uint8 (videos, classes) of several labels a video
ok       bool (videos,): False for what could not be read; its scores are 0
paths    of the videos, as listed
reasons  why a video could not be read, else empty
classes  their names
about    JSON: split, views, pool, seconds, versions, skips_unlabelled
"""

import dataclasses
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from nonlocal_tf.checkpoints.errors import CheckpointError

from ..io import atomic_files, json_text, tables
from ..io.remote import Path
from ..io.user_error import UserError
from ..loop import checkpoint_arrays, finite
from . import metrics

ARRAYS = ("scores", "labels", "ok", "paths", "reasons", "classes")


@dataclasses.dataclass(frozen=True)
class VideoScores:
    """Scores of all listed videos of a split, a view at a time.

    Attributes:
        scores, labels, ok, paths, reasons, classes: as in the file.
        split: "validation" or "test".
        views: which, in words.
        pool: how views become a video: "mean" or "max".
        reading_seconds: in which the network waited for pixels.
        computing_seconds: in which it did not.
        versions: what they were computed on.
        skips_unlabelled: whether videos without a class are left out of mean
            average precision, as in Charades; else they are negatives of every
            class, as in scikit-learn.
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
    """Writes scores.npz at once or leaves the old one."""
    about = {
        field.name: getattr(scored, field.name)
        for field in dataclasses.fields(scored)
        if field.name not in ARRAYS
    }
    arrays = {name: getattr(scored, name) for name in ARRAYS}
    atomic_files.write_bytes(
        path, packed(about=np.array(json.dumps(about)), **arrays)
    )


def load(path: Path) -> VideoScores:
    """Reads scores.npz.

    Raises:
        UserError: there is none, or it is damaged.
    """
    if not path.is_file():
        raise UserError(
            f"There is no file {path}. Expected the scores.npz that "
            "nonlocal-tf evaluate writes."
        )
    try:
        arrays = unpacked(path)
        about = json_text.parse(str(arrays.pop("about")))
        about.pop("chance", None)  # of older files; it follows from labels
        scored = VideoScores(**arrays, **about)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a file of scores: {error}") from error
    check(scored, path)
    return scored


def check(scored: VideoScores, path: Path) -> None:
    """Raises a UserError unless the arrays fit together."""
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


def packed(**arrays: np.ndarray) -> bytes:
    """Arrays as the content of an .npz file."""
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    return content.getvalue()


def unpacked(path: Path) -> dict[str, Any]:
    """The arrays of an .npz file.

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


def figures(scored: VideoScores) -> dict[str, Any]:
    """All figures of a test; shares from 0 to 1.

    What could not be read counts in `..._of_listed` alone: as wrong, or for
    several labels a video as having every score 0.

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
    of_labels = _of_several_labels if scored.multi_label else _of_one_label
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


def _of_one_label(scored: VideoScores) -> dict[str, Any]:
    ok, listed = scored.ok, len(scored.ok)
    views, labels = scored.scores[ok], scored.labels[ok]
    scores = metrics.pooled(views, scored.pool)
    right = metrics.in_top(scores, labels, 1)
    found: dict[str, Any] = {
        "accuracy": float(right.mean()),
        "accuracy_of_listed": float(right.sum() / listed),
    }
    if scores.shape[1] > 5:
        in_top5 = metrics.in_top(scores, labels, 5)
        found["top5"] = float(in_top5.mean())
        found["top5_of_listed"] = float(in_top5.sum() / listed)
    if views.shape[1] > 1:
        by_view = views.argmax(axis=2) == labels[:, None]  # (videos, views)
        found["clip1_accuracy"] = float(by_view[:, 0].mean())
        found["clip_accuracy"] = float(by_view.mean())
    return {
        **found,
        "mean_class_accuracy": metrics.mean_class_accuracy(right, labels),
        "loss": metrics.log_loss(scores, labels),
        **_guessing(scored),
    }


def _guessing(scored: VideoScores) -> dict[str, Any]:
    """Accuracies without looking at videos, to compare with."""
    counts = np.bincount(scored.labels[scored.ok])
    largest = int(counts.argmax())
    return {
        "chance": 1 / len(scored.classes),
        "majority_class": str(scored.classes[largest]),
        "majority_share": float(counts[largest] / counts.sum()),
    }


def _of_several_labels(scored: VideoScores) -> dict[str, Any]:
    scores = metrics.pooled(scored.scores, scored.pool)
    ok, labels = scored.ok, scored.labels
    is_labelled = labels.any(axis=1)
    if not (ok & is_labelled).any():
        raise UserError(
            "None of the videos that could be read has a label: there is no "
            "average precision."
        )
    counts = is_labelled if scored.skips_unlabelled else np.ones_like(ok)
    ranked, of_ranked = ok & counts, labels[ok & counts]
    precision = metrics.mean_average_precision
    figures = {
        "mean_average_precision": precision(scores[ranked], of_ranked),
        "mean_average_precision_of_listed": precision(
            scores[counts], labels[counts]
        ),
        "clip1_mean_average_precision": precision(
            scored.scores[ranked, 0], of_ranked
        ),
        "classes_seen": int(of_ranked.any(axis=0).sum()),
        "unlabelled": int((ok & ~is_labelled).sum()),
        "skips_unlabelled": scored.skips_unlabelled,
        "loss": metrics.binary_log_loss(scores[ok], labels[ok]),
        "chance": metrics.prevalence(of_ranked),
    }
    if scored.skips_unlabelled and figures["unlabelled"]:
        figures["mean_average_precision_with_unlabelled"] = precision(
            scores[ok], labels[ok]
        )
    return figures


POOLED = {"mean": "averaged", "max": "largest score"}
# Which figures are shown, and how they are called.
ROWS = (
    ("accuracy", "accuracy (top-1)"),
    ("top5", "top-5 accuracy"),
    ("mean_average_precision", "mean average precision"),
    ("mean_class_accuracy", "mean class accuracy"),
    ("clip1_accuracy", "Clip1 accuracy (first view)"),
    ("clip1_mean_average_precision", "the same of the first view"),
    ("clip_accuracy", "Clip accuracy (all views)"),
)
NAME_LETTERS = 40  # of a class, in a table


def guessing(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows of what guessing reaches: at random, and always the same class.

    Args:
        found: figures of a test, or a run's result.
    """
    if not found.get("chance"):  # of an older result
        return []
    chance = tables.percent(found["chance"])
    if found.get("mean_average_precision") is not None:
        return [("chance (random scores)", chance)]
    name, share = found.get("majority_class"), found.get("majority_share")
    if name is None or share is None:  # of an older result
        return [("chance", chance)]
    if len(name) > NAME_LETTERS:
        name = f"{name[: NAME_LETTERS - 1]}…"
    return [
        (f"chance (1 of {round(1 / found['chance'])} classes)", chance),
        (
            "majority class",
            f"{tables.percent(share)} by always saying {name!r}",
        ),
    ]


def render(found: dict[str, Any]) -> str:
    """The figures as a table for the screen."""
    listed, read = found["listed"], found["read"]
    examples = f"{read}" if read == listed else f"{read} read, {listed} listed"
    rows: list[tuple[str, object]] = [
        ("split", found["split"]),
        ("views", f"{found['views']}, {POOLED[found['pool']]}"),
        ("examples", examples),
    ]
    for key, name in ROWS:
        if found.get(key) is None:
            continue
        of_listed = found.get(f"{key}_of_listed")
        if read == listed or of_listed is None:
            rows.append((name, tables.percent(found[key])))
            continue
        rows.append((f"{name} of the {read} read", tables.percent(found[key])))
        rows.append(
            (
                f"{name} of all {listed} listed, the others as wrong",
                tables.percent(of_listed),
            )
        )
    rows += guessing(found)
    if "classes_seen" in found:
        rows.append(("classes with a video", found["classes_seen"]))
    if found.get("unlabelled"):
        rows.append(("videos without a class", _unlabelled(found)))
    rows.append(("loss", f"{found['loss']:.4f}"))
    rows.append(("waiting for pixels", f"{found['reading_seconds']:.1f} s"))
    rows.append(("computing", f"{found['computing_seconds']:.1f} s"))
    if found["videos_per_second"] is not None:
        rows.append(("examples a second", f"{found['videos_per_second']:.2f}"))
    return tables.render(rows)


def _unlabelled(found: dict[str, Any]) -> str:
    if not found["skips_unlabelled"]:
        return f"{found['unlabelled']}, negatives of every class"
    counted = found["mean_average_precision_with_unlabelled"]
    return (
        f"{found['unlabelled']}, left out of average precision as in the data "
        f"set's own script ({tables.percent(counted)} with them)"
    )
