"""Attention maps of the non-local blocks of a model on a clip.

A block relates the cells of a feature map. `nonlocal_tf.attention.plots` draws
an `AttentionMap` on the frames of the clip.
"""

import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from nonlocal_tf.attention import receptive_field
from nonlocal_tf.attention.attention_map import AttentionMap, Cell
from nonlocal_tf.choices import unknown
from nonlocal_tf.layers.nonlocal_block import NonLocalBlock
from nonlocal_tf.typing import Tensor

# Elements of the attention matrix that are computed at a time.
CHUNK_ELEMENTS = 1 << 24


def nonlocal_blocks(model: keras.Model) -> dict[str, NonLocalBlock]:
    """Return the model's non-local blocks by layer name, input to output."""
    return {
        layer.name: layer
        for layer in model.layers
        if isinstance(layer, NonLocalBlock)
    }


def attention_map(
    model: keras.Model,
    clip: Tensor,
    query: tuple[int, int, int],
    block: str | None = None,
) -> AttentionMap:
    """Compute the attention map of a non-local block for a query pixel.

    Args:
        model: a functional model on clips.
        clip: one clip as the model takes it, without the batch axis:
            `(time, height, width, channels)`, after
            `nonlocal_tf.preprocess.normalize` for models of this library.
        query: (frame, y, x) of a pixel of the clip. The query is the cell of
            the block's input whose center is nearest to this pixel.
        block: layer name of the non-local block. Default: the last one.

    Returns:
        An `AttentionMap`. Its weights sum to one for the Gaussian functions;
        those of the dot product may be negative.

    Raises:
        ValueError: the model has no such block, the query is outside the clip,
            a layer before the block changes sizes in an unsupported way, or
            weights are not finite.

    Example:

    >>> import numpy as np, nonlocal_tf as nl
    >>> model = nl.create_model("c2d_nl1_small")
    >>> clip = np.zeros((8, 32, 32, 3))
    >>> attention = nl.attention_map(model, clip, query=(5, 9, 20))
    >>> attention.query, attention.weights.shape
    ((5, 2, 4), (8, 8, 8))
    """
    return BlockAttention(model, clip, block).at_pixel(query)


class BlockAttention:
    """Attention maps of one block on one clip, for any number of queries.

    The network is run once, up to the block.

    Args:
        model: see `attention_map`.
        clip: see `attention_map`.
        block: see `attention_map`.

    Attributes:
        block: layer name of the block.
        axes: a `receptive_field.FeatureAxis` for time, height and width.

    Raises:
        ValueError: see `attention_map`.
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
        self._clip_size = tuple(clip.shape[:3])
        features = self._layer.input
        self.axes = receptive_field.feature_axes(
            features, model.inputs[0], self._clip_size
        )
        backbone = keras.Model(model.input, features)
        clip = ops.expand_dims(ops.convert_to_tensor(clip, "float32"), 0)
        self._features = backbone(clip, training=False)
        t, h, w = (axis.size for axis in self.axes)
        self._grid = t, h, w
        feature_size = tuple(self._features.shape[1:4])
        if feature_size != self._grid:
            raise ValueError(
                f"Expected a feature map of {self._grid} cells before "
                f"{self.block!r} for a clip of {self._clip_size}, as the "
                "model's convolutions and pools make. Received: "
                f"{feature_size}; a layer resizes its input."
            )

    def at_pixel(self, query: tuple[int, int, int]) -> AttentionMap:
        """Return the attention map of the cell nearest to a pixel.

        Args:
            query: (frame, y, x) in pixels of the clip.

        Raises:
            ValueError: the query is outside the clip.
        """
        size = self._clip_size
        if not all(0 <= q < s for q, s in zip(query, size, strict=True)):
            raise ValueError(
                "Expected `query` to be (frame, y, x) inside a clip of size "
                f"{size}. Received: query={query}"
            )
        pairs = zip(self.axes, query, strict=True)
        t, y, x = (axis.nearest_cell(q + 0.5) for axis, q in pairs)
        return self.at_cell((t, y, x))

    def at_cell(self, cell: Cell) -> AttentionMap:
        """Return the attention map of a cell."""
        flat = int(np.ravel_multi_index(cell, self._grid))
        (key_weights,) = self._rows([flat])
        t, y, x = self.axes
        return AttentionMap(
            self.block,
            cell,
            _scatter_keys(key_weights, self._layer, cell, self._grid),
            (float(t.stride), float(y.stride), float(x.stride)),
            (t.first_center, y.first_center, x.first_center),
        )

    def most_concentrated(self) -> AttentionMap:
        """Return the map with the largest share of weight on one other cell.

        Shares are of the positive weights; the weight of the query's own key
        does not count. The first query wins ties.
        """
        count = math.prod(self._grid)
        cells = np.stack(np.unravel_index(np.arange(count), self._grid), -1)
        own_keys = np.array(
            [_own_key(self._layer, cell, self._grid) for cell in cells]
        )
        best, best_share = 0, -1.0
        step = max(CHUNK_ELEMENTS // count, 1)
        for start in range(0, count, step):
            queries = np.arange(start, min(start + step, count))
            rows = np.clip(self._rows(queries), 0, None)  # (queries, keys)
            totals = rows.sum(1)
            keys = own_keys[queries]
            rows[np.flatnonzero(keys >= 0), keys[keys >= 0]] = 0
            tiny = np.finfo(rows.dtype).tiny
            shares = rows.max(1) / np.maximum(totals, tiny)
            if shares.max() > best_share:
                best = start + int(shares.argmax())
                best_share = float(shares.max())
        t, y, x = (int(i) for i in cells[best])
        return self.at_cell((t, y, x))

    def _rows(self, queries: Sequence[int] | np.ndarray) -> np.ndarray:
        """Compute attention weights of queries, `(queries, keys)`."""
        rows = self._layer.affinity(self._features, queries=list(queries))
        weights = np.array(ops.convert_to_numpy(rows)[0])
        if not np.isfinite(weights).all():
            raise ValueError(
                f"Expected finite attention weights of {self.block!r}. "
                "Received: NaN or infinity. Check the clip and the model's "
                "weights."
            )
        return weights


def _block(model: keras.Model, name: str | None) -> NonLocalBlock:
    """Return a block on clips by its name, or the last one."""
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


def _own_key(layer: NonLocalBlock, cell: Sequence[int], grid: Cell) -> int:
    """Return the key into which a cell is pooled; -1 if pooling drops it."""
    begin, keys = layer.key_grid(cell, grid)
    sides = zip(cell, begin, layer.pool_size, strict=True)
    key = [int((i - b) // p) for i, b, p in sides]
    if any(i >= count for i, count in zip(key, keys, strict=True)):
        return -1
    return int(np.ravel_multi_index(key, keys))


def _scatter_keys(
    key_weights: np.ndarray, layer: NonLocalBlock, query: Cell, grid: Cell
) -> np.ndarray:
    """Spread weights of keys over the cells, `(time, height, width)`.

    The cells of a pooled key share its weight evenly. Cells that are not keys
    of the query have weight zero.
    """
    pool = layer.pool_size
    begin, keys = layer.key_grid(query, grid)
    attended = key_weights.reshape(keys) / np.prod(pool)
    for axis, size in enumerate(pool):
        attended = attended.repeat(size, axis)
    weights = np.zeros(grid, key_weights.dtype)
    weights[
        tuple(
            slice(b, b + size)
            for b, size in zip(begin, attended.shape, strict=True)
        )
    ] = attended
    return weights
