"""Attention layout: which positions attend to which, and pooling of the keys.

The pairwise functions relate all positions of a row to each other. A layout
reshapes a feature map into rows, `(rows, positions, channels)`, of the
positions that attend to each other. Keys and values may be max-pooled first.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal, get_args

import keras
import numpy as np
from keras import ops

from nonlocal_tf.choices import is_positive_integer, unknown
from nonlocal_tf.typing import Shape, Tensor

Axes = Literal["spacetime", "space", "time"]
AXES = get_args(Axes)


@dataclasses.dataclass(frozen=True)
class AttentionLayout:
    """Rows of positions that attend to each other.

    Attributes:
        axes: `"spacetime"`, `"space"` (positions of the same frame) or
            `"time"` (the same place in all frames).
        frames: with `"spacetime"`, consecutive frames per group; None for all.

    Raises:
        ValueError: an argument is invalid.
    """

    axes: Axes = "spacetime"
    frames: int | None = None

    def __post_init__(self) -> None:
        if self.axes not in AXES:
            raise ValueError(unknown("axes", self.axes, AXES))
        if self.frames is None:
            return
        if not is_positive_integer(self.frames):
            raise ValueError(
                "Expected `temporal_group_size` to be None or an integer of at "
                f"least 1. Received: temporal_group_size={self.frames!r}"
            )
        if self.axes != "spacetime":
            raise ValueError(
                "`temporal_group_size` goes with axes='spacetime'. "
                f"Received: axes={self.axes!r}, "
                f"temporal_group_size={self.frames!r}"
            )
        object.__setattr__(self, "frames", int(self.frames))

    @property
    def is_global(self) -> bool:
        """True if every position of an example attends to all others."""
        return self.axes == "spacetime" and self.frames is None

    @property
    def group_frames(self) -> int | None:
        """Frames per group that is contiguous in memory; None for all."""
        return 1 if self.axes == "space" else self.frames

    def steps(self, like: Tensor) -> int | Tensor:
        """Number of frames, or positions in time, of a row.

        Args:
            like: feature map, `(batch, time, ..., c)`.
        """
        return self.frames or ops.shape(like)[1]

    def to_rows(self, x: Tensor, pooled_frames: int = 1) -> Tensor:
        """Reshape `(batch, [time, height, width], c)` to `(rows, n, c)`.

        Args:
            x: feature map of rank 3 to 5.
            pooled_frames: pool size along time that `x` is the result of.
        """
        if self.axes == "time":
            batch, time, height, width, channels = ops.shape(x)
            x = ops.reshape(x, (batch, time, height * width, channels))
            x = ops.swapaxes(x, 1, 2)
            return ops.reshape(x, (batch * height * width, time, channels))
        if self.group_frames is None:
            batch, *sizes, channels = ops.shape(x)
            return ops.reshape(x, (batch, math.prod(sizes), channels))
        # All sizes are explicit: frames of two clips never share a group.
        batch, time, height, width, channels = ops.shape(x)
        frames = self.group_frames // pooled_frames
        groups = batch * (time // frames)
        return ops.reshape(x, (groups, frames * height * width, channels))

    def from_rows(self, rows: Tensor, like: Tensor) -> Tensor:
        """Reshape rows of queries to `(batch, n, c)` in t, h, w order.

        Args:
            rows: `(rows, n, c)`.
            like: feature map from which `to_rows` made the rows.
        """
        batch, *sizes, _ = ops.shape(like)
        channels = ops.shape(rows)[-1]
        if self.axes == "time":
            time, *places = sizes
            shape = (batch, math.prod(places), time, channels)
            rows = ops.swapaxes(ops.reshape(rows, shape), 1, 2)
        return ops.reshape(rows, (batch, math.prod(sizes), channels))

    def key_box(
        self, position: Sequence[int | Tensor], sizes: Sequence
    ) -> tuple[list, list]:
        """Locate the box of positions that a position attends to.

        Args:
            position: index of the query along each axis, integers or scalar
                tensors.
            sizes: size of the feature map along each axis; None where unknown.

        Returns:
            The first position of the box and the box's sizes, as lists.
        """
        if self.axes == "space":
            return [position[0], 0, 0], [1, *sizes[1:]]
        if self.axes == "time":
            return [0, *position[1:]], [sizes[0], 1, 1]
        if self.frames is None:
            return [0] * len(sizes), list(sizes)
        first_frame = position[0] - position[0] % self.frames
        return [first_frame, 0, 0], [self.frames, *sizes[1:]]

    def keys_of_queries(
        self, phi: Tensor, queries: Tensor, like: Tensor
    ) -> Tensor:
        """Gather the row of keys that each query attends to.

        Args:
            phi: keys of all rows, `(rows, m, d)`.
            queries: flat indices in t, h, w order, `(k,)`.
            like: feature map, `(batch, [sizes], c)`.

        Returns:
            `(batch, k, m, d)`.
        """
        batch, _, *places, _ = ops.shape(like)
        rows, m, d = ops.shape(phi)
        phi = ops.reshape(phi, (batch, rows // batch, m, d))
        return ops.take(phi, self.row_index(queries, math.prod(places)), axis=1)

    def row_index(self, queries: Tensor, places: int | Tensor) -> Tensor:
        """Index of the row, within its example, of each query.

        Args:
            queries: flat indices in t, h, w order.
            places: number of positions of a frame.
        """
        if self.axes == "time":
            return queries % places
        if self.group_frames is None:
            return ops.zeros_like(queries)
        return queries // (self.group_frames * places)


def checked_subsample(
    value: int | Sequence[int] | None,
) -> int | tuple[int, ...] | None:
    """Check `subsample`: None, a positive integer or up to three of them.

    Raises:
        ValueError: any other value.
    """
    if value is None:
        return None
    if is_positive_integer(value):
        return int(value)
    if isinstance(value, (tuple, list)) and 0 < len(value) < 4:
        if all(map(is_positive_integer, value)):
            return tuple(map(int, value))
    raise ValueError(
        "Expected `subsample` to be None, a positive integer or a tuple of a "
        f"positive integer per axis. Received: subsample={value!r}"
    )


def pool_size(
    subsample: int | tuple[int, ...] | None,
    layout: AttentionLayout,
    input_shape: Shape,
) -> tuple[int, ...]:
    """Compute the pool size along each axis but the batch and the channels.

    Args:
        subsample: value from `checked_subsample`.
        layout: layout of the block.
        input_shape: with batch and channels; sizes may be None.

    Raises:
        ValueError: input, layout and subsample do not fit each other.
    """
    sizes = input_shape[1:-1]
    if not layout.is_global and len(sizes) != 3:
        raise ValueError(
            "`axes` and `temporal_group_size` are for clips, (batch, time, "
            f"height, width, channels). Received: shape={input_shape}"
        )
    pool = subsample
    if pool is None:
        pool = (1,) * len(sizes)
    elif isinstance(pool, int):  # height and width, or the only axis
        pool = (1,) * (len(sizes) == 3) + (pool,) * min(len(sizes), 2)
    if len(pool) != len(sizes):
        raise ValueError(
            f"Expected `subsample` to have a size for each of the {len(sizes)} "
            f"axes of the input, or of the context if there is one. Received: "
            f"subsample={pool}, shape={input_shape}"
        )
    if any(
        isinstance(size, int) and size < p
        for size, p in zip(sizes, pool, strict=True)
    ):
        raise ValueError(
            "Expected keys, of the input or of the context if there is one, "
            "of at least one position and the size of `subsample`. "
            f"Received: subsample={pool}, shape={input_shape}"
        )
    fixed = {"space": pool[:1], "time": pool[1:]}.get(layout.axes, ())
    if any(size != 1 for size in fixed):
        raise ValueError(
            "Expected `subsample` to pool only axes along which positions "
            f"attend. Received: subsample={pool}, axes={layout.axes!r}"
        )
    frames = layout.frames
    if frames and isinstance(sizes[0], int) and sizes[0] % frames:
        raise ValueError(
            "Expected `temporal_group_size` to divide the frames. "
            f"Received: temporal_group_size={frames}, shape={input_shape}"
        )
    if frames and frames % pool[0]:
        raise ValueError(
            "Expected the pool size along time to divide "
            "`temporal_group_size`. Received: "
            f"subsample={pool}, temporal_group_size={frames}"
        )
    return pool


def checked_queries(
    queries: Sequence[int] | Tensor, n: int | Tensor | None
) -> Tensor:
    """Return flat indices of positions as a tensor or an array of integers.

    Args:
        queries: integers; negative ones count from the end.
        n: number of positions, None if it is unknown.

    Raises:
        ValueError: not a row of integers, or an index out of range. Values of
            a tensor are not checked.
    """
    has_dtype = hasattr(queries, "dtype")
    positions: Tensor = queries if has_dtype else np.asarray(queries)
    is_array = isinstance(positions, np.ndarray)
    is_integer = (
        positions.dtype.kind in "iu"
        if is_array
        else "int" in keras.backend.standardize_dtype(positions.dtype)
    )
    if len(positions.shape) != 1 or not is_integer:
        raise ValueError(
            "Expected `queries` to be a row of integers, the flat indices of "
            f"positions. Received: queries={queries!r}"
        )
    if is_array and isinstance(n, int):
        if ((positions < -n) | (positions >= n)).any():
            raise ValueError(
                f"Expected `queries` from {-n} to {n - 1}, for {n} positions. "
                f"Received: queries={queries!r}"
            )
    return positions


def flat_queries(queries: Sequence[int] | Tensor, n: int | Tensor) -> Tensor:
    """Convert flat indices of positions to int32 from 0 to n - 1.

    Args:
        queries: as for `checked_queries`.
        n: number of positions.
    """
    positions = ops.convert_to_tensor(checked_queries(queries, n))
    return ops.cast(positions, "int32") % n
