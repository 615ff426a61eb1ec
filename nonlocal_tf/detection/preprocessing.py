"""Resizing, normalization and padding of images for a detector."""

import dataclasses

import numpy as np
from keras import ops

from nonlocal_tf.typing import Tensor

SIZE_DIVISOR = 32  # of the sides of padded images


@dataclasses.dataclass(frozen=True)
class PixelNormalization:
    """Normalization of pixels: (value - mean) / std.

    Attributes:
        mean: mean of each channel, of values from 0 to 255.
        std: standard deviation of each channel.
        bgr: reorder RGB channels to BGR first.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    bgr: bool = False


# Of torchvision: ImageNet's statistics.
RGB = PixelNormalization((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
# Of Detectron and detectron2.
BGR = PixelNormalization(
    (102.9801, 115.9465, 122.7717), (1.0, 1.0, 1.0), bgr=True
)


@dataclasses.dataclass(frozen=True)
class ImagePreprocessing:
    """Sizes and normalization of the images of a detector.

    Attributes:
        short_side_px: limit of an image's short side after resizing.
        long_side_px: limit of its long side after resizing.
        normalization: `RGB` for torchvision's weights, `BGR` for Detectron's
            and detectron2's.
    """

    short_side_px: int = 800
    long_side_px: int = 1333
    normalization: PixelNormalization = RGB


def resized_size(
    size: tuple[int, int], short_side_px: int, long_side_px: int
) -> tuple[int, int]:
    """Return the height and width, at least 1, of a resized image.

    The aspect ratio stays, and neither side exceeds its limit.

    Args:
        size: height and width of the image.
        short_side_px: limit of its short side.
        long_side_px: limit of its long side.
    """
    short, long = min(size), max(size)
    # In float32 as in torchvision: its rounding decides at whole numbers.
    scale = np.float32(
        min(np.float32(short_side_px) / short, np.float32(long_side_px) / long)
    )
    height, width = (
        max(1, int(np.floor(np.float32(side) * scale))) for side in size
    )
    return height, width


def preprocess(
    image: Tensor,
    short_side_px: int,
    long_side_px: int,
    normalization: PixelNormalization = RGB,
) -> tuple[Tensor, tuple[int, int]]:
    """Normalize, resize and zero-pad an image to a batch of one.

    Args:
        image: uint8 RGB `(height, width, 3)`.
        short_side_px: limit of its short side after resizing.
        long_side_px: limit of its long side after resizing.
        normalization: that of the network's training.

    Returns:
        float32 `(1, h, w, 3)` with sides that are multiples of 32, and
        (height, width) of the image before padding.
    """
    size = resized_size(image.shape[:2], short_side_px, long_side_px)
    x = normalize_and_resize(image, size, normalization)
    below, right = ((-side) % SIZE_DIVISOR for side in size)
    x = ops.pad(x, ((0, below), (0, right), (0, 0)))
    return ops.expand_dims(x, 0), size


def normalize_and_resize(
    image: Tensor, size: tuple[int, int], normalization: PixelNormalization
) -> Tensor:
    """Normalize an image and resize it, bilinearly without antialiasing.

    Args:
        image: uint8 RGB `(height, width, 3)`.
        size: height and width to resize it to.
        normalization: that of the network's training.

    Returns:
        float32 `(*size, 3)`.
    """
    x = normalize(image, normalization)
    return ops.image.resize(x, size, interpolation="bilinear", antialias=False)


def normalize(image: Tensor, normalization: PixelNormalization) -> Tensor:
    """Normalize the pixels of an image, in float32.

    Args:
        image: uint8 RGB `(height, width, 3)`.
        normalization: that of the network's training.
    """
    x = ops.cast(image, "float32")
    if normalization.bgr:
        x = ops.flip(x, axis=-1)
    return (x - ops.convert_to_tensor(normalization.mean, "float32")) / (
        ops.convert_to_tensor(normalization.std, "float32")
    )
