"""Where a position looks: the affinities of a non-local block on a clip.

A block relates cells of its feature maps. A cell stands for a box of pixels
(`nonlocal_tf.attention.receptive_field`), and a `Look` carries the grid that
says which.
`nonlocal_tf.attention.plots` draws it.
"""

import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from nonlocal_tf.attention import receptive_field
from nonlocal_tf.attention.attention_map import Cell, Look
from nonlocal_tf.choices import unknown
from nonlocal_tf.layers.nonlocal_block import NonLocalBlock
from nonlocal_tf.typing import Tensor

# Rows of the matrix of weights that are made at a time, in numbers.
ROWS_NUMBERS = 1 << 24


def nonlocal_blocks(model: keras.Model) -> dict[str, NonLocalBlock]:
    """The model's non-local blocks by name, from input to output."""
    return {
        layer.name: layer
        for layer in model.layers
        if isinstance(layer, NonLocalBlock)
    }


def affinity(
    model: keras.Model,
    clip: Tensor,
    query: tuple[int, int, int],
    block: str | None = None,
) -> Look:
    """Where the cell at a pixel looks.

    Args:
        model: a functional model on clips.
        clip: one clip as the model takes it, without the batch,
            `(time, height, width, channels)`; pixels go through
            `nonlocal_tf.preprocess.normalize` first.
        query: (frame, y, x) in pixels of the clip; of the cell whose middle is
            nearest to it.
        block: name of a non-local block. Default: the last one.

    Returns:
        A `Look`. Weights of the Gaussian functions sum to one; those of the
        dot product may be negative.

    Raises:
        ValueError: the model has no such block, the query is outside the clip,
            a layer before the block moves cells in an unknown way, or weights
            are not finite.

    Example:

    >>> import numpy as np, nonlocal_tf as nl
    >>> model = nl.create_model("c2d_nl1_small")
    >>> look = nl.affinity(model, np.zeros((8, 32, 32, 3)), query=(5, 9, 20))
    >>> look.query, look.weights.shape
    ((5, 2, 4), (8, 8, 8))
    """
    return Affinities(model, clip, block).from_pixel(query)


