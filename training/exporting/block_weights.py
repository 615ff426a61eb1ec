"""Attention maps of non-local blocks in a served TensorFlow graph.

Equals `nonlocal_tf.attention_map`, for clips of any size and for blocks named
in the request.
"""

import keras
import tensorflow as tf

from nonlocal_tf.attention import block_attention, receptive_field
from nonlocal_tf.layers import NonLocalBlock

Blocks = dict[str, tuple[keras.Model, NonLocalBlock]]


def of_blocks(network: keras.Model) -> Blocks:
    """The blocks by name, each with the network up to it."""
    return {
        name: (keras.Model(network.input, layer.input), layer)
        for name, layer in block_attention.nonlocal_blocks(network).items()
    }


def look(blocks: Blocks, clips, block, query):
    """Weights of all cells for the cell at a pixel of each clip.

    Args:
        blocks: from `of_blocks`.
        clips: normalised, `(batch, time, height, width, 3)`.
        block: string `(batch,)`, the same name for all; "" is the last block.
        query: int32 `(batch, 3)`, (frame, y, x) in pixels; of the cells whose
            middles are nearest to them.

    Returns:
        By name: "weights", float32 `(batch, t, h, w)` over the cells of the
        block; "cell", int32 `(batch, 3)`, the query cells; and, float32
        `(batch, 3)`, "stride", pixels from one cell to the next, and "first",
        the center of cell 0, both as in `AttentionMap`.
    """
    names = tf.constant(list(blocks))
    wanted = tf.where(block == "", names[-1], block)
    found = tf.equal(wanted[:1, None], names)[0]
    checks = [
        tf.debugging.Assert(
            tf.reduce_any(found),
            [
                f"Expected a block of {', '.join(blocks)}, or none, which is "
                "the last. Received:",
                block,
            ],
        ),
        tf.debugging.assert_equal(
            wanted, wanted[:1], "Expected the same block for all clips."
        ),
    ]
    with tf.control_dependencies(checks):
        index = tf.argmax(found, output_type=tf.int32)
    return tf.switch_case(
        index,
        [
            lambda of=of, layer=layer: _look(of, layer, clips, query)
            for of, layer in blocks.values()
        ],
    )


def _look(features_of, layer, clips, query):
    features = features_of(clips, training=False)
    sizes, grid = tf.shape(clips)[1:4], tf.shape(features)[1:4]
    strides, first = _cells(features_of, sizes)
    place = tf.cast(query, tf.float32) + 0.5 - first
    cell = tf.cast(tf.floor(place / strides + 0.5), tf.int32)
    cell = tf.clip_by_value(cell, 0, grid - 1)
    flat = (cell[:, 0] * grid[1] + cell[:, 1]) * grid[2] + cell[:, 2]
    # (batch, queries, keys): each clip has its own query.
    of_keys = tf.linalg.diag_part(
        tf.transpose(layer.affinity(features, flat), (2, 0, 1))
    )
    weights = tf.map_fn(
        lambda row: _on_grid(row[0], layer, row[1], grid),
        (tf.transpose(of_keys), cell),
        fn_output_signature=tf.TensorSpec((None, None, None), tf.float32),
    )
    return {
        "weights": weights,
        "cell": cell,
        "stride": tf.tile(strides[None], (tf.shape(cell)[0], 1)),
        "first": tf.tile(first[None], (tf.shape(cell)[0], 1)),
    }


def _cells(features_of, sizes):
    """Where the cells of clips of a size are: strides and the first's place."""
    (features,), (pixels,) = features_of.outputs, features_of.inputs
    strides, firsts = receptive_field.strides_and_first_centers(
        features, pixels, 3
    )
    first = tf.gather(
        tf.constant(firsts, tf.float32), sizes % strides, batch_dims=1
    )
    return tf.constant(strides, tf.float32), first


def _on_grid(of_keys, layer: NonLocalBlock, cell, grid):
    """Weights of keys as weights of cells, `(t, h, w)`, with 0 elsewhere."""
    first, keys = layer.key_grid(tf.unstack(cell, 3), tf.unstack(grid, 3))
    seen = tf.reshape(tf.cast(of_keys, tf.float32), tf.stack(keys))
    for axis, size in enumerate(layer.pool_size):
        seen = tf.repeat(seen / size, size, axis)
    before = tf.stack(first)
    after = grid - before - tf.shape(seen)
    return tf.pad(seen, tf.stack([before, after], axis=1))
