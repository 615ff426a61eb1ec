"""Evaluation of trained video classification networks.

A video is scored on its middle clip, or on several views whose scores are
averaged: clips along the video times crops of each clip, as in the authors'
code, or whole frames in a fully convolutional network, as in the paper.

    RUN/tests/test_10x3/
        scores.npz      all scores; see training/evaluation/video_scores.py
        metrics.json    metrics, and versions of the software
        confusion.png   confusion matrix
        classes.json    support, precision and recall of each class
        scored.json     settings of the evaluation
        bad_videos.csv  unreadable videos, if any

An interrupted evaluation resumes after the last 64 videos.
"""

import argparse
import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from .. import evaluation
from ..data import DATASETS, BadVideo, Dataset, bad_videos, datasets
from ..data.data_config import DataConfig, check_split
from ..data.dataset_info import DatasetInfo
from ..data.sampling_config import (
    AUGMENTATION,
    SamplingConfig,
    ViewsConfig,
)
from ..data.video_dataset import VideoDataset
from ..evaluation import (
    class_metrics,
    confusion,
    evaluation_data,
    model_evaluation,
    score_parts,
    video_scores,
    view_options,
)
from ..evaluation.evaluation_data import TrainedOn
from ..evaluation.model_evaluation import BATCH
from ..evaluation.video_scores import VideoScores
from ..io import atomic_files, cli, paths
from ..io.paths import Path
from ..io.user_error import UserError
from ..recipes import overrides
from ..recipes.schema import Recipe
from ..runs import run_model
from ..runs.run_folder import RunFolder

SHOWN = 3


@dataclasses.dataclass(frozen=True)
class Scores:
    """Metrics of a run on a split, beside the accuracy of guessing.

    Attributes:
        split: "validation" or "test".
        examples: number of readable examples.
        accuracy: share of correct predictions among them; for multi-label data
            the mean average precision.
        loss: mean negative logarithm of the label's probability, or binary
            cross-entropy of all classes.
        chance: accuracy of random guesses; for multi-label data about the mean
            average precision of random scores.
        listed: number of examples.
        accuracy_of_listed: as `accuracy`, with unreadable examples counted as
            wrong.
        top5: top-5 accuracy, of more than five classes.
        mean_class_accuracy: mean of the accuracies of the classes.
        mean_average_precision: of multi-label data.
        unlabelled: number of readable examples without a class, of multi-label
            data.
        skips_unlabelled: whether mean average precision leaves them out.
        majority_class: the most frequent class of the readable examples.
        majority_share: accuracy of always predicting it.
        views: description of the views of each video.
    """

    split: str
    examples: int
    accuracy: float
    loss: float
    chance: float
    listed: int | None = None
    accuracy_of_listed: float | None = None
    top5: float | None = None
    mean_class_accuracy: float | None = None
    mean_average_precision: float | None = None
    unlabelled: int | None = None
    skips_unlabelled: bool | None = None
    majority_class: str | None = None
    majority_share: float | None = None
    views: str | None = None

    @classmethod
    def of(cls, metrics: Mapping[str, Any]) -> "Scores":
        """Select the metrics of an evaluation that result.json has."""
        accuracy = "accuracy"
        if "mean_average_precision" in metrics:
            accuracy = "mean_average_precision"
        names = {field.name for field in dataclasses.fields(cls)}
        selected = {k: v for k, v in metrics.items() if k in names}
        return cls(
            **{
                **selected,
                "examples": metrics["read"],
                "accuracy": metrics[accuracy],
                "accuracy_of_listed": metrics[f"{accuracy}_of_listed"],
            }
        )


def add_options(group: argparse._ArgumentGroup) -> None:
    """Add the options of an evaluation to a group."""
    group.add_argument(
        "--split",
        default="test",
        help='"test" (default) or "validation"',
    )
    view_options.add_arguments(group)
    group.add_argument(
        "--batch",
        type=cli.count,
        default=BATCH,
        metavar="N",
        help="views per forward pass; the scores do not depend on it "
        f"(default: {BATCH})",
    )
    group.add_argument(
        "--scores",
        metavar="DIR",
        help="folder for scores and figures (default: in tests/ of the run)",
    )
    group.add_argument(
        "--recompute",
        metavar="FILE",
        help="instead of a run: the scores.npz of an evaluation, to print its "
        "metrics",
    )


