"""Evaluation of trained video classification networks.

A video is scored on its middle clip, or on several views whose scores are
averaged: clips along the video times crops of each clip, as in the authors'
code, or whole frames in a fully convolutional network, as in the paper.

    RUN/tests/test_10x3/
        scores.npz      all scores; see training/evaluation/video_scores.py
        metrics.json    metrics, and versions of the software
        confusion.png   confusion matrix
        scored.json     settings of the evaluation
        bad_videos.csv  unreadable videos, if any

An interrupted evaluation resumes after the last 64 videos.
"""

import argparse
import dataclasses
import json
from collections.abc import Sequence

import keras

from ..data import (
    DATASETS,
    BadVideo,
    Dataset,
    bad_videos,
    datasets,
    frame_sampling,
)
from ..data.data_config import DataConfig
from ..data.datasets import DatasetInfo, check_split
from ..data.sampling_config import SamplingConfig, ViewsConfig
from ..data.video_dataset import VideoDataset
from ..evaluation import (
    confusion,
    evaluation_data,
    score_parts,
    scoring,
    video_scores,
    view_network,
    view_options,
)
from ..evaluation.evaluation_data import TrainedOn
from ..evaluation.video_scores import VideoScores
from ..io import atomic_files, cli, paths
from ..io.paths import Path
from ..io.user_error import UserError
from ..recipes import overrides
from ..recipes.schema import Recipe
from ..runs import run_model
from ..runs.run_folder import RunFolder

BATCH = 8
SHOWN = 3


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of a model on a split, beside the accuracy of guessing.

    Attributes:
        split: "validation" or "test".
        examples: how many could be read.
        accuracy: of them; with several labels a video, the mean average
            precision.
        loss: mean negative logarithm of the label's probability, or binary
            cross-entropy of all classes.
        chance: accuracy of guessing among all classes; with several labels a
            video, about the precision of random scores.
        majority_class: the most frequent class of those that were read.
        majority_share: accuracy of always guessing it.
        listed: how many there are in all.
        accuracy_of_listed: where those that could not be read are wrong.
        top5: share with the label among the five best classes, of more.
        mean_class_accuracy: accuracy a class, averaged.
        mean_average_precision: where videos have several labels.
        unlabelled: how many of those read have none of several labels.
        skips_unlabelled: whether the mean average precision leaves them out.
        views: what was looked at of each.
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
        help="views that the network takes at once; the scores are the same "
        f"for all (default: {BATCH})",
    )
    group.add_argument(
        "--scores",
        metavar="DIR",
        help="folder for scores and figures (default: in tests/ of the run)",
    )
    group.add_argument(
        "--recompute",
        metavar="FILE",
        help="instead of a run: the scores.npz of a test, to print its figures",
    )


def run_command(options: argparse.Namespace) -> None:
    """Evaluate the run of the options, or recompute metrics of scores."""
    if options.recompute is not None:
        scored = video_scores.load(paths.as_path(options.recompute))
        if options.pool is not None:
            view_options.check_pool(options.pool, scored.multi_label)
            scored = dataclasses.replace(scored, pool=options.pool)
        print(video_scores.render(video_scores.compute_metrics(scored)))
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
    print(video_scores.render(video_scores.compute_metrics(scored)))
    _print_bad(scored, folder)
    print(f"Scores and figures are in {folder}")
    print(confusion.write(folder / score_parts.CONFUSION, scored))


def evaluate_run(
    run: RunFolder, split: str, views: ViewsConfig | None = None
) -> Scores:
    """Scores the latest checkpoint of a run on "validation" or "test".

    Args:
        run: the trained run.
        split: which.
        views: what is looked at of each video. Default: the recipe's views, or
            else the middle clip.
    """
    scored, _ = score_run(run, split, views)
    results = video_scores.compute_metrics(scored)
    precision = results.get("mean_average_precision")
    key = "accuracy" if precision is None else "mean_average_precision"
    return Scores(
        split=split,
        examples=results["read"],
        accuracy=results[key],
        loss=results["loss"],
        chance=results["chance"],
        listed=results["listed"],
        accuracy_of_listed=results[f"{key}_of_listed"],
        top5=results.get("top5"),
        mean_class_accuracy=results.get("mean_class_accuracy"),
        mean_average_precision=precision,
        unlabelled=results.get("unlabelled"),
        skips_unlabelled=results.get("skips_unlabelled"),
        majority_class=results.get("majority_class"),
        majority_share=results.get("majority_share"),
        views=results["views"],
    )


