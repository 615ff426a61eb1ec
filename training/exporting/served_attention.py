"""Attention maps of non-local blocks in a served TensorFlow graph.

Equals `nonlocal_tf.attention_map`, for clips of any size and for blocks named
in the request.
"""

import dataclasses
import functools
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from nonlocal_tf.attention import block_attention, receptive_field
from nonlocal_tf.attention.frame_attention import FrameAttention, layer_of
from nonlocal_tf.layers import NonLocalBlock
from nonlocal_tf.models import flattening
from nonlocal_tf.models.flattening import LayerCall

SIZE_IN_STRIDES = 64  # of a clip that a network is tried on


@dataclasses.dataclass(frozen=True)
class ServedBlock:
    """A non-local block, and the position of its cells on the clip.

    Attributes:
        layer: the block, or that of each frame in `TimeDistributed`.
        features: network from clips to the input of the block, and to its
            mask if it has one.
        strides: pixels from one cell to the next, int `(3,)`; for images, as
            all that follows, `(2,)`.
        first_centers: centers of cell 0, from
            `receptive_field.strides_and_first_centers`.
    """

    layer: NonLocalBlock | FrameAttention
    features: keras.Model
    strides: np.ndarray
    first_centers: np.ndarray


def blocks_of(network: keras.Model) -> dict[str, ServedBlock]:
    """Return the blocks on feature maps of clips or images by name.

    The blocks of `left_out` are not among them.
    """
    served, _ = _split(network)
    return served


def left_out(network: keras.Model) -> dict[str, str]:
    """Return the reasons why blocks are not served, by name.

    These are blocks with a context, with a constant mask or with one in
    `TimeDistributed`, and blocks behind layers that `receptive_field` does
    not support, such as those that reshape or resize.
    """
    _, reasons = _split(network)
    return reasons


def _split(
    network: keras.Model,
) -> tuple[dict[str, ServedBlock], dict[str, str]]:
    """Return the blocks that can be served, and why the others cannot."""
    graph = flattening.flatten(network)
    served, reasons = {}, {}
    for name, call in block_attention.block_calls(graph).items():
        try:
            served[name] = _served_block(name, call, graph.input)
        except ValueError as error:
            reasons[name] = str(error)
    return served, reasons


def _served_block(name: str, call: LayerCall, pixels) -> ServedBlock:
    """Return a block with its place on clips.

    Raises:
        ValueError: it cannot be served; the message has the reason.
    """
    mask = block_attention.mask_of(name, call)
    if mask and not isinstance(mask["mask"], keras.KerasTensor):
        raise ValueError(
            f"The mask of {name!r} is a constant, of one size of batch."
        )
    inputs = call.first_input
    strides, first_centers = receptive_field.strides_and_first_centers(
        inputs, pixels, len(pixels.shape) - 2
    )
    if not _keeps_cells(keras.Model(pixels, inputs), strides):
        raise ValueError(f"A layer before {name!r} resizes its input.")
    features = keras.Model(pixels, {"x": inputs, **mask})
    return ServedBlock(layer_of(call), features, strides, first_centers)


def _keeps_cells(features: keras.Model, strides: np.ndarray) -> bool:
    """Return False if a layer resizes clips of unknown size."""
    (pixels,), (output,) = features.inputs, features.outputs
    sizes = [
        size or SIZE_IN_STRIDES * int(stride)
        for size, stride in zip(pixels.shape[1:-1], strides, strict=True)
    ]
    axes = receptive_field.feature_axes(output, pixels, sizes)
    shape = features.compute_output_shape((1, *sizes, pixels.shape[-1]))
    return shape[1:-1] == tuple(axis.size for axis in axes)


