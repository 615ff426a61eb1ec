"""What `keras.ops` lacks: TensorFlow's fused ROIAlign and suppression.

Nothing of it compiles under XLA but `nms`; `roi_align.roi_align` does.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import tensorflow as tf  # noqa: TID251, the one place

from nonlocal_tf.detection import roi_align as gathered
from nonlocal_tf.detection.resize import cubic
from nonlocal_tf.typing import Tensor

Structure = TypeVar("Structure")  # of tensors
NOT_FINITE = "The outputs are not finite"


def roi_align(
    maps: Sequence[Tensor],
    boxes: Tensor,
    scales: Sequence[float],
    size: int | tuple[int, int],
    samples: int = 2,
    aligned: bool = False,
    level: Tensor | None = None,
) -> Tensor:
    """`nonlocal_tf.detection.roi_align.roi_align` by `crop_and_resize`.

    Equal corners of the crop make its samples those of ROIAlign: the map gets
    a border of one replicated cell, in which samples up to a cell outside lie,
    and what is farther is extrapolated by 0.

    The gradient is that of the gathered samples: TensorFlow's own loses sums
    where several threads of a CPU write to one cell. Its sums are in float32.

    Args and returns: as there.
    """
    how = (scales, size, samples, aligned, level)

    @tf.custom_gradient
    def value(*maps: Tensor) -> tuple[Tensor, Callable]:
        def gradient(dy: Tensor) -> list[Tensor]:
            in_float32 = [tf.cast(one, tf.float32) for one in maps]
            with tf.GradientTape() as tape:
                tape.watch(in_float32)
                y = gathered.roi_align(in_float32, boxes, *how)
            found = tape.gradient(
                y, in_float32, output_gradients=tf.cast(dy, tf.float32)
            )
            return [
                tf.cast(one, of.dtype)
                for one, of in zip(found, maps, strict=True)
            ]

        return _fused(maps, boxes, *how), gradient

    return value(*maps)


def _fused(
    maps: Sequence[Tensor],
    boxes: Tensor,
    scales: Sequence[float],
    size: int | tuple[int, int],
    samples: int,
    aligned: bool,
    level: Tensor | None,
) -> Tensor:
    if level is None:
        level = gathered.levels(boxes) - gathered.FIRST_LEVEL
        level = level if len(maps) > 1 else 0
    height, width = (size, size) if isinstance(size, int) else size
    shape = tf.shape(boxes)
    batch, rois = shape[0], shape[1]
    level = tf.reshape(level + tf.zeros((batch, rois), tf.int32), (-1,))
    flat = tf.reshape(boxes, (-1, 4))
    of = tf.repeat(tf.range(batch), rois)
    parts, places = [], []
    for number, (feature_map, scale) in enumerate(
        zip(maps, scales, strict=True)
    ):
        here = tf.where(level == number)[:, 0]
        cells = tf.gather(flat, here) * scale
        crops = _crops(
            feature_map,
            cells,
            tf.gather(of, here),
            (height, width),
            samples,
            aligned,
        )
        parts.append(crops)
        places.append(here)
    # Each box is on one level: what each place got goes back to it.
    order = tf.argsort(tf.concat(places, 0))
    y = tf.gather(tf.concat(parts, 0), order)
    return tf.reshape(y, (batch, rois, height, width, maps[0].shape[-1]))


def _crops(
    feature_map: Tensor,
    cells: Tensor,
    of: Tensor,
    size: tuple[int, int],
    samples: int,
    aligned: bool,
) -> Tensor:
    """Features of boxes in cells of one map, `(rois, *size, channels)`."""
    dtype = feature_map.dtype
    padded = tf.pad(
        tf.cast(feature_map, tf.float32),
        ((0, 0), (1, 1), (1, 1), (0, 0)),
        "SYMMETRIC",
    )
    sides = tf.cast(tf.shape(padded)[1:3], cells.dtype)
    corners = []
    for axis in (1, 0):  # y, then x
        start, end = cells[:, axis], cells[:, axis + 2]
        length = end - start
        if aligned:
            start = start - 0.5
        else:
            length = tf.maximum(length, 1.0)
        # The middles of the first and of the last sample; + 1 is the border.
        count = size[1 - axis] * samples
        first = start + 0.5 * length / count + 1.0
        last = start + (count - 0.5) * length / count + 1.0
        cells_less = sides[1 - axis] - 1.0
        corners.append((first / cells_less, last / cells_less))
    (y1, y2), (x1, x2) = corners
    crops = tf.image.crop_and_resize(
        padded,
        tf.stack([y1, x1, y2, x2], axis=-1),
        tf.cast(of, tf.int32),
        [side * samples for side in size],
    )
    means = tf.nn.avg_pool2d(crops, samples, samples, "VALID")
    return tf.cast(means, dtype)


class OutputsNotFinite(ValueError):
    """A detector's outputs are not finite: its weights are to blame."""