def run_command(options: argparse.Namespace) -> None:
    """Evaluate the run of the options, or recompute metrics of scores."""
    if options.recompute is not None:
        scored = video_scores.load(paths.as_path(options.recompute))
        if options.pool is not None:
            view_options.check_pool(options.pool, scored.multi_label)
            scored = dataclasses.replace(scored, pool=options.pool)
        _print_metrics(scored)
        return
    run = RunFolder(options.workdir)
    recipe = run.read_recipe(Recipe)
    views = view_options.views_of(options, recipe.views, recipe.sampling)
    atomic_files.check_writable_folder(
        paths.as_path(options.scores or run.path / "tests")
    )
    print(f"Scoring the {options.split} split.", flush=True)
    scored, folder = score_run(
        run, options.split, views, options.batch, options.scores, options.set
    )
    _print_metrics(scored)
    _print_bad(scored, folder)
    print(f"Scores and figures are in {folder}")
    print(confusion.write(folder / score_parts.CONFUSION, scored))


def _print_metrics(scored: VideoScores) -> None:
    print(video_scores.render(video_scores.compute_metrics(scored)))
    print(class_metrics.render(class_metrics.class_metrics(scored)))


def evaluate_run(
    run: RunFolder, split: str, views: ViewsConfig | None = None
) -> Scores:
    """Evaluate the latest checkpoint of a run on "validation" or "test".

    Args:
        run: the trained run.
        split: "validation" or "test".
        views: clips and crops of each video. Default: the recipe's views, or
            else the centre clip.
    """
    scored, _ = score_run(run, split, views)
    return Scores.of(video_scores.compute_metrics(scored))


def score_run(
    run: RunFolder,
    split: str,
    views: ViewsConfig | None = None,
    batch: int = BATCH,
    out: str | Path | None = None,
    data_settings: Sequence[str] = (),
) -> tuple[VideoScores, Path]:
    """Evaluate the latest checkpoint of a run, and write scores and figures.

    Args:
        run: the trained run.
        split: "validation" or "test".
        views: as for `evaluate_run`.
        batch: views per forward pass.
        out: folder for the files. Default: one in the run, named for the views.
        data_settings: such as "data.root=/new/place", instead of the recipe's;
            the default folder is then another one.

    Returns:
        The scores, and their folder.

    Raises:
        UserError: there is nothing to score, or none of it can be read.
    """
    check_split(split)
    model, recipe, info = run_model.load_trained(run)
    dataset = load_data(run, recipe, info, split, data_settings)
    has_videos = isinstance(dataset, VideoDataset)
    if has_videos:
        views = views or recipe.views
    name = _folder_name(recipe, views, split)
    if data_settings:
        name += f"_{(dataset.fingerprint() or '')[:8]}"
    folder = paths.as_path(out or run.path / "tests" / name)
    if out is None:
        atomic_files.check_inside(folder, run.path)
    settings = _settings(model, recipe, dataset, split, views)
    with atomic_files.locked(folder):
        parts = score_parts.Parts(folder, settings)
        if has_videos and parts.scores_path.exists():
            print(
                f"{folder} has these scores. To compute them anew, delete it."
            )
            scored = dataclasses.replace(
                video_scores.load(parts.scores_path),
                pool=views.pool if views else "mean",
                skips_unlabelled=dataset.skips_unlabelled,
            )
        else:
            scored = evaluation.evaluate(
                model,
                dataset,
                split,
                views=views,
                batch_size=batch,
                parts=parts,
            ).scores
        _write(folder, scored)
    if has_videos and not data_settings:
        # Stored scores may list more bad videos than this process read.
        bad = {(b.split, b.path): b for b in [*_bad(scored), *dataset.bad]}
        run.add_bad_inputs(list(bad.values()))
    return scored, folder


