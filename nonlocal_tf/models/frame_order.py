"""Detect whether a network depends on the order of frames."""

import keras
from keras import layers

from nonlocal_tf.layers.convolution import Conv3D

CONVOLUTIONS = (layers.Conv3D, Conv3D)


def depends_on_frame_order(model: keras.Model) -> bool:
    """Return True if logits may change when frames are reordered.

    They do not for C2D, whose convolutions are of single frames and whose
    pooling is a mean or a maximum. Non-local blocks do not change that: an
    affinity is a function of two features, not of their positions.

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
        isinstance(layer, CONVOLUTIONS) and layer.kernel_size[0] > 1
        for layer in model._flatten_layers()
    )
