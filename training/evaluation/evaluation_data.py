"""Load the data set of an evaluation, which may have moved or be partial.

The videos are those of the run's recipe, or of another root or list file given
by settings. Training videos are not needed. Labels are mapped to those of the
run by class name.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

from ..data import DATASETS, Dataset, data_files, datasets, folder
from ..data import listing as listings
from ..data.data_config import DataConfig
from ..data.datasets import DatasetInfo
from ..data.listing import Listing, Video
from ..data.sampling_config import SamplingConfig
from ..data.videos import INSTEAD, VideoDataset
from ..io.remote import is_url
from ..io.user_error import UserError
from ..recipes import overrides
from ..recipes.schema import Recipe
from ..runs.run_folder import RunFolder

# Data sets whose data.classes is a file of class names.
NUMBERED = (
    "kinetics",
    "media_sequence",
    "mmaction2",
    "mmaction2_frames",
    "mmaction2_frames_offset",
    "nonlocal_net",
    "slowfast",
    "slowfast_frames",
)
SHOWN = 3


def load(
    run: RunFolder,
    info: DatasetInfo,
    split: str,
    settings: Sequence[str] = (),
) -> Dataset:
    """Load the data set to evaluate a run on.

    Args:
        run: the trained run.
        info: of the training data.
        split: "validation" or "test".
        settings: overrides of the recipe, such as "data.root=/new/place" or
            "data.test=other.csv".

    Raises:
        UserError: it cannot be read, or has classes unknown to the run.
    """
    recipe = _with(run.read_recipe(Recipe), settings)
    kind = DATASETS.get(recipe.dataset)
    if kind is None or not issubclass(kind, VideoDataset):
        return datasets.load(recipe.dataset, recipe.data, recipe.sampling)
    data = dataclasses.replace(recipe.data or DataConfig(), max_bad_share=1.0)
    try:
        listing = _read(run, kind, recipe.dataset, data, split)
    except UserError as error:
        raise UserError(
            f"The evaluation data: {error} Set its new location or another "
            "list with --set data.FIELD=VALUE, such as --set data.root=DIR."
        ) from error
    listing = _in_classes_of(info, listing)
    dataset = kind(data, recipe.sampling or SamplingConfig(), listing)
    _note_trained(run, dataset)
    return dataset


def _with(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    for setting in settings:
        if not setting.startswith(("data.", "dataset=")):
            raise UserError(
                "Expected --set data.FIELD=VALUE or --set dataset=NAME. "
                f"Received: --set {setting}"
            )
    return overrides.override(recipe, settings)


def _read(
    run: RunFolder,
    kind: type[VideoDataset],
    name: str,
    data: DataConfig,
    split: str,
) -> Listing:
    """Read the videos of one split, or of its substitute."""
    lists = {split: getattr(data, split) for split in (split, INSTEAD[split])}
    field = next((name for name, path in lists.items() if path), None)
    if field is not None:  # only this list has to be there
        no_lists = {"train": None, "validation": None, "test": None}
        data = dataclasses.replace(data, **{**no_lists, field: lists[field]})
    classes = data.classes
    if name in NUMBERED and not (classes and _exists(classes)):
        if run.classes_path.exists():
            data = dataclasses.replace(data, classes=str(run.classes_path))
    if kind is folder.Folder:
        return _read_folder(run, data, split)
    return _only(kind.read_lists(data), split)


def _read_folder(run: RunFolder, data: DataConfig, split: str) -> Listing:
    """Read a folder per class, which may have this split only.

    Without splits, and if no video is among the training files, all videos are
    evaluated.
    """
    names = {}
    if data.root:
        names = {n.lower(): n for n in listings.folders_in(data.root)}
    if names and set(names) <= {"test", "validation", "val"}:
        for name in (split, INSTEAD[split], "val"):
            if name in names:
                part = listings.inside(data.root, names[name])
                inner = dataclasses.replace(data, root=part)
                return _whole(folder.Folder.read_lists(inner), split)
    listing = folder.Folder.read_lists(data)
    trained = {file.name for file in run.read_training_files()}
    videos = _whole(listing, split).splits[split]
    if "train" in names or not trained:
        return _only(listing, split)
    if trained & {data_files.relative(v.path, data.root) for v in videos}:
        return _only(listing, split)
    print(f"No training video in {data.root}: evaluating all of it.")
    return _whole(listing, split)


def _whole(listing: Listing, split: str) -> Listing:
    """Merge all splits, without duplicates, sorted by class."""
    distinct = {v for part in listing.splits.values() for v in part}
    videos = sorted(distinct, key=lambda video: (video.labels, video.path))
    return dataclasses.replace(listing, splits={split: videos})


def _only(listing: Listing, split: str) -> Listing:
    """Return one split of a listing, or its substitute."""
    for chosen in (split, INSTEAD[split]):
        if listing.splits.get(chosen):
            videos = {chosen: listing.splits[chosen]}
            return dataclasses.replace(listing, splits=videos)
    raise UserError(f"There is no video in {split}.")


def _exists(path: str) -> bool:
    return is_url(path) or pathlib.Path(path).exists()


def _in_classes_of(info: DatasetInfo, listing: Listing) -> Listing:
    """Map the labels of a listing to those of the run.

    Raises:
        UserError: a class is unknown to the run, or a video has several labels
            where the run has one.
    """
    used_labels = {
        label
        for videos in listing.splits.values()
        for video in videos
        for label in (*video.labels, *(span.label for span in video.spans))
    }
    labels = {name: label for label, name in enumerate(info.classes)}
    unknown = [listing.classes[n] for n in sorted(used_labels)]
    unknown = [name for name in unknown if name not in labels]
    if unknown:
        rest = f" and {len(unknown) - SHOWN} more" * (len(unknown) > SHOWN)
        raise UserError(
            "Expected classes of the training data: "
            f"{', '.join(info.classes[:10])}"
            f"{', ...' * (len(info.classes) > 10)}. Received: "
            f"{', '.join(unknown[:SHOWN])}{rest}"
        )

    new_labels = {
        label: labels[listing.classes[label]] for label in used_labels
    }

    def relabelled(video: Video) -> Video:
        return dataclasses.replace(
            video,
            labels=tuple(new_labels[label] for label in video.labels),
            spans=tuple(
                dataclasses.replace(span, label=new_labels[span.label])
                for span in video.spans
            ),
        )

    splits = {
        split: [relabelled(video) for video in videos]
        for split, videos in listing.splits.items()
    }
    several = any(len(v.labels) > 1 for part in splits.values() for v in part)
    if several and not info.multi_label:
        raise UserError(
            "Expected one label per video, as in training. Received: a list "
            "with several."
        )
    return dataclasses.replace(
        listing,
        classes=info.classes,
        splits=splits,
        multi_label=info.multi_label,
    )


def _note_trained(run: RunFolder, dataset: VideoDataset) -> None:
    """Print a note about evaluation videos that were trained on."""
    trained = {(f.name, f.content) for f in run.read_training_files()}
    for split in dataset.probes():
        rows = dataset.files_of(split)
        shared = [
            row.name for row in rows if (row.name, row.content) in trained
        ]
        if shared:
            rest = f" and {len(shared) - SHOWN} more" * (len(shared) > SHOWN)
            print(
                f"note: the run was trained on {len(shared)} of these "
                f"{len(rows)} videos ({', '.join(shared[:SHOWN])}{rest}); its "
                "accuracy on new videos is lower"
            )
