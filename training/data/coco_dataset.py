"""Annotated images in COCO's format, to train a detector on."""

import dataclasses
import os
import threading
from collections.abc import Collection, Sequence

import tensorflow as tf

from nonlocal_tf.choices import is_positive_integer, unknown
from nonlocal_tf.detection import ImagePreprocessing, MaskRCNN
from nonlocal_tf.detection.preprocessing import SIZE_DIVISOR

from ..coco import (
    annotation_reader,
    category_matching,
    coco_api,
)
from ..coco import batches as coco_batches
from ..coco.annotations import AnnotatedImage, Annotations, Category
from ..coco.batches import NORMALIZATIONS, BatchConfig, ImageConfig
from ..io import atomic_files, paths, progress
from ..io.user_error import UserError
from . import annotated_files, bad_videos
from .bad_videos import BadVideo
from .data_config import check_seed, check_split
from .data_files import DataFile
from .dataset_info import DatasetInfo
from .epochs import NumberedEpochs

MAX_BAD_SHARE = 0.05
SPLITS = ("train", "validation")


def load_coco(
    train: str | os.PathLike,
    images: str | os.PathLike = ".",
    *,
    validation: str | os.PathLike | None = None,
    validation_images: str | os.PathLike | None = None,
    short_side_px: int = 800,
    long_side_px: int = 1333,
    short_sides_px: Sequence[int] = (),
    channel_order: str = "rgb",
    keypoints: bool = False,
    flip: bool = True,
    keep_empty_images: bool = False,
) -> "CocoDataset":
    """Load annotated images in COCO's format.

    Images are read when they are needed. Invalid annotations are left out;
    `summary` lists them.

    Args:
        train: JSON file with the annotations of the training images, or its
            URL.
        images: folder of the training images.
        validation: annotations of the validation images; None for none. Their
            categories are matched by name.
        validation_images: folder of the validation images. Default: `images`.
        short_side_px: limit of an image's short side after resizing.
        long_side_px: limit of its long side after resizing.
        short_sides_px: short sides in training, one of these at random.
            Default: `short_side_px`.
        channel_order: "rgb", for networks of torchvision, or "bgr", for those
            of Detectron and detectron2.
        keypoints: train on keypoints, and on images that have some.
        flip: flip every second training image, at random.
        keep_empty_images: train on images without objects too.

    Returns:
        The data set: `classes`, `splits` (number of images), `batches` for
        `fit`, and `bad` (images that could not be read).

    Raises:
        UserError: a size or `channel_order` is invalid, a file cannot be
            read, has no valid annotation, or categories do not match.

    Example:

    >>> coco = data.load_coco(
    ...     "train.json", "images/", validation="val.json"
    ... )
    >>> coco.classes, coco.splits
    (('dog', 'cat'), {'train': 80, 'validation': 10})
    """
    if channel_order not in NORMALIZATIONS:
        raise UserError(unknown("channel_order", channel_order, NORMALIZATIONS))
    _check_sizes(short_side_px, long_side_px, short_sides_px)
    side = -(-long_side_px // SIZE_DIVISOR) * SIZE_DIVISOR
    settings = ImageConfig(
        canvas_px=(side, side),
        short_sides_px=tuple(short_sides_px) or (short_side_px,),
        long_side_px=long_side_px,
        eval_short_side_px=short_side_px,
        horizontal_flip=flip,
        keep_empty_images=keep_empty_images,
        channel_order=channel_order,
    )
    annotations = annotation_reader.read(os.fspath(train), os.fspath(images))
    validated = None
    if validation is not None:
        validated = annotation_reader.read(
            os.fspath(validation), os.fspath(validation_images or images)
        )
        category_matching.match_categories(validated, annotations.categories)
    return CocoDataset(
        annotations,
        validated,
        os.fspath(images),
        settings=settings,
        has_keypoints=keypoints,
    )


def _check_sizes(
    short_side_px: int, long_side_px: int, short_sides_px: Sequence[int]
) -> None:
    for name, size in {
        "short_side_px": short_side_px,
        "long_side_px": long_side_px,
    }.items():
        if not is_positive_integer(size):
            raise UserError(
                f"Expected {name} as an integer above 0. "
                f"Received: {name}={size!r}"
            )
    if not isinstance(short_sides_px, Collection) or not all(
        map(is_positive_integer, short_sides_px)
    ):
        raise UserError(
            "Expected short_sides_px as a sequence of integers above 0. "
            f"Received: short_sides_px={short_sides_px!r}"
        )
    longest = max([short_side_px, *short_sides_px])
    if longest > long_side_px:
        raise UserError(
            "Expected short_side_px and short_sides_px of up to "
            f"long_side_px={long_side_px}. Received: {longest}"
        )


def check_is_detector(model: object) -> None:
    """Raise a TypeError for a model that is no detector."""
    if not isinstance(model, MaskRCNN):
        raise TypeError(
            "Expected a detector, as detection.create_detector returns it. "
            f"Received: a {type(model).__name__}. For a classifier, use "
            "evaluation.evaluate and export.saved_model."
        )


@dataclasses.dataclass(frozen=True)
class CocoDataset(NumberedEpochs):
    """Annotations of the training and validation images of a detector.

    Attributes:
        train: of the training images.
        validation: of the validation images, or None.
        folder: of the training images, that file names are relative to.
        bad: training images that cannot be read, as they turn up.
        settings: pre-processing and augmentation of images.
        has_keypoints: whether batches have keypoints.
    """

    train: Annotations
    validation: Annotations | None = None
    folder: str = ""
    bad: list[BadVideo] = dataclasses.field(default_factory=list)
    settings: ImageConfig = ImageConfig()
    has_keypoints: bool = False
    _lock: threading.Lock = dataclasses.field(
        default_factory=threading.Lock, init=False, repr=False, compare=False
    )

    def __repr__(self) -> str:
        splits = ", ".join(f"{name}={n}" for name, n in self.splits.items())
        return (
            f"<{type(self).__name__}: {len(self.classes)} classes, {splits}, "
            f"{len(self.bad)} bad>"
        )

    @property
    def categories(self) -> Sequence[Category]:
        """Classes with ids and keypoints; label 1 is the first."""
        return self.train.categories

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, without the background."""
        return tuple(category.name for category in self.categories)

    @property
    def splits(self) -> dict[str, int]:
        """Number of images of each split."""
        return {
            name: len(annotations.images)
            for name, annotations in zip(
                SPLITS, (self.train, self.validation), strict=True
            )
            if annotations is not None
        }

    @property
    def image_preprocessing(self) -> ImagePreprocessing:
        """Sizes and normalization of images in validation."""
        return self.settings.evaluated

    @property
    def has_masks(self) -> bool:
        """True if all training objects have a mask."""
        return all(
            instance.segmentation is not None
            for instance in self.train.instances
            if not instance.is_crowd
        )

    @property
    def num_keypoints(self) -> int:
        """Keypoints of an object in batches; 0 for none."""
        if not self.has_keypoints:
            return 0
        return max(len(category.keypoints) for category in self.categories)

    @property
    def info(self) -> DatasetInfo:
        """Metadata to store with trained networks."""
        return DatasetInfo(self.classes, ())

    def annotations(self, split: str) -> Annotations:
        """Return the annotations of a split.

        Raises:
            UserError: there is no such split.
        """
        check_split(split, SPLITS)
        annotations = self.train if split == "train" else self.validation
        if annotations is None:
            raise UserError(
                "Expected annotations of validation images: "
                'load_coco(..., validation="FILE.json"). Received none.'
            )
        return annotations

    def batches(
        self, split: str, batch_size: int, *, seed: int = 0
    ) -> tf.data.Dataset:
        """Return the batches of a split for `fit` or `evaluate` of a detector.

        Training batches are shuffled and augmented. Each iteration over them is
        an epoch in another order, a function of (seed, epoch) alone. Validation
        batches are the same in each iteration, for losses;
        `evaluation.evaluate_detector` computes average precision.

        An image that cannot be read is listed in `bad` and replaced by the
        next one. The batches can be used in or outside of the scope of a
        `tf.distribute.MirroredStrategy`, with a batch size that is a multiple
        of the number of devices.

        Args:
            split: "train" or "validation".
            batch_size: images per batch. All batches are full: the last one is
                filled up with other images.
            seed: seed of order, sizes, flips and samples of targets.

        Returns:
            Dicts for `nonlocal_tf.detection.batch_losses`, with `seeds`; of
            known cardinality, ceil(images / batch_size). Images without objects
            do not count unless `keep_empty_images`.

        Raises:
            UserError: the split, the batch size or the seed is invalid, there
                is nothing to train on, or pycocotools is missing.

        Example:

        >>> model.fit(coco.batches("train", 2, seed=0), epochs=3, shuffle=False)
        """
        annotations = self.annotations(split)
        if not is_positive_integer(batch_size):
            raise UserError(
                "Expected batch_size as an integer above 0. "
                f"Received: {batch_size!r}"
            )
        check_seed(seed)
        coco_api.require(masks=self.has_masks, scores=False)
        config = self._batch_config(split, batch_size)
        coco_batches.check(annotations, config)
        images = coco_batches.training_images(annotations, config)
        count = -(-len(images) // batch_size)
        if split == "train":
            steps = self.count_epochs(batch_size, seed).steps(count)
        else:
            steps = tf.data.Dataset.range(count)
        return coco_batches.batches_of_steps(
            steps, annotations, config, seed, on_bad=self.add_bad
        ).prefetch(1)

    def _batch_config(self, split: str, batch_size: int) -> BatchConfig:
        settings = self.settings
        if split != "train":
            settings = dataclasses.replace(
                settings,
                short_sides_px=(settings.eval_short_side_px,),
                horizontal_flip=False,
            )
        if not self.has_masks:
            settings = dataclasses.replace(settings, mask_cells=0)
        return BatchConfig(
            **vars(settings),
            batch=batch_size,
            num_keypoints=self.num_keypoints,
        )

    def check_detector(self, model: MaskRCNN) -> None:
        """Check that a detector is for the classes and sizes of the images.

        Raises:
            TypeError: it is no detector.
            UserError: it has another number of classes, or another
                pre-processing.
        """
        check_is_detector(model)
        expected, received = 1 + len(self.classes), model.config.num_classes
        if received != expected:
            raise UserError(
                f"Expected a detector of {len(self.classes)} classes and the "
                f"background. Received: num_classes={received}"
            )
        if model.image_preprocessing != self.image_preprocessing:
            raise UserError(
                "Expected a detector with the pre-processing of its training "
                f"images, {self.image_preprocessing}. Received: "
                f"{model.image_preprocessing}. Set model.image_preprocessing = "
                "coco.image_preprocessing"
            )

    def overview(self) -> str:
        """Return nothing: `summary` has been printed."""
        return ""

    def summary(self) -> str:
        """Return counts, problems and notes of the annotations as text."""
        parts = [self.train, *filter(None, [self.validation])]
        return "\n".join(part.summary() for part in parts)

    def add_bad(self, image: AnnotatedImage, reason: str) -> None:
        """Add an image that cannot be read; called by reading threads."""
        path = str(image.path)
        with self._lock:
            if path in {bad.path for bad in self.bad}:
                return
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

    def write_bad(self, path: str | os.PathLike) -> None:
        """Write the list of bad images, or remove it if there are none."""
        bad_videos.write_bad_videos(paths.as_path(path), self.bad)

    def fingerprint(self) -> str:
        """Return a digest of the training annotations."""
        return atomic_files.sha256(self.train.path)

    def training_files(self) -> list[DataFile]:
        """Describe each training image and its annotations."""
        return annotated_files.rows(self.train, self.folder)

    def held_out(self) -> dict[str, list[DataFile]]:
        """Return nothing: a validation may have other images any time."""
        return {}
