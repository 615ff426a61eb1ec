"""Training batches of images and their objects, of one shape.

A batch depends on the seed and the number of its step alone, so that a resumed
run continues with the batches that it would have had.
"""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from nonlocal_tf.detection import (
    BGR,
    RGB,
    ImagePreprocessing,
    PixelNormalization,
    preprocessing,
)

from ..io.user_error import UserError
from . import coco_scores, horizontal_flip, image_files
from .annotations import AnnotatedImage, Annotations
from .examples import Example, make_example

NORMALIZATIONS = {"rgb": RGB, "bgr": BGR}


@dataclasses.dataclass(frozen=True)
class ImageConfig:
    """Pre-processing and augmentation of images.

    Attributes:
        canvas_px: height and width that all images of a batch are zero-padded
            to; larger ones are resized to fit.
        short_sides_px: short side after resizing, one of these at random; less
            where the long side or the canvas does not allow it.
        long_side_px: limit of the long side after resizing.
        eval_short_side_px: short side after resizing in validation.
        mask_cells: side of the grid that a ground-truth mask is stored on.
        horizontal_flip: flip every second image, at random.
        keep_empty_images: train on images without objects too.
        channel_order: "rgb", for networks of torchvision, or "bgr", for those
            of Detectron and detectron2.
    """

    canvas_px: tuple[int, int] = (1344, 1344)
    short_sides_px: tuple[int, ...] = (800,)
    long_side_px: int = 1333
    eval_short_side_px: int = 800
    mask_cells: int = 112
    horizontal_flip: bool = True
    keep_empty_images: bool = False
    channel_order: str = "rgb"

    @property
    def normalization(self) -> PixelNormalization:
        return NORMALIZATIONS[self.channel_order]

    @property
    def evaluated(self) -> ImagePreprocessing:
        """Pre-processing of images in validation and detection."""
        return ImagePreprocessing(
            self.eval_short_side_px, self.long_side_px, self.normalization
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchConfig(ImageConfig):
    """Content of a batch of images.

    Attributes:
        batch: images in a batch.
        num_keypoints: keypoints of an object, or 0 for none. Likewise
            `mask_cells` is 0 for no masks, or at least 3.
    """

    batch: int
    num_keypoints: int = 0

    def __post_init__(self):
        if self.batch < 1:
            raise ValueError(
                f"Expected a batch of at least 1. Received: batch={self.batch}"
            )
        if self.mask_cells and self.mask_cells < 3:
            raise ValueError(
                "Expected mask_cells of 0, for no masks, or at least 3. "
                f"Received: mask_cells={self.mask_cells}"
            )
        divisor = preprocessing.SIZE_DIVISOR
        if any(side < 1 or side % divisor for side in self.canvas_px):
            raise ValueError(
                "Expected sides of the canvas that are multiples of "
                f"{divisor}. Received: canvas_px={self.canvas_px}"
            )


def batches(
    annotations: Annotations,
    config: BatchConfig,
    seed: int,
    first_step: int,
    last_step: int,
    parallel: int = tf.data.AUTOTUNE,
    on_bad: Callable[[AnnotatedImage, str], None] | None = None,
    worker: int = 0,
    workers: int = 1,
) -> tf.data.Dataset:
    """Return the batches of steps from `first_step` to before `last_step`.

    Each image comes once in an epoch, in another order in each. Objects are
    zero-padded to the largest number of objects of an image.

    Args:
        annotations: checked annotations.
        config: sizes and augmentation.
        seed: seed of the run.
        first_step: the first step, from 0 on.
        last_step: the step after the last.
        parallel: number of batches that are built in parallel.
        on_bad: called with each unreadable image and the reason; the next
            image replaces it. By default it is an error.
        worker: number of this process, which reads its share of each batch:
            the first of two the first half, and so on.
        workers: number of processes, which divides the batch.

    Returns:
        Dicts for `nonlocal_tf.detection.batch_losses`, with `seeds`, int32
        `(batch, 2)`, for its samples of each image.

    Raises:
        UserError: as `check`.
    """
    return batches_of_steps(
        tf.data.Dataset.range(first_step, last_step),
        annotations,
        config,
        seed,
        parallel,
        on_bad,
        worker,
        workers,
    )


def batches_of_steps(
    steps: tf.data.Dataset,
    annotations: Annotations,
    config: BatchConfig,
    seed: int,
    parallel: int = tf.data.AUTOTUNE,
    on_bad: Callable[[AnnotatedImage, str], None] | None = None,
    worker: int = 0,
    workers: int = 1,
) -> tf.data.Dataset:
    """Return the batches of the steps of a data set, as `batches`.

    Args:
        steps: numbers of the steps, int64.
        annotations: as in `batches`, like all others.
        config: sizes and augmentation.
        seed: seed of the run.
        parallel: number of batches that are built in parallel.
        on_bad: called with each unreadable image and the reason.
        worker: number of this process.
        workers: number of processes.

    Raises:
        UserError: as `check`.
    """
    source = _Source(annotations, config, seed, on_bad, worker, workers)
    names = list(source.specs)

    def batch(step):
        arrays = tf.numpy_function(
            lambda number: tuple(source.batch(int(number)).values()),
            [step],
            [spec.dtype for spec in source.specs.values()],
        )
        for name, array in zip(names, arrays, strict=True):
            array.set_shape(source.specs[name].shape)
        return dict(zip(names, arrays, strict=True))

    return steps.map(
        tf.autograph.experimental.do_not_convert(batch),
        num_parallel_calls=parallel,
        deterministic=True,
    )


def check(annotations: Annotations, config: BatchConfig) -> None:
    """Check that annotations can be trained on.

    Raises:
        UserError: there is no image to train on, an object has no mask, a
            keypoint has no partner for a flip, or categories do not have
            `config.num_keypoints`.
    """
    training_images(annotations, config)
    if config.num_keypoints:
        _partners(annotations, config)


class _Source:
    """Builds the batch of a step."""

    def __init__(
        self,
        annotations: Annotations,
        config: BatchConfig,
        seed: int,
        on_bad: Callable[[AnnotatedImage, str], None] | None,
        worker: int = 0,
        workers: int = 1,
    ):
        self._config, self._seed, self._on_bad = config, seed, on_bad
        self._images = training_images(annotations, config)
        self._partners: list[int] = []
        if config.num_keypoints:
            self._partners = _partners(annotations, config)
        crowds = [
            sum(i.is_crowd for i in image.instances) for image in self._images
        ]
        objects = [
            len(image.instances) - count
            for image, count in zip(self._images, crowds, strict=True)
        ]
        share = config.batch // workers
        self._places = range(worker * share, (worker + 1) * share)
        self.specs = _specs(config, share, max(1, *objects), max(crowds))

    def batch(self, step: int) -> dict[str, np.ndarray]:
        rows = [
            self._row(step * self._config.batch + place)
            for place in self._places
        ]
        return {
            name: np.stack([row[name] for row in rows]).astype(
                spec.dtype.as_numpy_dtype
            )
            for name, spec in self.specs.items()
        }

    def _row(self, number: int) -> dict[str, np.ndarray]:
        """Return the arrays of image `number` of the whole run."""
        config = self._config
        epoch, place = divmod(number, len(self._images))
        order = np.random.default_rng([self._seed, 0, epoch])
        indices = np.roll(order.permutation(len(self._images)), -place)
        random = np.random.default_rng([self._seed, 1, number])
        short_side_px = random.choice(config.short_sides_px)
        example = self._first_readable(self._images[i] for i in indices)
        if config.horizontal_flip and random.random() < 0.5:
            example = horizontal_flip.flip(example, self._partners)
        row = self._resize_and_pad(example, int(short_side_px))
        return {**row, "seeds": np.array([self._seed, number])}

    def _first_readable(self, images: Iterable[AnnotatedImage]) -> Example:
        config = self._config
        for image in images:
            try:
                return make_example(
                    image,
                    image_files.read(image.path),
                    config.mask_cells,
                    config.num_keypoints,
                )
            except UserError as error:
                if self._on_bad is None:
                    raise
                self._on_bad(image, str(error))
        raise UserError("None of the images can be read.")

    def _resize_and_pad(self, example: Example, short_side_px: int) -> dict:
        """Resize an example and put it at the top left of the canvas."""
        config = self._config
        original = example.image.shape[:2]
        size = preprocessing.resized_size(
            original, short_side_px, config.long_side_px
        )
        fits = min(c / s for c, s in zip(config.canvas_px, size, strict=True))
        if fits < 1:
            size = int(size[0] * fits) or 1, int(size[1] * fits) or 1
        y, x = (new / old for new, old in zip(size, original, strict=True))
        # One rounding for all, so that a point on a box's edge stays there.
        scale = np.array([x, y, x, y], np.float32)
        row: dict = {
            "images": np.asarray(
                preprocessing.normalize_and_resize(
                    example.image, size, config.normalization
                )
            ),
            "sizes": np.array(size),
            "boxes": example.boxes * scale,
            "labels": example.labels,
            "crowds": example.crowds * scale,
        }
        if example.masks is not None and example.mask_boxes is not None:
            row["masks"] = example.masks
            row["mask_boxes"] = example.mask_boxes * scale
        if example.keypoints is not None:
            point_scale = np.array([x, y, 1.0], np.float32)
            row["keypoints"] = example.keypoints * point_scale
        return {
            name: _pad(array, self.specs[name].shape[1:])
            for name, array in row.items()
        }


def training_images(
    annotations: Annotations, config: BatchConfig
) -> list[AnnotatedImage]:
    """Return the images to train on.

    Raises:
        UserError: there is none.
    """
    images = [
        image
        for image in annotations.images
        if config.keep_empty_images
        or _has_objects(image, config.num_keypoints > 0)
    ]
    if not images:
        target = "a visible keypoint" if config.num_keypoints else "an object"
        raise UserError(
            f"{annotations.path}: none of its {len(annotations.images)} images "
            f"has {target} to train on."
        )
    if config.mask_cells:
        training_set = dataclasses.replace(annotations, images=tuple(images))
        coco_scores.check_masks(training_set, "trained on")
    return images


def _has_objects(image: AnnotatedImage, with_keypoints: bool) -> bool:
    return any(
        not i.is_crowd and (not with_keypoints or any(i.keypoints[2::3]))
        for i in image.instances
    )


def _partners(annotations: Annotations, config: BatchConfig) -> list[int]:
    """Return the keypoint that each becomes by a flip, for all categories."""
    partners = []
    for category in annotations.categories:
        count = len(category.keypoints)
        if count != config.num_keypoints:
            raise UserError(
                f"{annotations.path}: category {category.name!r} has {count} "
                f"keypoints. Expected {config.num_keypoints}, as the network "
                "predicts."
            )
        if config.horizontal_flip:
            partners.append(horizontal_flip.keypoint_partners(category))
    if any(other != partners[0] for other in partners):
        raise UserError(
            f"{annotations.path}: its categories have different keypoints. "
            "Expected the same for all."
        )
    return partners[0] if partners else []


def _specs(config: BatchConfig, count: int, objects: int, regions: int):
    """Return the shapes and types of a batch."""
    cells = config.mask_cells
    rows: dict = {
        "images": (config.canvas_px + (3,), tf.float32),
        "sizes": ((2,), tf.int32),
        "boxes": ((objects, 4), tf.float32),
        "labels": ((objects,), tf.int32),
        "crowds": ((regions, 4), tf.float32),
    }
    if cells:
        rows["masks"] = ((objects, cells, cells), tf.float32)
        rows["mask_boxes"] = ((objects, 4), tf.float32)
    if config.num_keypoints:
        rows["keypoints"] = ((objects, config.num_keypoints, 3), tf.float32)
    rows["seeds"] = ((2,), tf.int32)
    return {
        name: tf.TensorSpec((count, *shape), dtype)
        for name, (shape, dtype) in rows.items()
    }


def _pad(array: np.ndarray, shape) -> np.ndarray:
    """Pad an array with zeros at the end of each axis."""
    after = [(0, n - m) for n, m in zip(shape, array.shape, strict=True)]
    return np.pad(array, after)
