"""Image files as RGB arrays, upright, and checks of them."""

import functools

import numpy as np
import tensorflow as tf

from ..io import atomic_files, image_bytes
from ..io.paths import Path
from ..io.user_error import UserError
from . import exif_orientation
from .annotations import AnnotatedImage

BIT_DEPTH_OFFSET = 24  # in a PNG
NEARLY_BLACK = 16  # 12 bits stored in 16, of which the high byte is decoded


def read(path: Path) -> np.ndarray:
    """Read a JPEG, PNG, BMP, WebP or GIF (its first frame).

    Grey images get three equal channels. Images are turned to the orientation
    that their EXIF states, as viewers do.

    Returns:
        uint8 RGB `(height, width, 3)`.

    Raises:
        UserError: it cannot be read.
    """
    atomic_files.check_not_endless(path)
    try:
        content = path.read_bytes()
        pixels = image_bytes.decode(content).numpy()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    except (tf.errors.OpError, ValueError) as error:
        raise UserError(
            f"{path} is damaged, or neither a JPEG, a PNG, a GIF, a WebP nor "
            "an uncompressed BMP."
        ) from error
    is_flipped, turns = exif_orientation.TRANSFORMS[_orientation(content)]
    if is_flipped:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(np.rot90(pixels, turns))


def _orientation(content: bytes) -> int:
    """Read the EXIF orientation, without a graph where there is no EXIF."""
    if not any(name in content for name in exif_orientation.EXIF_NAMES):
        return 1
    return int(_orientation_graph()(content))


@functools.cache
def _orientation_graph():
    """Trace the search for EXIF once, as eager loops are slow."""

    def on_cpu(content):
        with tf.device("CPU:0"):
            return exif_orientation.orientation(content)

    spec = tf.TensorSpec((), tf.string)
    return tf.function(on_cpu, [spec], autograph=False)


def size_fault(annotated: AnnotatedImage, size: tuple[int, int]) -> str:
    """Return the reason why an image does not fit its annotations, or "".

    Args:
        annotated: the image as it is annotated.
        size: height and width of its pixels, as `read` returns them.
    """
    expected = annotated.height, annotated.width
    if size == expected:
        return ""
    text = (
        f"{annotated.path} has {size[1]} x {size[0]} pixels, not "
        f"{annotated.width} x {annotated.height} as in its annotations"
    )
    if size != expected[::-1]:
        return text
    orientation = _orientation(annotated.path.read_bytes())
    if exif_orientation.TRANSFORMS[orientation][1] % 2:
        text += (
            f". Its EXIF orientation is {orientation}, so it is turned by 90 "
            "degrees, and its annotations are of the stored pixels: annotate "
            "it as viewers show it, or remove the orientation from the file"
        )
    return text


def remark(path: Path, pixels: np.ndarray) -> str:
    """Return a warning about an image that can be read, or "".

    Args:
        path: the file.
        pixels: its pixels, as `read` returns them.
    """
    if pixels.max(initial=0) >= NEARLY_BLACK:
        return ""
    content = path.read_bytes()
    is_png = content.startswith(image_bytes.PNG)
    if not is_png or content[BIT_DEPTH_OFFSET] != 16:
        return ""
    return (
        f"{path} is nearly black: it has 16 bits a channel, of which the "
        "highest 4 are 0. Scale values of 12 bits or fewer to 16 bits"
    )
