"""Batched gathers: rows of each example, and one class of each RoI."""

from keras import ops

from nonlocal_tf.typing import Tensor


def rows(x: Tensor, indices: Tensor) -> Tensor:
    """Gather rows of each example.

    Args:
        x: `(batch, n, ...)`.
        indices: integers `(batch, ...)`, from 0 to n - 1.

    Returns:
        The shape of `indices`, then that of a row.
    """
    shape = ops.shape(indices)
    batch, n, *row = ops.shape(x)
    first = ops.arange(batch, dtype="int32") * n
    first = ops.reshape(first, (-1, *(1 for _ in shape[1:])))
    flat = ops.reshape(x, (batch * n, *row))
    return ops.take(flat, ops.cast(indices, "int32") + first, axis=0)


def class_maps(maps: Tensor, labels: Tensor) -> Tensor:
    """Select the map of a class: `(rois, h, w, classes)` at `(rois,)`."""
    index = ops.reshape(ops.cast(labels, "int32"), (-1, 1, 1, 1))
    return ops.squeeze(ops.take_along_axis(maps, index, axis=-1), -1)
