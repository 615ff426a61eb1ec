"""From a picture to what the network sees, and boxes back."""

import dataclasses

import numpy as np
from keras import ops

from nonlocal_tf.typing import Tensor

MULTIPLE_PX = 32


@dataclasses.dataclass(frozen=True)
class Pixels:
    """How a network wants its pixels: (value - mean) / deviation.

    Attributes:
        mean: of each channel, of values from 0 to 255.
        deviation: of each channel.
        bgr: whether blue comes first.
    """

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    bgr: bool = False


# Of torchvision: ImageNet's statistics.
RGB = Pixels((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
# Of Detectron and detectron2.
BGR = Pixels((102.9801, 115.9465, 122.7717), (1.0, 1.0, 1.0), bgr=True)


def resized_size(
    size: tuple[int, int], short_side_px: int, long_side_px: int
) -> tuple[int, int]:
    """Height and width after scaling, at least 1.

    Both of the sides are reached at most.
    """
    least, most = min(size), max(size)
    # In float32, as the reference: its rounding decides at whole numbers.
    scale = np.float32(
        min(np.float32(short_side_px) / least, np.float32(long_side_px) / most)
    )
    height, width = (
        max(1, int(np.floor(np.float32(side) * scale))) for side in size
    )
    return height, width


def prepare(
    image: Tensor, short_side_px: int, long_side_px: int, pixels: Pixels = RGB
) -> tuple[Tensor, tuple[int, int]]:
    """A batch of one image, normalised, scaled, and padded with zeros.

    Args:
        image: uint8 RGB `(height, width, 3)`.
        short_side_px: after scaling, at the most.
        long_side_px: after scaling, at the most.
        pixels: what the network wants.

    Returns:
        float32 `(1, h, w, 3)` with sides that are multiples of 32, and
        (height, width) of the picture in it.
    """
    size = resized_size(image.shape[:2], short_side_px, long_side_px)
    x = resize_and_normalize(image, size, pixels)
    below, right = ((-side) % MULTIPLE_PX for side in size)
    x = ops.pad(x, ((0, below), (0, right), (0, 0)))
    return ops.expand_dims(x, 0), size


def resize_and_normalize(
    image: Tensor, size: tuple[int, int], pixels: Pixels
) -> Tensor:
    """An image at a size, with pixels as a network wants them.

    Args:
        image: uint8 RGB `(height, width, 3)`.
        size: height and width to resize it to.
        pixels: what the network wants.

    Returns:
        float32 `(*size, 3)`.
    """
    x = normalised(image, pixels)
    return ops.image.resize(x, size, interpolation="bilinear", antialias=False)


def normalised(image: Tensor, pixels: Pixels) -> Tensor:
    """Pixels as a network wants them, float32.

    Args:
        image: uint8 RGB `(height, width, 3)`.
        pixels: what the network wants.
    """
    x = ops.cast(image, "float32")
    if pixels.bgr:
        x = ops.flip(x, axis=-1)
    return (x - ops.convert_to_tensor(pixels.mean, "float32")) / (
        ops.convert_to_tensor(pixels.deviation, "float32")
    )


def boxes_back(
    boxes: Tensor, size: tuple[int, int], original: tuple[int, int]
) -> Tensor:
    """Boxes of the scaled picture in the pixels of the original.

    Args:
        boxes: `(..., 4)`.
        size: height and width that the network saw.
        original: height and width of the picture.
    """
    y, x = (o / s for o, s in zip(original, size, strict=True))
    return boxes * np.asarray([x, y, x, y], np.float32)
