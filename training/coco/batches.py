"""Batches of pictures and their objects, all of one shape.

What is in a batch is a function of the seed and of the number of its step, so
that a run that was stopped goes on with the batches it would have had.
"""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from nonlocal_tf.detection import RGB, PixelNormalization, preprocessing

from ..io.user_error import UserError
from . import coco_scores, examples, images
from .annotations import Annotations, Picture


@dataclasses.dataclass(frozen=True)
class BatchConfig:
    """What a batch looks like.

    Attributes:
        batch: pictures in it.
        canvas_px: height and width of all of them, with zeros around.
        short_sides_px: that a picture is scaled to, one at random; less where
            the long side or the canvas does not allow it.
        long_side_px: of a scaled picture, at the most.
        mask_cells: along each side of a stored mask, 3 at least, or 0 for no
            masks.
        num_keypoints: keypoints of an object, or 0 for none.
        horizontal_flip: flip every second image, at random.
        keep_empty_images: train on images without objects too.
        normalization: that of the network's training.
    """

    batch: int
    canvas_px: tuple[int, int]
    short_sides_px: tuple[int, ...] = (800,)
    long_side_px: int = 1333
    mask_cells: int = 112
    num_keypoints: int = 0
    horizontal_flip: bool = True
    keep_empty_images: bool = False
    normalization: PixelNormalization = RGB

    def __post_init__(self):
        if self.batch < 1:
            raise ValueError(
                f"Expected a batch of 1 at least. Received: batch={self.batch}"
            )
        if self.mask_cells and self.mask_cells < 3:
            raise ValueError(
                "Expected mask_cells of 0, for no masks, or 3 at least. "
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
    on_bad: Callable[[Picture, str], None] | None = None,
    worker: int = 0,
    workers: int = 1,
) -> tf.data.Dataset:
    """What steps `first_step` to before `last_step` are trained on.

    Every picture comes once in each pass, in another order each time. There
    are as many rows as the picture with the most objects has, so that none is
    left out; rows behind the last object are 0.

    Args:
        annotations: checked ones.
        config: of a batch.
        seed: of the run.
        first_step: from 0 on.
        last_step: the one behind the last.
        parallel: batches that are made at the same time.
        on_bad: is told of each picture that cannot be read, and why; instead
            of it the next is taken. By default that is an error.
        worker: number of this process, which reads its share of each batch:
            the first of two the first half, and so on.
        workers: number of processes, which divides the batch.

    Returns:
        Dicts as `nonlocal_tf.detection.batch_losses` takes them, with `seeds`,
        int32 `(batch, 2)`, for what it samples of each picture.

    Raises:
        UserError: as of `check`.
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

    return tf.data.Dataset.range(first_step, last_step).map(
        tf.autograph.experimental.do_not_convert(batch),
        num_parallel_calls=parallel,
        deterministic=True,
    )


def check(annotations: Annotations, config: BatchConfig) -> None:
    """Check that annotations can be trained on.

    Raises:
        UserError: there is no picture to train on, an object has no mask, a
            keypoint has no partner in the mirror, or categories do not have
            `config.num_keypoints`.
    """
    _chosen(annotations, config)
    if config.num_keypoints:
        _partners(annotations, config)


class _Source:
    """Makes the batch of a step."""

    def __init__(
        self,
        annotations: Annotations,
        config: BatchConfig,
        seed: int,
        on_bad: Callable[[Picture, str], None] | None,
        worker: int = 0,
        workers: int = 1,
    ):
        self._config, self._seed, self._on_bad = config, seed, on_bad
        self._pictures = _chosen(annotations, config)
        self._partners: list[int] = []
        if config.num_keypoints:
            self._partners = _partners(annotations, config)
        counts = [
            sum(not one.is_crowd for one in picture.instances)
            for picture in self._pictures
        ]
        regions = [
            sum(one.is_crowd for one in picture.instances)
            for picture in self._pictures
        ]
        share = config.batch // workers
        self._places = range(worker * share, (worker + 1) * share)
        self.specs = _specs(config, share, max(1, *counts), max(regions))

    def batch(self, step: int) -> dict[str, np.ndarray]:
        rows = [
            self._row(step * self._config.batch + place)
            for place in self._places
        ]
        found = {
            name: np.stack([row[name] for row in rows]) for name in rows[0]
        }
        return {
            name: found[name].astype(spec.dtype.as_numpy_dtype)
            for name, spec in self.specs.items()
        }

    def _row(self, number: int) -> dict[str, np.ndarray]:
        """The arrays of one picture, `number` of the whole run."""
        config = self._config
        turn, place = divmod(number, len(self._pictures))
        order = np.random.default_rng([self._seed, 0, turn])
        places = np.roll(order.permutation(len(self._pictures)), -place)
        random = np.random.default_rng([self._seed, 1, number])
        short_side_px = random.choice(config.short_sides_px)
        example = self._first_good(self._pictures[at] for at in places)
        if config.horizontal_flip and random.random() < 0.5:
            example = examples.mirrored(example, self._partners)
        row = self._on_canvas(example, int(short_side_px))
        return {**row, "seeds": np.array([self._seed, number])}

    def _first_good(self, candidates: Iterable[Picture]) -> examples.Example:
        config = self._config
        for picture in candidates:
            try:
                return examples.make(
                    picture,
                    images.read(picture.path),
                    config.mask_cells,
                    config.num_keypoints,
                )
            except UserError as error:
                if self._on_bad is None:
                    raise
                self._on_bad(picture, str(error))
        raise UserError("None of the pictures can be read.")

    def _on_canvas(self, example: examples.Example, short_side_px: int):
        """The example scaled, at the top left of the canvas."""
        config = self._config
        given = example.image.shape[:2]
        size = preprocessing.resized_size(
            given, short_side_px, config.long_side_px
        )
        fits = min(c / s for c, s in zip(config.canvas_px, size, strict=True))
        if fits < 1:
            size = int(size[0] * fits) or 1, int(size[1] * fits) or 1
        y, x = (new / old for new, old in zip(size, given, strict=True))
        # The same rounding for all: a point on a box's edge stays there.
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
            name: _padded(array, self.specs[name].shape[1:])
            for name, array in row.items()
        }


def _chosen(annotations: Annotations, config: BatchConfig) -> list[Picture]:
    """The pictures that are trained on."""
    found = [
        picture
        for picture in annotations.pictures
        if config.keep_empty_images
        or _has_objects(picture, config.num_keypoints > 0)
    ]
    if not found:
        what = "a visible keypoint" if config.num_keypoints else "an object"
        raise UserError(
            f"{annotations.path}: none of its {len(annotations.pictures)} "
            f"pictures has {what} to learn from."
        )
    if config.mask_cells:
        chosen = dataclasses.replace(annotations, pictures=tuple(found))
        coco_scores.check_masks(chosen, "learnt from")
    return found


def _has_objects(picture: Picture, with_keypoints: bool) -> bool:
    return any(
        not one.is_crowd and (not with_keypoints or any(one.keypoints[2::3]))
        for one in picture.instances
    )


def _partners(annotations: Annotations, config: BatchConfig) -> list[int]:
    """Of each keypoint the one it becomes; the same for all categories."""
    found = []
    for category in annotations.categories:
        count = len(category.keypoints)
        if count != config.num_keypoints:
            raise UserError(
                f"{annotations.path}: category {category.name!r} has {count} "
                f"keypoints. Expected {config.num_keypoints}, as the network "
                "has for each object."
            )
        if config.horizontal_flip:
            found.append(examples.partners_of(category))
    if any(partners != found[0] for partners in found):
        raise UserError(
            f"{annotations.path}: its categories have different keypoints. "
            "Expected the same of all."
        )
    return found[0] if found else []


def _specs(config: BatchConfig, count: int, objects: int, regions: int):
    """Shapes and types of a batch."""
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


def _padded(array: np.ndarray, shape) -> np.ndarray:
    """The array with zeros behind it."""
    after = [(0, n - m) for n, m in zip(shape, array.shape, strict=True)]
    return np.pad(array, after)
