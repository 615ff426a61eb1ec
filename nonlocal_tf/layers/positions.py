"""Which positions a non-local operation relates: layouts and pooling.

A layout lays a feature map out as `(groups, positions, channels)`, so that the
operation, which relates all positions of a row to each other, relates those it
should. What is looked at can be max-pooled first.
"""

import dataclasses
import math
import numbers
from collections.abc import Sequence
from typing import Literal, TypeGuard, get_args

from keras import ops

from nonlocal_tf.typing import Shape, Tensor

Axes = Literal["spacetime", "space", "time"]
AXES = get_args(Axes)


@dataclasses.dataclass(frozen=True)
class Layout:
    """Who looks at whom.

    Attributes:
        axes: `"spacetime"`, `"space"` (positions of the same frame) or
            `"time"` (the same place in other frames).
        frames: with spacetime, consecutive frames a group; None for all.
    """

    axes: Axes = "spacetime"
    frames: int | None = None

    @property
    def is_one_row(self) -> bool:
        """Whether all positions of an example are related."""
        return self.axes == "spacetime" and self.frames is None

    @property
    def group_frames(self) -> int | None:
        """Frames a group that is consecutive in memory; None for all."""
        return 1 if self.axes == "space" else self.frames

    def rows(self, x: Tensor, pooled_frames: int = 1) -> Tensor:
        """`(batch, [time, height, width or fewer], c)` -> `(rows, n, c)`.

        Args:
            x: a feature map of rank 3 to 5.
            pooled_frames: how many frames pooling made one of.
        """
        if self.axes == "time":
            x = ops.swapaxes(_flat_space(x), 1, 2)
            batch, places, time, channels = ops.shape(x)
            return ops.reshape(x, (batch * places, time, channels))
        if self.group_frames is None:
            batch, *sizes, channels = ops.shape(x)
            return ops.reshape(x, (batch, math.prod(sizes), channels))
        # Sizes are given in full: frames of two clips never share a group.
        batch, time, height, width, channels = ops.shape(x)
        frames = self.group_frames // pooled_frames
        groups = batch * (time // frames)
        return ops.reshape(x, (groups, frames * height * width, channels))

    def positions(self, rows: Tensor, like: Tensor) -> Tensor:
        """The inverse of `rows` for queries: `(batch, n, c)`, t, h, w order.

        Args:
            rows: `(rows, n, c)`.
            like: the feature map that `rows` was made of.
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
        """Box of the positions that a position attends to.

        Args:
            position: of the query, an integer or a scalar tensor an axis.
            sizes: of the feature map, an axis; None where unknown.

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

    def row_of(self, queries: Tensor, like: Tensor) -> Tensor:
        """The row, of those of one example, in which each position is.

        Args:
            queries: flat indices in the order time, height, width.
            like: the feature map, `(batch, time, height, width, c)`.
        """
        _, _, height, width, _ = ops.shape(like)
        if self.axes == "time":
            return queries % (height * width)
        return queries // (self.group_frames * height * width)


def _flat_space(x: Tensor) -> Tensor:
    batch, time, height, width, channels = ops.shape(x)
    return ops.reshape(x, (batch, time, height * width, channels))


def is_positive_integer(value: object) -> TypeGuard[int]:
    """Whether the value is a whole number above zero, NumPy's included."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        return False
    return int(value) > 0


def checked_subsample(
    value: int | Sequence[int] | None,
) -> int | tuple[int, ...] | None:
    """None, a positive integer or a tuple of up to three of them.

    Raises:
        ValueError: it is something else.
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
        f"positive integer an axis. Received: subsample={value!r}"
    )


def pool_size(
    subsample: int | tuple[int, ...] | None, layout: Layout, input_shape: Shape
) -> tuple[int, ...]:
    """A pool size for each axis between the batch and the channels.

    Args:
        subsample: from `checked_subsample`.
        layout: who looks at whom.
        input_shape: with batch and channels; sizes may be None.

    Raises:
        ValueError: input, layout and subsample do not fit each other.
    """
    sizes = input_shape[1:-1]
    if not layout.is_one_row and len(sizes) != 3:
        raise ValueError(
            "`axes` and `temporal_group_size` are for clips, (batch, time, "
            f"height, width, channels). Received: shape={input_shape}"
        )
    pool = subsample
    if pool is None:
        pool = (1,) * len(sizes)
    elif isinstance(pool, int):  # height and width, or the one axis
        pool = (1,) * (len(sizes) == 3) + (pool,) * min(len(sizes), 2)
    if len(pool) != len(sizes):
        raise ValueError(
            f"Expected `subsample` to have a size for each of the {len(sizes)} "
            f"axes of the input. Received: subsample={pool}, "
            f"shape={input_shape}"
        )
    if any(s is not None and s < p for s, p in zip(sizes, pool, strict=True)):
        raise ValueError(
            "Expected an input of at least the size of `subsample`. "
            f"Received: subsample={pool}, shape={input_shape}"
        )
    fixed = {"space": pool[:1], "time": pool[1:]}.get(layout.axes, ())
    if any(by != 1 for by in fixed):
        raise ValueError(
            "Expected `subsample` to pool only the axes along which positions "
            f"look. Received: subsample={pool}, axes={layout.axes!r}"
        )
    frames = layout.frames
    if frames and sizes[0] is not None and sizes[0] % frames:
        raise ValueError(
            "Expected `temporal_group_size` to divide the frames. "
            f"Received: temporal_group_size={frames}, shape={input_shape}"
        )
    if frames and frames % pool[0]:
        raise ValueError(
            "Expected the pool of the time axis to divide "
            "`temporal_group_size`. Received: "
            f"subsample={pool}, temporal_group_size={frames}"
        )
    return pool
