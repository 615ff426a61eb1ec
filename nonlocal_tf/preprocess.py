"""Normalization of pixels for the networks of this library."""

from keras import ops

from nonlocal_tf.typing import Tensor

# One mean and one deviation for all three channels.
PIXEL_MEAN = 114.75
PIXEL_STD = 57.375


def normalize(pixels: Tensor) -> Tensor:
    """Normalize RGB pixels to (x - 114.75) / 57.375, as in the authors' code.

    The networks of `nonlocal_tf.create_model`, and all weights that
    `nonlocal_tf.load_weights` reads for them, expect clips and images that are
    normalized like this. 114.75 is 0.45 * 255 and 57.375 is 0.225 * 255: one
    mean and one deviation for all channels, in place of ImageNet's for each.
    Use it once: exported models normalize inside and take raw pixels.

    Args:
        pixels: RGB values from 0 to 255 (not 0 to 1) of any integer or float
            dtype and any shape, such as `(batch, time, height, width, 3)`.

    Returns:
        float32 of the same shape, from -2 (black) to 2.44 (white).

    Example:

    >>> import numpy as np, nonlocal_tf as nl
    >>> clip = np.full((8, 224, 224, 3), 255, "uint8")
    >>> round(float(nl.preprocess.normalize(clip)[0, 0, 0, 0]), 2)
    2.44
    """
    return (ops.cast(pixels, "float32") - PIXEL_MEAN) / PIXEL_STD
