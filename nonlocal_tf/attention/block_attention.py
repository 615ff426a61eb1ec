"""Attention maps of the non-local blocks of a model on a clip or image.

A block relates the cells of a feature map. `nonlocal_tf.attention.plots` draws
an `AttentionMap` on the frames of the clip.
"""

import inspect
import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from nonlocal_tf.attention import receptive_field
from nonlocal_tf.attention.attention_map import AttentionMap
from nonlocal_tf.attention.frame_attention import (
    FrameAttention,
    has_keys_of_each_query,
    layer_of,
)
from nonlocal_tf.choices import unknown
from nonlocal_tf.layers.nonlocal_block import NonLocalBlock
from nonlocal_tf.models import flattening
from nonlocal_tf.models.flattening import FlatGraph, LayerCall
from nonlocal_tf.models.tracing import TraceError
from nonlocal_tf.typing import Tensor

# Elements of the attention matrix that are computed at a time.
CHUNK_ELEMENTS = 1 << 24


def nonlocal_blocks(model: keras.Model) -> dict[str, NonLocalBlock]:
    """Return the model's non-local blocks by name, input to output.

    The names are those of the layers; where nested models have layers of one
    name, paths such as "backbone/nonlocal_1". A subclassed model that is not
    built, or whose `call` does not run on symbolic tensors, has no blocks.
    """
    try:
        graph = flattening.flatten(model)
    except TraceError:
        return {}
    return {name: call.layer for name, call in block_calls(graph).items()}


def block_calls(graph: FlatGraph) -> dict[str, LayerCall]:
    """Return the calls of non-local blocks of a graph, input to output."""
    return {
        name: call
        for name, call in graph.by_name().items()
        if isinstance(call.layer, NonLocalBlock)
    }


