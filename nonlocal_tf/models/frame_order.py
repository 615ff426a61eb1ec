"""Tell whether a network sees the order of the frames of a clip."""

import keras
from keras import layers

from nonlocal_tf.layers.convolution import Conv3D

CONVOLUTIONS = (layers.Conv3D, Conv3D)


def sees_frame_order(model: keras.Model) -> bool:
    """Tell whether a clip and its frames in another order can differ.

    C2D networks give both the same logits, as their convolutions see one frame
    at a time and pooling is a mean or a maximum. Non-local blocks do not change
    that: an affinity is a function of two features, wherever they are.

    Args:
        model: a network of this library on clips or images.

    Example:

    >>> import nonlocal_tf as nl
    >>> from nonlocal_tf.models.frame_order import sees_frame_order
    >>> sees_frame_order(nl.create_model("c2d_nl1_small"))
    False
    >>> sees_frame_order(nl.create_model("i3d_small"))
    True
    """
    return any(
        isinstance(layer, CONVOLUTIONS) and layer.kernel_size[0] > 1
        for layer in model._flatten_layers()
    )
