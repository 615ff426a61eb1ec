"""Normalization of pixels, in the input pipeline and in exported models."""

from keras import ops

from nonlocal_tf.typing import Tensor

# One mean and one deviation for all three channels.
PIXEL_MEAN = 114.75
PIXEL_STD = 57.375


def normalize(pixels: Tensor) -> Tensor:
    """Normalize pixels to (x - 114.75) / 57.375, as in the authors' code.

    Args:
        pixels: values 0 to 255 of any integer or float dtype, any shape.

    Returns:
        float32 of the same shape.
    """
    return (ops.cast(pixels, "float32") - PIXEL_MEAN) / PIXEL_STD
