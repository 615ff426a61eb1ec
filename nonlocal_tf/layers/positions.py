"""Which positions a non-local operation relates: layouts and pooling.

A layout lays a feature map out as `(groups, positions, channels)`, so that the
operation, which relates all positions of a row to each other, relates those it
should. Everything here moves numbers and computes none, but for the pooling.
"""

import dataclasses
import math

from keras import ops

AXES = ("spacetime", "space", "time")


@dataclasses.dataclass(frozen=True)
class Layout:
    """Who looks at whom.

    Attributes:
        axes: `"spacetime"`, `"space"` (positions of the same frame) or
            `"time"` (the same place in other frames).
        frames: with spacetime, consecutive frames a group; None for all.
    """

    axes: str = "spacetime"
    frames: int | None = None

    @property
    def is_one_row(self) -> bool:
        """Whether all positions of an example are related."""
        return self.axes == "spacetime" and self.frames is None

    @property
    def group_frames(self) -> int | None:
        """Frames a group that is consecutive in memory; None for all."""
        return 1 if self.axes == "space" else self.frames

    def rows(self, x, pooled_frames: int = 1):
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

    def positions(self, rows, like):
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

    def row_of(self, queries, like):
        """The row, of those of one example, in which each position is.

        Args:
            queries: flat indices in the order time, height, width.
            like: the feature map, `(batch, time, height, width, c)`.
        """
        _, _, height, width, _ = ops.shape(like)
        if self.axes == "time":
            return queries % (height * width)
        return queries // (self.group_frames * height * width)


def _flat_space(x):
    batch, time, height, width, channels = ops.shape(x)
    return ops.reshape(x, (batch, time, height * width, channels))


def max_pool(x, pool):
    """Maxima over boxes of `pool`, which do not overlap.

    Args:
        x: `(batch, n, c)`, `(batch, h, w, c)` or `(batch, t, h, w, c)`.
        pool: a size an axis. What does not fill a box at the end is left out,
            as in the authors' code: 7 pooled by 2 gives 3.

    Returns:
        The pooled feature map, of the rank of `x`.
    """
    if math.prod(pool) == 1:
        return x
    if len(pool) < 3:
        return ops.max_pool(x, pool, pool, padding="valid")
    # Two-dimensional pools are several times faster than three-dimensional.
    batch, time, height, width, channels = ops.shape(x)
    kt, kh, kw = pool
    if kh * kw > 1:
        x = ops.reshape(x, (batch * time, height, width, channels))
        x = ops.max_pool(x, (kh, kw), (kh, kw), padding="valid")
        height, width = height // kh, width // kw
        x = ops.reshape(x, (batch, time, height, width, channels))
    if kt > 1:
        x = ops.max_pool(_flat_space(x), (kt, 1), (kt, 1), padding="valid")
        x = ops.reshape(x, (batch, time // kt, height, width, channels))
    return x