def score_run(
    run: RunFolder,
    split: str,
    views: ViewsConfig | None = None,
    batch: int = BATCH,
    out: str | Path | None = None,
    data_settings: Sequence[str] = (),
) -> tuple[VideoScores, Path]:
    """Scores the latest checkpoint of a run and writes scores and figures.

    Args:
        run: the trained run.
        split: "validation" or "test".
        views: as for `evaluate_run`.
        batch: views that the network takes at once.
        out: folder for the files. Default: one in the run, named for the views.
        data_settings: such as "data.root=/new/place", instead of the recipe's;
            the default folder is then another one.

    Returns:
        The scores, and the folder they are in.

    Raises:
        UserError: there is nothing to score, or none of it can be read.
    """
    check_split(split)
    model, recipe, info = run_model.load_trained(run)
    dataset = load_data(run, recipe, info, split, data_settings)
    if isinstance(dataset, VideoDataset):
        views = views or recipe.views
    elif views is not None:
        raise UserError(
            "--views expects a data set of videos. Received: the synthetic "
            f"data set {recipe.dataset!r}"
        )
    name = "middle"
    if views is not None:
        name = view_options.folder_name(
            views, recipe.sampling or SamplingConfig()
        )
    if data_settings:
        name += f"_{(dataset.fingerprint() or '')[:8]}"
    folder = paths.as_path(out or run.path / "tests" / f"{split}_{name}")
    if out is None:
        atomic_files.check_inside(folder, run.path)
    with atomic_files.locked(folder):
        if isinstance(dataset, VideoDataset):
            scored = _score_videos(
                model, recipe, dataset, split, views, batch, folder
            )
        else:
            weights = run_model.weights_digest(model)
            settings = {"split": split, "weights": weights}
            score_parts.Parts(folder, settings)
            step = view_network.make_score_step(model, dataset.multi_label)
            scored = scoring.score_examples(step, dataset, split)
        _write(folder, scored)
    if isinstance(dataset, VideoDataset) and not data_settings:
        # Scores that were there already know of more than this process.
        bad = {(b.split, b.path): b for b in [*_bad(scored), *dataset.bad]}
        run.add_bad_inputs(list(bad.values()))
    return scored, folder


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


def _score_videos(
    model: keras.Model,
    recipe: Recipe,
    dataset: VideoDataset,
    split: str,
    views: ViewsConfig | None,
    batch: int,
    folder: Path,
) -> VideoScores:
    """The scores in a folder, made or gone on with as needed."""
    sampling = recipe.sampling or SamplingConfig()
    views = views or frame_sampling.middle(sampling)
    view_options.check(views, sampling, dataset.multi_label)
    settings = {
        "weights": run_model.weights_digest(model),
        "videos": dataset.fingerprint(),
        "split": split,
        "precision": recipe.training.precision,
        "sampling": dataclasses.asdict(sampling),
        # From the scores of views, every pool can be computed.
        "views": {**dataclasses.asdict(views), "pool": None},
    }
    parts = score_parts.Parts(folder, settings)
    if parts.scores_path.exists():
        print(f"{folder} has these scores. To compute them anew, delete it.")
        scored = video_scores.load(parts.scores_path)
        return dataclasses.replace(
            scored,
            pool=views.pool,
            skips_unlabelled=dataset.skips_unlabelled,
        )
    strategy = view_network.default_strategy()
    with strategy.scope():
        builder = run_model.network_builder(recipe, dataset)
        network = view_network.build_network(
            model, builder, dataset.element_shape, views
        )
    step = view_network.make_score_step(network, dataset.multi_label, strategy)
    return scoring.score_videos(step, dataset, split, views, batch, parts)


def _write(folder: Path, scored: VideoScores) -> None:
    """Writes the files of a test but for the picture."""
    video_scores.save(folder / score_parts.SCORES, scored)
    score_parts.remove_parts(folder)
    bad_videos.write_bad_videos(folder / bad_videos.FILE_NAME, _bad(scored))
    results = {
        **video_scores.compute_metrics(scored),
        "versions": scored.versions,
    }
    atomic_files.write_text(
        folder / score_parts.METRICS, json.dumps(results, indent=2)
    )


def _bad(scored: VideoScores) -> list[BadVideo]:
    """The videos of the split that could not be read."""
    return [
        BadVideo(scored.split, str(path), str(reason))
        for path, reason, ok in zip(
            scored.paths, scored.reasons, scored.ok, strict=True
        )
        if not ok
    ]


def _print_bad(scored: VideoScores, folder: Path) -> None:
    """Says which videos could not be read: the first of them, and where all."""
    bad = _bad(scored)
    for video in bad[:SHOWN]:
        print(f"could not be read: {video.path}: {video.reason}")
    if bad:
        print(f"{len(bad)} are listed in {folder / bad_videos.FILE_NAME}")