def finite(outputs: Structure, head: str) -> Structure:
    """Outputs of a head, unless a number of them is not finite.

    Args:
        outputs: a structure of tensors.
        head: its name, for the message.

    Raises:
        tf.errors.InvalidArgumentError: one is not; see `finite_errors`.
    """
    flat = tf.nest.flatten(outputs)
    are_finite = [tf.reduce_all(tf.math.is_finite(one)) for one in flat]
    check = tf.debugging.Assert(
        tf.reduce_all(are_finite), [f"{NOT_FINITE} ({head})"]
    )
    with tf.control_dependencies([check]):
        flat = [tf.identity(one) for one in flat]
    return tf.nest.pack_sequence_as(outputs, flat)


@contextlib.contextmanager
def finite_errors() -> Iterator[None]:
    """Raises OutputsNotFinite where `finite` fails within the block."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        if NOT_FINITE not in error.message:
            raise
        raise OutputsNotFinite(NOT_FINITE) from error


def graph_of(
    model: Callable,
) -> Callable[[Mapping[str, Tensor]], dict[str, Tensor]]:
    """A detector as a function of one picture that is traced once.

    Args:
        model: takes a dict of `images` and `sizes`.
    """
    specs = {
        "images": tf.TensorSpec((1, None, None, 3), tf.float32),
        "sizes": tf.TensorSpec((1, 2), tf.int32),
    }
    return tf.function(
        lambda inputs: model(inputs, training=False), [specs], autograph=False
    )


def nms(
    boxes: Tensor,
    scores: Tensor,
    threshold: float,
    count: int,
    least_score: float = float("-inf"),
) -> tuple[Tensor, Tensor]:
    """Greedy suppression of one image's boxes.

    Args:
        boxes: `(n, 4)`.
        scores: `(n,)`; of equal ones the first comes first.
        threshold: overlap (IoU) above which the worse of two goes.
        count: how many are kept, at most.
        least_score: boxes below it are not there.

    Returns:
        Places int32 `(count,)`, best first, and how many of them there are.
    """
    return tf.raw_ops.NonMaxSuppressionV4(
        boxes=boxes,
        scores=scores,
        max_output_size=count,
        iou_threshold=threshold,
        score_threshold=least_score,
        pad_to_max_output_size=True,
    )


def suppressed(
    boxes: Tensor, scores: Tensor, threshold: float, count: int
) -> tuple[Tensor, Tensor]:
    """Suppression in each image, with the boxes that are kept.

    Args:
        boxes: `(batch, n, 4)`.
        scores: `(batch, n)`; boxes of a negative one are not there.
        threshold: as of `nms`.
        count: kept of each image, at most.

    Returns:
        `(batch, k, 4)` and `(batch, k)`, best first, k = min(count, n); zeros
        behind the last.
    """
    count = min(count, boxes.shape[1])

    def one(of_image: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        boxes, scores = of_image
        places, there = nms(boxes, scores, threshold, count, -0.5)
        is_there = tf.range(count) < there
        kept = tf.where(is_there[:, None], tf.gather(boxes, places), 0.0)
        return kept, tf.where(is_there, tf.gather(scores, places), 0.0)

    shapes = (
        tf.TensorSpec((count, 4), boxes.dtype),
        tf.TensorSpec((count,), scores.dtype),
    )
    return tf.map_fn(one, (boxes, scores), fn_output_signature=shapes)


def suppressed_a_class(
    boxes: Tensor,
    scores: Tensor,
    threshold: float,
    least_score: float,
    count: int,
) -> dict[str, Tensor]:
    """The best boxes of all classes, after suppression in each.

    Args:
        boxes: `(batch, n, classes, 4)`, without the background.
        scores: `(batch, n, classes)`.
        threshold: as of `nms`.
        least_score: only above it is something a detection.
        count: of each image, at most.

    Returns:
        A dict of `boxes` `(batch, count, 4)`, `labels` int32 from 1 on and
        `scores`, both `(batch, count)`, best first, zeros behind the last, and
        `count` int32 `(batch,)`.
    """
    kept, best, classes, there = tf.image.combined_non_max_suppression(
        boxes,
        scores,
        max_output_size_per_class=count,
        max_total_size=count,
        iou_threshold=threshold,
        score_threshold=least_score,
        pad_per_class=False,
        clip_boxes=False,
    )
    is_there = tf.range(count) < there[:, None]
    labels = tf.where(is_there, tf.cast(classes, tf.int32) + 1, 0)
    return {"boxes": kept, "labels": labels, "scores": best, "count": there}


def uniform(shape: Sequence[int | Any], seed: Tensor, salt: int) -> Tensor:
    """Random numbers in [0, 1) that are a function of seed and salt alone.

    Args:
        shape: `(batch, n)`.
        seed: two int32 numbers, or two for each image, `(batch, 2)`: then a
            row is the same in every batch.
        salt: an integer, to draw anew with the same seed.
    """

    def draw(seed: Tensor, shape: Sequence[int | Any]) -> Tensor:
        key = tf.random.experimental.stateless_fold_in(seed, salt)
        return tf.random.stateless_uniform(shape, key)

    seed = tf.cast(seed, tf.int32)
    if seed.shape.rank == 1:
        return draw(seed, shape)
    return tf.map_fn(
        lambda row: draw(row, shape[1:]),
        seed,
        fn_output_signature=tf.TensorSpec(shape[1:], tf.float32),
    )


def decode_keypoints(maps: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """`nonlocal_tf.detection.keypoints.decode` within a graph.

    Args and returns: as there.
    """
    cells = maps.shape[1]

    def one(of_box: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        heat, box = of_box
        sides = tf.maximum(box[2:] - box[:2], 1.0)
        width, height = tf.unstack(tf.cast(tf.math.ceil(sides), tf.int32))
        large = tf.einsum(
            "ih,hwk,jw->kij",
            _cubic_weights(cells, height),
            heat,
            _cubic_weights(cells, width),
        )
        flat = tf.reshape(large, (maps.shape[-1], -1))
        best = tf.argmax(flat, -1, tf.int32)
        at = tf.cast(tf.stack([best % width, best // width], -1), tf.float32)
        pixel = sides / tf.cast(tf.stack([width, height]), tf.float32)
        points = (at + 0.5) * pixel + box[:2]
        ones = tf.ones_like(points[:, :1])
        return tf.concat([points, ones], -1), tf.reduce_max(flat, -1)

    shapes = (
        tf.TensorSpec((maps.shape[-1], 3), tf.float32),
        tf.TensorSpec((maps.shape[-1],), tf.float32),
    )
    maps, boxes = tf.cast(maps, tf.float32), tf.cast(boxes, tf.float32)
    return tf.map_fn(one, (maps, boxes), fn_output_signature=shapes)


def _cubic_weights(cells: int, size: Tensor) -> Tensor:
    """`nonlocal_tf.detection.resize.cubic_weights` of an unknown size."""
    at = tf.range(tf.cast(size, tf.float64)) + 0.5
    at = at * (cells / tf.cast(size, tf.float64)) - 0.5
    before = tf.math.floor(at)
    weights = 0.0
    for offset in (-1.0, 0.0, 1.0, 2.0):
        cell = tf.clip_by_value(before + offset, 0.0, cells - 1.0)
        share = cubic(tf.abs(at - before - offset), tf.where)
        hot = tf.one_hot(tf.cast(cell, tf.int32), cells, dtype=tf.float64)
        weights = weights + hot * share[:, None]
    return tf.cast(weights, tf.float32)
