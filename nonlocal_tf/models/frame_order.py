"""Detect whether a network depends on the order of frames."""

import keras
from keras import layers

from nonlocal_tf.layers.convolution import Conv3D
from nonlocal_tf.layers.nonlocal_block import NonLocalBlock

CONVOLUTIONS = (layers.Conv3D, Conv3D)


def depends_on_frame_order(model: keras.Model) -> bool:
    """Return True if logits may change when frames are reordered.

    They do not for C2D, whose convolutions are of single frames and whose
    pooling is a mean or a maximum. Non-local blocks change that only with
    `position` or `causal`: else an affinity is a function of two features.

    Args:
        model: network of this library on clips or images.

    Example:

    >>> import nonlocal_tf as nl
    >>> from nonlocal_tf.models.frame_order import depends_on_frame_order
    >>> depends_on_frame_order(nl.create_model("c2d_nl1_small"))
    False
    >>> depends_on_frame_order(nl.create_model("i3d_small"))
    True
    """
    return any(
        _has_temporal_kernel(layer) or _knows_time(layer)
        for layer in model._flatten_layers()
    )


def _has_temporal_kernel(layer: keras.Layer) -> bool:
    return isinstance(layer, CONVOLUTIONS) and layer.kernel_size[0] > 1


def _knows_time(layer: keras.Layer) -> bool:
    is_block_on_clips = (
        isinstance(layer, NonLocalBlock) and len(layer.pool_size) == 3
    )
    return is_block_on_clips and bool(layer.position or layer.causal)
