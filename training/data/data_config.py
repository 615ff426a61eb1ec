"""Settings that locate a video data set, and their checks."""

import dataclasses
import numbers
from collections.abc import Callable, Iterable, Sequence

from nonlocal_tf.choices import unknown

from ..io import file_names
from ..io.paths import expand_home
from ..io.user_error import UserError
from .ability_config import AbilityConfig

SPLITS = ("train", "validation", "test")
EVAL_SPLITS = ("validation", "test")
LOCATION_FIELDS = (
    *("root", *SPLITS, "classes", "split", "groups", "folds", "fold"),
    "separator",
)


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Location of a video data set; its module tells which fields it reads.

    Attributes:
        root: folder that its paths are relative to.
        train: list of the training videos.
        validation: list of the validation videos.
        test: list of the test videos.
        classes: file with the class names.
        split: number of one of the data set's own splits, from 1; of class
            folders, of a random division.
        groups: csv file with the columns video and group: videos of a group
            are in one split. For class folders, as the next two.
        folds: number of parts for cross-validation; None for one division.
        fold: number of the part to test on, from 0.
        separator: separator of path and label in a list; "\\t" is a tab.
        max_bad_share: highest share of unreadable videos to train with.
        cache: file of the video index cache; by default one for all runs of a
            user. A cache in a recipe from a run folder is ignored outside of
            the user's home and cache folders.
        decoder: decoder of video files: "pyav", or "tensorflow_io", which
            decodes whole files, if its FFmpeg libraries can be loaded.
        max_pixels: pixels per frame; videos with larger frames are bad.
            The default is 4096 x 4096.
        max_frames: frames per video file; longer ones are bad.
        max_seconds: time limit to decode a video file once, plus a second per
            MB of the file; slower ones are bad. Downloads have a limit of a
            minute, plus the time for the received bytes.
        service: address of a tf.data service that reads training clips, such
            as "grpc://10.0.0.5:5000"; not for video files. The order of
            batches then differs between runs.
        clips: of the data set "abilities", whose clips are generated; it reads
            no other setting.
    """

    root: str = ""
    train: str | None = None
    validation: str | None = None
    test: str | None = None
    classes: str | None = None
    split: int = 1
    groups: str | None = None
    folds: int | None = None
    fold: int = 0
    separator: str = " "
    max_bad_share: float = 0.05
    cache: str | None = None
    decoder: str = "pyav"
    max_pixels: int = 1 << 24
    max_frames: int = 1_000_000
    max_seconds: float = 600.0
    service: str | None = None
    clips: AbilityConfig | None = None

    def __post_init__(self):
        expand_home(self, "root", *SPLITS, "classes", "groups", "cache")


def read_splits(
    data: DataConfig, read: Callable[[str, str], Iterable]
) -> dict[str, list]:
    """Read the list of each split with `read(path, split)`.

    Raises:
        UserError: no list is set, or a list is empty.
    """
    splits = {}
    for split in SPLITS:
        path = getattr(data, split)
        if path:
            splits[split] = list(read(path, split))
            if not splits[split]:
                raise UserError(f"Expected videos in {path}. Received: none")
    if not splits:
        raise UserError(
            "Expected a list of videos. Give data.train, data.validation or "
            "data.test: --set data.train=FILE, or train=FILE in Python."
        )
    return splits


def check_fields(data: DataConfig, *read: str) -> None:
    """Check that only supported location settings are set.

    Args:
        data: the settings.
        read: names of the location settings that the data set supports.

    Raises:
        UserError: another one is set, or one is not UTF-8 text.
    """
    if data.clips is not None:
        raise UserError(
            "data.clips goes with generated clips, of dataset 'abilities'. "
            f"This data set has videos. Received: {data.clips}"
        )
    for name in LOCATION_FIELDS:
        value = getattr(data, name)
        if isinstance(value, str) and not file_names.is_text(value):
            raise UserError(
                f"data.{name}={file_names.printable(value)}: "
                f"{file_names.NOT_TEXT}."
            )
        if name not in read and value != getattr(DataConfig(), name):
            raise UserError(
                f"This data set does not support data.{name}. Expected only: "
                f"{', '.join(f'data.{r}' for r in read)}. "
                f"Received: data.{name}={value!r}"
            )


def need(data: DataConfig, name: str, what: str) -> str:
    """Return a required path.

    Args:
        data: the settings.
        name: name of the setting.
        what: description of the file or folder, for errors.

    Raises:
        UserError: it is not set.
    """
    value = getattr(data, name)
    if not value:
        raise UserError(
            f"Expected data.{name}: {what}. Give it with --set "
            f"data.{name}=PATH, or {name}=PATH in Python."
        )
    return value


def check_split_number(data: DataConfig, splits: int) -> None:
    """Raise a UserError unless `data.split` is from 1 to `splits`."""
    if not 1 <= data.split <= splits:
        raise UserError(
            f"Expected data.split from 1 to {splits}. Received: {data.split}"
        )


def check_split(split: str, splits: Sequence[str] = EVAL_SPLITS) -> None:
    """Raise a UserError unless `split` is one of `splits`."""
    if split not in splits:
        raise UserError(unknown("split", split, splits))


def check_seed(seed: int) -> None:
    """Raise a UserError unless a seed is an integer, NumPy's included."""
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral):
        raise UserError(f"Expected seed as an integer. Received: {seed!r}")
