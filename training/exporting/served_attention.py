"""Attention maps of non-local blocks in a served TensorFlow graph.

Equals `nonlocal_tf.attention_map`, for clips of any size and for blocks named
in the request.
"""

import keras
import tensorflow as tf

from nonlocal_tf.attention import block_attention, receptive_field
from nonlocal_tf.layers import NonLocalBlock
from nonlocal_tf.models import flattening

Blocks = dict[str, tuple[keras.Model, NonLocalBlock]]


def blocks_of(network: keras.Model) -> Blocks:
    """Return the blocks by name, each with the network up to its input."""
    graph = flattening.flatten(network)
    return {
        name: (keras.Model(graph.input, call.input), call.layer)
        for name, call in block_attention.block_calls(graph).items()
    }


def attention(blocks: Blocks, clips, block, query):
    """Compute the attention weights of a query pixel of each clip.

    Args:
        blocks: from `blocks_of`.
        clips: normalized, `(batch, time, height, width, 3)`.
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
            lambda features_of=features_of, layer=layer: _attention(
                features_of, layer, clips, query
            )
            for features_of, layer in blocks.values()
        ],
    )


def _attention(features_of, layer, clips, query):
    features = features_of(clips, training=False)
    sizes, grid = tf.shape(clips)[1:4], tf.shape(features)[1:4]
    strides, first = _cells(features_of, sizes)
    place = tf.cast(query, tf.float32) + 0.5 - first
    cell = tf.cast(tf.floor(place / strides + 0.5), tf.int32)
    cell = tf.clip_by_value(cell, 0, grid - 1)
    flat = (cell[:, 0] * grid[1] + cell[:, 1]) * grid[2] + cell[:, 2]
    # (batch, queries, keys): each clip has its own query.
    key_weights = tf.linalg.diag_part(
        tf.transpose(layer.affinity(features, flat), (2, 0, 1))
    )
    weights = tf.map_fn(
        lambda row: _on_grid(row[0], layer, row[1], grid),
        (tf.transpose(key_weights), cell),
        fn_output_signature=tf.TensorSpec((None, None, None), tf.float32),
    )
    return {
        "weights": weights,
        "cell": cell,
        "stride": tf.tile(strides[None], (tf.shape(cell)[0], 1)),
        "first": tf.tile(first[None], (tf.shape(cell)[0], 1)),
    }


def _cells(features_of, sizes):
    """Return strides and first centre of the cells for clips of a size."""
    (features,), (pixels,) = features_of.outputs, features_of.inputs
    strides, firsts = receptive_field.strides_and_first_centers(
        features, pixels, 3
    )
    first = tf.gather(
        tf.constant(firsts, tf.float32), sizes % strides, batch_dims=1
    )
    return tf.constant(strides, tf.float32), first


def _on_grid(key_weights, layer: NonLocalBlock, cell, grid):
    """Scatter weights of keys to cells, `(t, h, w)`, with 0 elsewhere."""
    first, keys = layer.key_grid(tf.unstack(cell, 3), tf.unstack(grid, 3))
    weights = tf.reshape(tf.cast(key_weights, tf.float32), tf.stack(keys))
    for axis, size in enumerate(layer.pool_size):
        weights = tf.repeat(weights / size, size, axis)
    before = tf.stack(first)
    after = grid - before - tf.shape(weights)
    return tf.pad(weights, tf.stack([before, after], axis=1))