def tested_scores(run: RunFolder) -> VideoScores:
    """Read the scores of the test at the end of a run.

    Raises:
        UserError: there are none, or they are damaged.
    """
    recipe = run.read_recipe(Recipe)
    folder = run.path / "tests" / _folder_name(recipe, recipe.views, "test")
    return video_scores.load(folder / score_parts.SCORES)


def _folder_name(recipe: Recipe, views: ViewsConfig | None, split: str) -> str:
    if views is None:
        return f"{split}_middle"
    sampling = recipe.sampling or SamplingConfig()
    return f"{split}_{view_options.folder_name(views, sampling)}"


def _settings(
    model: keras.Model,
    recipe: Recipe,
    dataset: Dataset,
    split: str,
    views: ViewsConfig | None,
) -> dict[str, Any]:
    """Return everything that the scores of an evaluation depend on.

    Raises:
        UserError: the views do not go together, or with the data set.
    """
    settings: dict[str, Any] = {
        "weights": run_model.weights_digest(model),
        "split": split,
    }
    views = model_evaluation.resolve_views(views, dataset)
    if views is None:
        return settings
    return {
        **settings,
        "videos": dataset.fingerprint(),
        "precision": recipe.training.precision,
        "sampling": {
            name: value
            for name, value in dataclasses.asdict(
                recipe.sampling or SamplingConfig()
            ).items()
            if name not in AUGMENTATION
        },
        # From the scores of views, every pool can be computed.
        "views": {**dataclasses.asdict(views), "pool": None},
    }


def load_data(
    run: RunFolder,
    recipe: Recipe,
    info: DatasetInfo,
    split: str,
    settings: Sequence[str] = (),
) -> Dataset:
    """Load the data set to evaluate a run on.

    Args:
        run: the trained run.
        recipe: of the run.
        info: of the training data.
        split: "validation" or "test".
        settings: overrides of the recipe, such as "data.root=/new/place" or
            "data.test=other.csv".

    Raises:
        UserError: it cannot be read, or has classes unknown to the run.
    """
    for setting in settings:
        if not setting.startswith(("data.", "dataset=")):
            raise UserError(
                "Expected --set data.FIELD=VALUE or --set dataset=NAME. "
                f"Received: --set {setting}"
            )
    recipe = overrides.override(recipe, settings)
    if not issubclass(DATASETS.get(recipe.dataset, object), VideoDataset):
        return datasets.load(recipe.dataset, recipe.data, recipe.sampling)
    classes_path = run.classes_path if run.classes_path.exists() else None
    return evaluation_data.load(
        recipe.dataset,
        recipe.data or DataConfig(),
        recipe.sampling or SamplingConfig(),
        split,
        TrainedOn(info, run.read_training_files(), classes_path),
    )


def _write(folder: Path, scored: VideoScores) -> None:
    """Write the files of an evaluation, except for the confusion matrix."""
    video_scores.save(folder / score_parts.SCORES, scored)
    score_parts.remove_parts(folder)
    bad_videos.write_bad_videos(folder / bad_videos.FILE_NAME, _bad(scored))
    class_metrics.write(folder, class_metrics.class_metrics(scored))
    results = {
        **video_scores.compute_metrics(scored),
        "versions": scored.versions,
    }
    atomic_files.write_text(
        folder / score_parts.METRICS, json.dumps(results, indent=2)
    )


def _bad(scored: VideoScores) -> list[BadVideo]:
    """List the unreadable videos of the split."""
    return [
        BadVideo(scored.split, str(path), str(reason))
        for path, reason, ok in zip(
            scored.paths, scored.reasons, scored.ok, strict=True
        )
        if not ok
    ]


def _print_bad(scored: VideoScores, folder: Path) -> None:
    """Print the first unreadable videos, and the file that lists all."""
    bad = _bad(scored)
    for video in bad[:SHOWN]:
        print(f"could not be read: {video.path}: {video.reason}")
    if bad:
        print(f"{len(bad)} are listed in {folder / bad_videos.FILE_NAME}")