def attention(blocks: Mapping[str, ServedBlock], clips, block, query):
    """Compute the attention weights of a query pixel of each clip.

    Args:
        blocks: from `blocks_of`.
        clips: input of the network, `(batch, time, height, width, 3)`, or
            images `(batch, height, width, 3)`: then without time below.
        block: string `(batch,)`, the same name for all; "" is the last block.
        query: int32 `(batch, 3)`, (frame, y, x) in pixels; selects the cell
            with the nearest centre.

    Returns:
        By name: "weights", float32 `(batch, t, h, w)` over the cells of the
        block; "cell", int32 `(batch, 3)`, the query cells; and, float32
        `(batch, 3)`, "stride", pixels from one cell to the next, and "first",
        the center of cell 0, both as in `AttentionMap`.
    """
    names = tf.constant(list(blocks))
    chosen = tf.where(block == "", names[-1], block)
    matches = tf.equal(chosen[:1, None], names)[0]
    checks = [
        tf.debugging.Assert(
            tf.reduce_any(matches),
            [
                f"Expected a block of {', '.join(blocks)}, or '' for the last. "
                "Received:",
                block,
            ],
        ),
        tf.debugging.assert_equal(
            chosen, chosen[:1], "Expected the same block for all clips."
        ),
    ]
    with tf.control_dependencies(checks):
        index = tf.argmax(matches, output_type=tf.int32)
    return tf.switch_case(
        index,
        [
            functools.partial(_attention, served_block, clips, query)
            for served_block in blocks.values()
        ],
    )


def _attention(block: ServedBlock, clips, query):
    layer = block.layer
    inputs = block.features(clips, training=False)
    features, mask = inputs["x"], inputs.get("mask")
    sizes, grid = tf.shape(clips)[1:-1], tf.shape(features)[1:-1]
    axes = len(block.strides)
    strides = tf.constant(block.strides, tf.float32)
    first = tf.gather(
        tf.constant(block.first_centers, tf.float32),
        sizes % block.strides,
        batch_dims=1,
    )
    place = tf.cast(query, tf.float32) + 0.5 - first
    cell = tf.cast(tf.floor(place / strides + 0.5), tf.int32)
    cell = tf.clip_by_value(cell, 0, grid - 1)
    key_weights = _key_weights(layer, features, cell, grid, mask)
    weights = tf.map_fn(
        lambda row: _on_grid(row[0], layer, row[1], grid),
        (key_weights, cell),
        fn_output_signature=tf.TensorSpec((None,) * axes, tf.float32),
    )
    return {
        "weights": weights,
        "cell": cell,
        "stride": tf.tile(strides[None], (tf.shape(cell)[0], 1)),
        "first": tf.tile(first[None], (tf.shape(cell)[0], 1)),
    }


def _key_weights(
    layer: NonLocalBlock | FrameAttention, features, cell, grid, mask=None
):
    """Compute the weights of the keys of a cell of each clip, `(batch, m)`."""
    if isinstance(layer, FrameAttention):
        frames = tf.gather(features, cell[:, 0], batch_dims=1)
        return _key_weights(layer.block, frames, cell[:, 1:], grid[1:])
    flat = tf.zeros_like(cell[:, 0])
    for axis in range(len(layer.pool_size)):
        flat = flat * grid[axis] + cell[:, axis]
    rows = layer.affinity(features, flat, mask)
    if rows.shape.rank == 4:
        rows = tf.reduce_mean(rows, 1)  # of the heads
    # (batch, queries, keys): each clip has its own query.
    rows = tf.transpose(rows, (2, 0, 1))
    return tf.transpose(tf.linalg.diag_part(rows))


def _on_grid(key_weights, layer: NonLocalBlock | FrameAttention, cell, grid):
    """Scatter weights of keys to cells, `(t, h, w)`, with 0 elsewhere."""
    axes = len(layer.pool_size)
    first, keys = layer.key_grid(tf.unstack(cell, axes), tf.unstack(grid, axes))
    weights = tf.reshape(tf.cast(key_weights, tf.float32), tf.stack(keys))
    for axis, size in enumerate(layer.pool_size):
        weights = tf.repeat(weights / size, size, axis)
    before = tf.stack(first)
    after = grid - before - tf.shape(weights)
    return tf.pad(weights, tf.stack([before, after], axis=1))
