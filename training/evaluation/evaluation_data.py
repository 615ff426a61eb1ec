"""Load the data set of an evaluation, which may have moved or be partial.

The videos are those of the run's recipe, or of another root or list file given
by settings. Training videos are not needed. Labels are mapped to those of the
run by class name.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Protocol

from ..data import DATASETS, data_files, folder, folder_paths
from ..data.data_config import DataConfig
from ..data.dataset_info import DatasetInfo
from ..data.manifest import Manifest, Video
from ..data.sampling_config import SamplingConfig
from ..data.video_dataset import OTHER_SPLIT, VideoDataset
from ..io.paths import Path, is_url
from ..io.user_error import UserError

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


class TrainingFile(Protocol):
    """A training video: its name in the data set, and a content digest."""

    @property
    def name(self) -> str: ...

    @property
    def content(self) -> str: ...


@dataclasses.dataclass(frozen=True)
class TrainedOn:
    """Training data of a model.

    Attributes:
        info: classes and shape of clips.
        files: the training videos, if known.
        classes_path: a file of class names, used where the data set's own is
            missing.
    """

    info: DatasetInfo
    files: Sequence[TrainingFile] = ()
    classes_path: Path | None = None


def load(
    name: str,
    data: DataConfig,
    sampling: SamplingConfig,
    split: str,
    trained_on: TrainedOn,
) -> VideoDataset:
    """Load the videos to evaluate a model on.

    Args:
        name: of a data set of videos in `DATASETS`.
        data: its location; only the list of `split` needs to exist.
        sampling: of training clips.
        split: "validation" or "test".
        trained_on: the training data.

    Raises:
        UserError: it cannot be read, or has classes unknown to the model.
    """
    kind = DATASETS[name]
    if not issubclass(kind, VideoDataset):
        raise ValueError(f"Expected a data set of videos. Received: {name}")
    data = dataclasses.replace(data, max_bad_share=1.0)
    try:
        listing = _read(name, kind, data, split, trained_on)
    except UserError as error:
        raise UserError(
            f"The evaluation data: {error} Set its new location or another "
            "list with --set data.FIELD=VALUE, such as --set data.root=DIR."
        ) from error
    listing = _in_classes_of(trained_on.info, listing)
    dataset = kind(data, sampling, listing)
    _note_trained(trained_on, dataset)
    return dataset


def _read(
    name: str,
    kind: type[VideoDataset],
    data: DataConfig,
    split: str,
    trained_on: TrainedOn,
) -> Manifest:
    """Read the videos of one split, or of its substitute."""
    lists = {
        split: getattr(data, split) for split in (split, OTHER_SPLIT[split])
    }
    field = next((field for field, path in lists.items() if path), None)
    if field is not None:  # only this list has to exist
        no_lists = {"train": None, "validation": None, "test": None}
        data = dataclasses.replace(data, **{**no_lists, field: lists[field]})
    if name in NUMBERED and not (data.classes and _exists(data.classes)):
        if trained_on.classes_path is not None:
            path = str(trained_on.classes_path)
            data = dataclasses.replace(data, classes=path)
    if kind is folder.Folder:
        names = {file.name for file in trained_on.files}
        return _read_folder(data, split, names)
    return _only(kind.read_lists(data), split)


def _read_folder(data: DataConfig, split: str, trained: set[str]) -> Manifest:
    """Read a folder per class, which may have this split only.

    Without splits, and if no video is among the training files, all videos are
    evaluated.
    """
    names = {}
    if data.root:
        names = {n.lower(): n for n in folder_paths.list_folders(data.root)}
    if names and set(names) <= {"test", "validation", "val"}:
        for name in (split, OTHER_SPLIT[split], "val"):
            if name in names:
                part = folder_paths.join_path(data.root, names[name])
                inner = dataclasses.replace(data, root=part)
                return _whole(folder.Folder.read_lists(inner), split)
    listing = folder.Folder.read_lists(data)
    videos = _whole(listing, split).splits[split]
    if "train" in names or not trained:
        return _only(listing, split)
    if trained & {data_files.relative(v.path, data.root) for v in videos}:
        return _only(listing, split)
    print(f"No training video in {data.root}: evaluating all of it.")
    return _whole(listing, split)


def _whole(listing: Manifest, split: str) -> Manifest:
    """Merge all splits, without duplicates, sorted by class."""
    distinct = {v for part in listing.splits.values() for v in part}
    videos = sorted(distinct, key=lambda video: (video.labels, video.path))
    return dataclasses.replace(listing, splits={split: videos})


def _only(listing: Manifest, split: str) -> Manifest:
    """Return one split of a listing, or its substitute."""
    for chosen in (split, OTHER_SPLIT[split]):
        if listing.splits.get(chosen):
            videos = {chosen: listing.splits[chosen]}
            return dataclasses.replace(listing, splits=videos)
    raise UserError(f"There is no video in {split}.")


def _exists(path: str) -> bool:
    return is_url(path) or pathlib.Path(path).exists()


def _in_classes_of(info: DatasetInfo, listing: Manifest) -> Manifest:
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


def _note_trained(trained_on: TrainedOn, dataset: VideoDataset) -> None:
    """Print a note about evaluation videos that were trained on."""
    trained = {(file.name, file.content) for file in trained_on.files}
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