def attention_map(
    model: keras.Model,
    clip: Tensor,
    query: tuple[int, ...],
    block: str | None = None,
    head: int | None = None,
) -> AttentionMap:
    """Compute the attention map of a non-local block for a query pixel.

    Args:
        model: any model on clips or images. Blocks in nested models count,
            those in `keras.layers.TimeDistributed` or in the `call` of
            subclassed models too.
        clip: one clip or image as the model takes it, without the batch axis:
            `(time, height, width, channels)` or `(height, width, channels)`,
            after `nonlocal_tf.preprocess.normalize` for models of this
            library.
        query: (frame, y, x) of a pixel of the clip, (y, x) of an image. The
            query is the cell of the block's input whose center is nearest to
            this pixel.
        block: name of the non-local block, as `nonlocal_blocks` has it.
            Default: the last one.
        head: number of the block's head. Default: the mean of all heads.

    Returns:
        An `AttentionMap`; that of an image is of a clip of one frame. Its
        weights sum to one for the Gaussian functions; those of the dot product
        may be negative.

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
    return BlockAttention(model, clip, block, head).at_pixel(query)


class BlockAttention:
    """Attention maps of one block on one clip or image, for any queries.

    The network is run once, up to the block.

    Args:
        model: see `attention_map`.
        clip: see `attention_map`.
        block: see `attention_map`.
        head: see `attention_map`.

    Attributes:
        block: name of the block.
        axes: a `receptive_field.FeatureAxis` for time, height and width; for
            images, height and width.

    Raises:
        ValueError: see `attention_map`.
    """

    def __init__(
        self,
        model: keras.Model,
        clip: Tensor,
        block: str | None = None,
        head: int | None = None,
    ):
        is_graph = flattening.is_graph(model)
        graph = flattening.flatten(
            model, None if is_graph else keras.Input(clip.shape)
        )
        self.block, call = _block(model.name, graph, block)
        self._layer = layer_of(call)
        self._head = head
        heads = call.layer.heads
        if head is not None and head not in range(heads):
            raise ValueError(
                f"Expected `head` from 0 to {heads - 1}, a head of "
                f"{self.block!r}. Received: head={head!r}"
            )
        pixels, features = graph.input, keras.tree.flatten(call.input)[0]
        if len(clip.shape) != len(pixels.shape) - 1:
            raise ValueError(
                f"Expected one clip or image of shape {pixels.shape[1:]}. "
                f"Received: shape={tuple(clip.shape)}"
            )
        self._clip_size = tuple(clip.shape[:-1])
        self.axes = receptive_field.feature_axes(
            features, pixels, self._clip_size
        )
        mask = mask_of(self.block, call)
        symbolic, constant = mask, {}
        if not isinstance(mask.get("mask"), keras.KerasTensor):
            symbolic, constant = {}, mask
        backbone = keras.Model(pixels, {"features": features, **symbolic})
        clip = ops.expand_dims(ops.convert_to_tensor(clip, "float32"), 0)
        outputs = backbone(clip, training=False)
        self._features = outputs.pop("features")
        self._mask = {**outputs, **constant}
        self._grid = tuple(axis.size for axis in self.axes)
        feature_size = tuple(self._features.shape[1:-1])
        if feature_size != self._grid:
            raise ValueError(
                f"Expected a feature map of {self._grid} cells before "
                f"{self.block!r} for a clip of {self._clip_size}, as the "
                "model's convolutions and pools make. Received: "
                f"{feature_size}; a layer resizes its input."
            )

    def at_pixel(self, query: tuple[int, ...]) -> AttentionMap:
        """Return the attention map of the cell nearest to a pixel.

        Args:
            query: (frame, y, x) in pixels of the clip; (y, x) of an image.

        Raises:
            ValueError: the query is outside the clip.
        """
        size = self._clip_size
        if len(query) != len(size) or not all(
            0 <= q < s for q, s in zip(query, size, strict=True)
        ):
            position = "(frame, y, x)" if len(size) == 3 else "(y, x)"
            kind = "a clip" if len(size) == 3 else "an image"
            raise ValueError(
                f"Expected `query` to be {position} inside {kind} of size "
                f"{size}. Received: query={query}"
            )
        pairs = zip(self.axes, query, strict=True)
        return self.at_cell(
            tuple(axis.nearest_cell(q + 0.5) for axis, q in pairs)
        )

    def at_cell(self, cell: tuple[int, ...]) -> AttentionMap:
        """Return the attention map of a cell, (t, y, x) or (y, x)."""
        flat = int(np.ravel_multi_index(cell, self._grid))
        (key_weights,) = self._rows([flat])
        weights = _scatter_keys(key_weights, self._layer, cell, self._grid)
        # An image is a clip of one frame.
        one_frame = receptive_field.FeatureAxis(1)
        t, y, x = [one_frame, *self.axes][-3:]
        return AttentionMap(
            self.block,
            ((0, *cell)[-3], cell[-2], cell[-1]),
            weights.reshape((t.size, y.size, x.size)),
            (float(t.stride), float(y.stride), float(x.stride)),
            (t.first_center, y.first_center, x.first_center),
        )

    def most_concentrated(
        self, size: Sequence[int] | None = None
    ) -> AttentionMap:
        """Return the map with the largest share of weight on one other cell.

        Shares are of the positive weights; the weight of the query's own key
        does not count. The first query wins ties.

        Args:
            size: sides of the part of the clip, from its first corner, that
                has the centers of the queries, such as (height, width) of an
                image without its padding. Default: all of the clip.
        """
        count = math.prod(self._grid)
        cells = np.stack(np.unravel_index(np.arange(count), self._grid), -1)
        candidates = np.arange(count)
        if size is not None:
            steps = zip(self.axes, cells.T, size, strict=True)
            is_inside = [axis.center(i) < side for axis, i, side in steps]
            candidates = np.flatnonzero(np.all(is_inside, axis=0))
        own_keys = np.array(
            [_own_key(self._layer, cell, self._grid) for cell in cells]
        )
        best, best_share = 0, -1.0
        elements = count  # of a query
        if has_keys_of_each_query(self._layer):
            elements = count * self._features.shape[-1]
        step = max(CHUNK_ELEMENTS // elements, 1)
        for start in range(0, len(candidates), step):
            queries = candidates[start : start + step]
            rows = np.clip(self._rows(queries), 0, None)  # (queries, keys)
            totals = rows.sum(1)
            keys = own_keys[queries]
            rows[np.flatnonzero(keys >= 0), keys[keys >= 0]] = 0
            tiny = np.finfo(rows.dtype).tiny
            shares = rows.max(1) / np.maximum(totals, tiny)
            if shares.max() > best_share:
                best = int(queries[shares.argmax()])
                best_share = float(shares.max())
        return self.at_cell(tuple(int(i) for i in cells[best]))

    def _rows(self, queries: Sequence[int] | np.ndarray) -> np.ndarray:
        """Compute attention weights of queries, `(queries, keys)`."""
        rows = self._layer.affinity(
            self._features, queries=list(queries), **self._mask
        )
        weights = np.array(ops.convert_to_numpy(rows)[0])
        if weights.ndim == 3:  # (heads, queries, keys)
            weights = (
                weights.mean(0) if self._head is None else weights[self._head]
            )
        if not np.isfinite(weights).all():
            raise ValueError(
                f"Expected finite attention weights of {self.block!r}. "
                "Received: NaN or infinity. Check the clip and the model's "
                "weights."
            )
        return weights


def _block(
    model_name: str, graph: FlatGraph, name: str | None
) -> tuple[str, LayerCall]:
    """Return name and call of a block by its name, or of the last one."""
    blocks = block_calls(graph)
    if not blocks:
        reasons = " ".join(["", *graph.opaque.values()])
        raise ValueError(
            f"Model {model_name!r} has no non-local block.{reasons}"
        )
    name = list(blocks)[-1] if name is None else name
    if name not in blocks:
        raise ValueError(unknown("non-local block", name, blocks))
    shape = tuple(keras.tree.flatten(blocks[name].input)[0].shape)
    pixels = keras.tree.flatten(graph.input)
    ranks = {len(shape), *(len(x.shape) for x in pixels)}
    if len(pixels) > 1 or ranks not in ({4}, {5}):
        raise ValueError(
            "Expected a model of one input, and a block on feature maps of its "
            "rank: (batch, time, height, width, channels) for clips, (batch, "
            f"height, width, channels) for images. Received: {name!r} on "
            f"{shape}, inputs of {[tuple(x.shape) for x in pixels]}. Give the "
            "model inside that has such an input and the block; "
            "`block.affinity` returns the weights for any input."
        )
    return name, blocks[name]


def mask_of(name: str, call: LayerCall) -> dict[str, Tensor]:
    """Return the mask of a block's call, by the argument's name.

    Keras passes the mask of `keras.layers.Masking` as an argument too.

    Args:
        name: name of the block in error messages.
        call: call of the block.

    Returns:
        `{"mask": mask}`, symbolic or a constant; empty without a mask.

    Raises:
        ValueError: the block attends to a context, or has a mask in
            `keras.layers.TimeDistributed`.
    """
    arguments = call._inbound_nodes[0].arguments
    bound = inspect.signature(call.layer.call).bind(
        *arguments.args, **arguments.kwargs
    )
    if bound.arguments.get("context") is not None:
        raise ValueError(
            f"Attention of {name!r} is on its context, not on the cells of "
            "the clip. Use the block's `affinity`."
        )
    mask = bound.arguments.get("mask")
    if mask is None:
        return {}
    if not isinstance(layer_of(call), NonLocalBlock):
        raise ValueError(
            f"Expected {name!r} without a mask in "
            "`keras.layers.TimeDistributed`. Received: a mask"
        )
    return {"mask": mask}


def _own_key(
    layer: NonLocalBlock | FrameAttention,
    cell: Sequence[int],
    grid: Sequence[int],
) -> int:
    """Return the key into which a cell is pooled; -1 if pooling drops it."""
    begin, keys = layer.key_grid(cell, grid)
    sides = zip(cell, begin, layer.pool_size, strict=True)
    key = [int((i - b) // p) for i, b, p in sides]
    if any(i >= count for i, count in zip(key, keys, strict=True)):
        return -1
    return int(np.ravel_multi_index(key, keys))


def _scatter_keys(
    key_weights: np.ndarray,
    layer: NonLocalBlock | FrameAttention,
    query: Sequence[int],
    grid: Sequence[int],
) -> np.ndarray:
    """Spread weights of keys over the cells of the grid.

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
