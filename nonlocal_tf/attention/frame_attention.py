"""Attention of blocks in `keras.layers.TimeDistributed`."""

import math
from collections.abc import Sequence

import numpy as np
from keras import ops

from nonlocal_tf.layers.nonlocal_block import NonLocalBlock
from nonlocal_tf.models.flattening import LayerCall
from nonlocal_tf.typing import Tensor


class FrameAttention:
    """Attention of a block in `TimeDistributed` on the frames of clips.

    A position attends to those of its own frame.

    Args:
        block: the block, which takes single frames.

    Attributes:
        pool_size: sizes along the axes of a clip.
    """

    def __init__(self, block: "NonLocalBlock | FrameAttention"):
        self.block = block
        self.pool_size: tuple[int, ...] = (1, *block.pool_size)

    def affinity(self, x: Tensor, queries: Sequence[int]) -> Tensor:
        """Compute attention weights of queries; see `NonLocalBlock.affinity`.

        Args:
            x: input, `(batch, time, height, width, channels)`.
            queries: flat indices in t, h, w order, `(k,)`.
        """
        positions = math.prod(x.shape[2:-1])
        frames, cells = np.divmod(np.asarray(queries), positions)
        by_frame = np.argsort(frames, kind="stable")
        rows = ops.concatenate(
            [
                self.block.affinity(
                    x[:, int(frame)], cells[frames == frame].tolist()
                )
                for frame in np.unique(frames)
            ],
            axis=-2,
        )
        return ops.take(rows, np.argsort(by_frame), axis=-2)

    def key_grid(
        self, position: Sequence[int | Tensor], sizes: Sequence
    ) -> tuple[list, list]:
        """Locate the grid of keys; see `NonLocalBlock.key_grid`."""
        first, counts = self.block.key_grid(position[1:], sizes[1:])
        return [position[0], *first], [1, *counts]


def layer_of(call: LayerCall) -> NonLocalBlock | FrameAttention:
    """Return the block of a call, as it attends on the call's input."""
    layer = call.layer
    for _ in range(call.frame_axes):
        layer = FrameAttention(layer)
    return layer


def has_keys_of_each_query(layer: NonLocalBlock | FrameAttention) -> bool:
    """Return True if `affinity` gathers the keys of each query."""
    while isinstance(layer, FrameAttention):
        layer = layer.block
    return layer.causal or not layer.layout.is_global
