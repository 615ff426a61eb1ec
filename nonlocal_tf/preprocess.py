"""From the pixels people have to the numbers networks take.

The same functions run in the input pipeline and inside exported models.
"""

from keras import ops

from nonlocal_tf.typing import Tensor

# The authors' code: one mean and one deviation for all three channels.
PIXEL_MEAN = 114.75
PIXEL_STD = 57.375


def normalize(pixels: Tensor) -> Tensor:
    """Pixels 0..255 of any integer or float dtype to (x - 114.75) / 57.375.

    Args:
        pixels: RGB values, any shape.

    Returns:
        float32 of the same shape.
    """
    return (ops.cast(pixels, "float32") - PIXEL_MEAN) / PIXEL_STD