class Affinities:
    """The affinities of one block on one clip, for as many cells as wanted.

    Args:
        model: as of `affinity`.
        clip: as of `affinity`.
        block: as of `affinity`.

    Attributes:
        block: name of the block.
        axes: the `receptive_field.Axis` of time, height and width.

    Raises:
        ValueError: as of `affinity`.
    """

    def __init__(
        self, model: keras.Model, clip: Tensor, block: str | None = None
    ):
        self._layer = _block(model, block)
        self.block = self._layer.name
        if len(clip.shape) != 4:
            raise ValueError(
                "Expected one clip, (time, height, width, channels). "
                f"Received: shape={tuple(clip.shape)}"
            )
        self._size = tuple(clip.shape[:3])
        features = self._layer.input
        self.axes = receptive_field.cells(features, model.inputs[0], self._size)
        features_of = keras.Model(model.input, features)
        clip = ops.expand_dims(ops.convert_to_tensor(clip, "float32"), 0)
        self._features = features_of(clip, training=False)
        t, h, w = (axis.size for axis in self.axes)
        self._grid = t, h, w
        if tuple(self._features.shape[1:4]) != self._grid:
            raise ValueError(
                "Expected layers that keep the size, or convolutions and "
                f"pools, before {self.block!r}, which make {self._grid} cells "
                f"of {self._size}. Received: {tuple(self._features.shape[1:4])}"
            )

    def from_pixel(self, query: tuple[int, int, int]) -> Look:
        """Where the cell looks whose middle is nearest to a pixel's.

        Args:
            query: (frame, y, x) in pixels of the clip.

        Raises:
            ValueError: the query is outside the clip.
        """
        size = self._size
        if not all(0 <= q < s for q, s in zip(query, size, strict=True)):
            raise ValueError(
                "Expected `query` to be (frame, y, x) inside a clip of size "
                f"{size}. Received: query={query}"
            )
        pairs = zip(self.axes, query, strict=True)
        t, y, x = (axis.cell_at(q + 0.5) for axis, q in pairs)
        return self.from_cell((t, y, x))

    def from_cell(self, at: Cell) -> Look:
        """Where a cell looks."""
        flat = int(np.ravel_multi_index(at, self._grid))
        weights = _on_grid(self._rows([flat])[0], self._layer, at, self._grid)
        cell_t, cell_y, cell_x = (float(axis.stride) for axis in self.axes)
        t, y, x = (axis.first for axis in self.axes)
        return Look(
            self.block, at, weights, (cell_t, cell_y, cell_x), (t, y, x)
        )

    def most_concentrated(self) -> Look:
        """Where the cell looks that gives one other cell most of its weight.

        That is the cell of which the strongest arrow to another one has the
        largest share of its (positive) weights; the first of several.
        """
        count = math.prod(self._grid)
        cells = np.stack(np.unravel_index(np.arange(count), self._grid), -1)
        own = np.array([_own_key(self._layer, c, self._grid) for c in cells])
        best, found = 0, -1.0
        step = max(ROWS_NUMBERS // count, 1)
        for first in range(0, count, step):
            queries = np.arange(first, min(first + step, count))
            rows = np.clip(self._rows(queries), 0, None)  # (queries, keys)
            total = rows.sum(1)
            keys = own[queries]
            rows[np.flatnonzero(keys >= 0), keys[keys >= 0]] = 0
            tiny = np.finfo(rows.dtype).tiny
            shares = rows.max(1) / np.maximum(total, tiny)
            if shares.max() > found:
                best = first + int(shares.argmax())
                found = float(shares.max())
        t, y, x = (int(i) for i in cells[best])
        return self.from_cell((t, y, x))

    def _rows(self, queries: Sequence[int] | np.ndarray) -> np.ndarray:
        """Weights of the keys of cells, `(queries, keys)`."""
        rows = self._layer.affinity(self._features, queries=list(queries))
        weights = np.array(ops.convert_to_numpy(rows)[0])
        if not np.isfinite(weights).all():
            raise ValueError(
                "Expected weights that are finite numbers. Received: others, "
                f"from {self.block!r}"
            )
        return weights


def _block(model: keras.Model, name: str | None) -> NonLocalBlock:
    """A block on clips by its name, or the last one."""
    blocks = nonlocal_blocks(model)
    if not blocks:
        raise ValueError(f"Model {model.name!r} has no non-local block.")
    name = list(blocks)[-1] if name is None else name
    if name not in blocks:
        raise ValueError(unknown("non-local block", name, blocks))
    layer = blocks[name]
    if len(layer.input.shape) != 5:
        raise ValueError(
            "Expected a block on clips, (batch, time, height, width, channels)"
            f". Received: {name!r} on {tuple(layer.input.shape)}"
        )
    return layer


def _own_key(layer: NonLocalBlock, at: Sequence[int], grid: Cell) -> int:
    """The key that a cell is, or is pooled into; -1 where it is left out."""
    begin, keys = layer.key_grid(at, grid)
    sides = zip(at, begin, layer.pool_size, strict=True)
    own = [int((i - b) // p) for i, b, p in sides]
    if any(i >= count for i, count in zip(own, keys, strict=True)):
        return -1
    return int(np.ravel_multi_index(own, keys))


def _on_grid(
    weights: np.ndarray, layer: NonLocalBlock, at: Cell, grid: Cell
) -> np.ndarray:
    """Weights of keys as weights of cells, `(time, height, width)`.

    The weight of a pooled key is shared evenly by the cells that it was pooled
    from; cells that the query cannot look at have none.
    """
    pool = layer.pool_size
    begin, keys = layer.key_grid(at, grid)
    seen = weights.reshape(keys) / np.prod(pool)
    for axis, size in enumerate(pool):
        seen = seen.repeat(size, axis)
    cells = np.zeros(grid, weights.dtype)
    cells[
        tuple(
            slice(b, b + size)
            for b, size in zip(begin, seen.shape, strict=True)
        )
    ] = seen
    return cells
