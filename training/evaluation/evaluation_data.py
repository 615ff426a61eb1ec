"""The data of a test, which need not be there in full or where it was.

A test takes its videos as they are: those of the run's recipe, or of the place
or list that settings name. Videos to train on are not needed. Labels become
those of the run by the names of the classes.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

from ..data import DATASETS, Dataset, dataset_of, file_rows, folder
from ..data import listing as listings
from ..data.datasets import DatasetInfo
from ..data.listing import Listing, Video
from ..data.videos import INSTEAD, VideoDataset
from ..io.remote import is_url
from ..io.user_error import UserError
from ..recipes import overrides
from ..recipes.schema import DataConfig, Recipe, SamplingConfig
from ..runs.run_folder import RunFolder

# Data sets whose data.classes is a file with a name for each label.
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
    """The data set that a run is tested on.

    Args:
        run: the trained run.
        info: of the data that it is trained on.
        split: "validation" or "test".
        settings: such as "data.root=/new/place" or "data.test=other.csv",
            instead of the recipe's.

    Raises:
        UserError: it cannot be read, or has classes that the run does not know.
    """
    recipe = _with(run.read_recipe(Recipe), settings)
    kind = DATASETS.get(recipe.dataset)
    if kind is None or not issubclass(kind, VideoDataset):
        return dataset_of(recipe)
    data = dataclasses.replace(recipe.data or DataConfig(), max_bad_share=1.0)
    try:
        listing = _read(run, kind, recipe.dataset, data, split)
    except UserError as error:
        raise UserError(
            f"The data to test on: {error} Where it is now, or another list, "
            "is said with --set data.FIELD=VALUE, such as --set data.root=DIR."
        ) from error
    listing = _in_classes_of(info, listing)
    dataset = kind(data, recipe.sampling or SamplingConfig(), listing)
    _note_trained(run, dataset)
    return dataset


def _with(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    for setting in settings:
        if not setting.startswith(("data.", "dataset=")):
            raise UserError(
                "A test takes --set data.FIELD=VALUE and --set dataset=NAME, "
                f"for the data alone. Received: --set {setting}"
            )
    return overrides.override(recipe, settings)


def _read(
    run: RunFolder,
    kind: type[VideoDataset],
    name: str,
    data: DataConfig,
    split: str,
) -> Listing:
    """The videos of one split, or of that which stands in for it."""
    lists = {split: getattr(data, split) for split in (split, INSTEAD[split])}
    given = next((name for name, path in lists.items() if path), None)
    if given is not None:  # only this list has to be there
        others = {"train": None, "validation": None, "test": None}
        data = dataclasses.replace(data, **{**others, given: lists[given]})
    classes = data.classes
    if name in NUMBERED and not (classes and _is_there(classes)):
        if run.classes_path.exists():
            data = dataclasses.replace(data, classes=str(run.classes_path))
    if kind is folder.Folder:
        return _read_folder(run, data, split)
    return _only(kind.read_lists(data), split)


def _read_folder(run: RunFolder, data: DataConfig, split: str) -> Listing:
    """The same of folders a class, which may be there for this split alone.

    What is not divided into splits, and nothing of it was trained on, is all
    to be tested on.
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
    every = _whole(listing, split).splits[split]
    if "train" in names or not trained:
        return _only(listing, split)
    if trained & {file_rows.relative(v.path, data.root) for v in every}:
        return _only(listing, split)
    print(f"Nothing in {data.root} was trained on: all of it is tested.")
    return _whole(listing, split)


def _whole(listing: Listing, split: str) -> Listing:
    """All videos of a listing, each once, in the order of their classes."""
    every = {v for part in listing.splits.values() for v in part}
    videos = sorted(every, key=lambda video: (video.labels, video.path))
    return dataclasses.replace(listing, splits={split: videos})


def _only(listing: Listing, split: str) -> Listing:
    """One split of a listing, or the one that stands in for it."""
    for chosen in (split, INSTEAD[split]):
        if listing.splits.get(chosen):
            videos = {chosen: listing.splits[chosen]}
            return dataclasses.replace(listing, splits=videos)
    raise UserError(f"There is no video in {split}.")


def _is_there(path: str) -> bool:
    return is_url(path) or pathlib.Path(path).exists()


def _in_classes_of(info: DatasetInfo, listing: Listing) -> Listing:
    """A listing with the labels that the run has for its classes.

    Raises:
        UserError: it has classes that the run does not know, or several labels
            a video where the run has one.
    """
    used = {
        label
        for videos in listing.splits.values()
        for video in videos
        for label in (*video.labels, *(span.label for span in video.spans))
    }
    labels = {name: label for label, name in enumerate(info.classes)}
    unknown = [listing.classes[n] for n in sorted(used)]
    unknown = [name for name in unknown if name not in labels]
    if unknown:
        more = f" and {len(unknown) - SHOWN} more" * (len(unknown) > SHOWN)
        raise UserError(
            "Expected classes that the run is trained on: "
            f"{', '.join(info.classes[:10])}"
            f"{', ...' * (len(info.classes) > 10)}. Received: "
            f"{', '.join(unknown[:SHOWN])}{more}"
        )

    of = {label: labels[listing.classes[label]] for label in used}

    def moved(video: Video) -> Video:
        return dataclasses.replace(
            video,
            labels=tuple(of[label] for label in video.labels),
            spans=tuple(
                dataclasses.replace(span, label=of[span.label])
                for span in video.spans
            ),
        )

    splits = {
        split: [moved(video) for video in videos]
        for split, videos in listing.splits.items()
    }
    several = any(len(v.labels) > 1 for part in splits.values() for v in part)
    if several and not info.multi_label:
        raise UserError(
            "Expected one label a video, as the run is trained on. Received: a "
            "list with several."
        )
    return dataclasses.replace(
        listing,
        classes=info.classes,
        splits=splits,
        multi_label=info.multi_label,
    )


def _note_trained(run: RunFolder, dataset: VideoDataset) -> None:
    """Says which of the videos the run was trained on."""
    trained = {(f.name, f.content) for f in run.read_training_files()}
    for split in dataset.probes():
        rows = dataset.files_of(split)
        shared = [
            row.name for row in rows if (row.name, row.content) in trained
        ]
        if shared:
            more = f" and {len(shared) - SHOWN} more" * (len(shared) > SHOWN)
            print(
                f"note: the run was trained on {len(shared)} of these "
                f"{len(rows)} videos ({', '.join(shared[:SHOWN])}{more}): of "
                "new videos it knows less than the figures say"
            )
