"""Annotated images that a detector is trained on, for a run folder."""

import dataclasses
import json
from collections.abc import Sequence

from ..coco import (
    annotation_reader,
    category_fields,
    category_matching,
    image_rows,
)
from ..coco.annotation_fields import InvalidEntry
from ..coco.annotations import AnnotatedImage, Annotations, Category
from ..data import BadVideo, bad_videos
from ..data.data_files import DataFile
from ..data.dataset_info import DatasetInfo
from ..io import atomic_files, json_text, progress
from ..io.paths import Path
from ..io.user_error import UserError
from ..recipes.detection_schema import CocoDataConfig

CATEGORIES = "categories.json"
MAX_BAD_SHARE = 0.05


@dataclasses.dataclass(frozen=True)
class CocoData:
    """Annotations of the training and validation images.

    Attributes:
        train: of the training images.
        validation: of the validation images, or None.
        folder: of the training images, that file names are relative to.
        bad: training images that cannot be read, as they turn up.
    """

    train: Annotations
    validation: Annotations | None = None
    folder: str = ""
    bad: list[BadVideo] = dataclasses.field(default_factory=list)

    @classmethod
    def read(cls, config: CocoDataConfig) -> "CocoData":
        """Read the annotations of a recipe; prints their problems.

        Raises:
            UserError: a file is not given, or has no valid annotation.
        """
        if config.train is None:
            raise UserError(
                "Give the annotations, in COCO's format: --set "
                "data.train=FILE.json --set data.images=FOLDER"
            )
        train = _read(config.train, config.images)
        validation = None
        if config.validation is not None:
            folder = config.validation_images or config.images
            validation = _read(config.validation, folder)
            category_matching.match_categories(validation, train.categories)
        return cls(train, validation, config.images)

    @property
    def categories(self) -> Sequence[Category]:
        """Classes; label 1 is the first."""
        return self.train.categories

    @property
    def info(self) -> DatasetInfo:
        names = tuple(category.name for category in self.categories)
        return DatasetInfo(names, ())

    def overview(self) -> str:
        """Return nothing: `read` has printed what there is."""
        return ""

    def add_bad(self, image: AnnotatedImage, reason: str) -> None:
        """Add an image that cannot be read; called by reading threads."""
        path = str(image.path)
        if path not in {bad.path for bad in self.bad}:
            self.bad.append(BadVideo("train", path, reason))
            progress.say(f"note: {path} is left out: {reason}")

    def check_bad(self) -> None:
        """Raise a UserError if too many training images are bad."""
        count, total = len(self.bad), len(self.train.images)
        if count > MAX_BAD_SHARE * total:
            raise UserError(
                f"{count} of {total} images are bad, more than "
                f"{MAX_BAD_SHARE:.0%}.{bad_videos.abbreviated(self.bad)}"
            )

    def fingerprint(self) -> str:
        """Return a digest of the training annotations."""
        return atomic_files.sha256(self.train.path)

    def training_files(self) -> list[DataFile]:
        """Describe each training image and its annotations."""
        return image_rows.rows(self.train, self.folder)

    def held_out(self) -> dict[str, list[DataFile]]:
        """Return nothing: a validation may have other images any time."""
        return {}


def _read(path: str, folder: str) -> Annotations:
    read = annotation_reader.read(path, folder)
    print(read.summary(), flush=True)
    return read


def write_categories(folder: Path, categories: Sequence[Category]) -> None:
    """Write categories.json of a run, for users without its annotations."""
    rows = [dataclasses.asdict(category) for category in categories]
    atomic_files.write_text(folder / CATEGORIES, json.dumps(rows, indent=2))


def read_categories(folder: Path) -> tuple[Category, ...]:
    """Read categories.json of a run.

    Raises:
        UserError: there is none, or it is damaged.
    """
    path = folder / CATEGORIES
    if not path.is_file():
        raise UserError(
            f"{folder} has no {CATEGORIES}: nothing was trained in it yet."
        )
    try:
        rows = json_text.parse_as(path.read_bytes(), [dict])
        return tuple(category_fields.category(row)[0] for row in rows)
    except (ValueError, InvalidEntry) as error:
        raise UserError(f"{path} cannot be read ({error}).") from error
