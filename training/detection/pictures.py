"""Pictures as people see them: RGB, and upright."""

import struct

import numpy as np
import tensorflow as tf

from training.errors import UserError
from training.remote import Path

ORIENTATION = 0x0112  # a tag of EXIF
# Quarter turns against the clock after mirroring left and right, if at all.
UPRIGHT = {
    1: (False, 0),
    2: (True, 0),
    3: (False, 2),
    4: (True, 2),
    5: (True, 1),
    6: (False, 3),
    7: (True, 3),
    8: (False, 1),
}


def read(path: Path) -> np.ndarray:
    """The pixels of a JPEG, PNG, BMP or GIF (of which the first frame).

    Grey pictures get three equal channels. A picture is turned as its EXIF
    says, as every viewer does.

    Args:
        path: of the file.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        UserError: it cannot be read.
    """
    try:
        content = path.read_bytes()
        image = tf.io.decode_image(content, channels=3, expand_animations=False)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    except (tf.errors.OpError, ValueError) as error:
        raise UserError(
            f"{path} is damaged, or neither a JPEG, a PNG, a BMP nor a GIF."
        ) from error
    mirrored, turns = UPRIGHT.get(orientation(content), (False, 0))
    pixels = image.numpy()
    if mirrored:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(np.rot90(pixels, turns))


def orientation(content: bytes) -> int:
    """How the camera was held, from 1 to 8; 1 where a JPEG does not say.

    Reference:
        Exif 2.32, section 4.6.
    """
    if not content.startswith(b"\xff\xd8"):
        return 1
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # fill
            at += 1
            continue
        (length,) = struct.unpack_from(">H", content, at + 2)
        if marker == 0xDA:  # from here on there are pixels
            return 1
        segment = content[at + 4 : at + 2 + length]
        if marker == 0xE1 and segment.startswith(b"Exif\0\0"):
            return _of_tiff(segment[6:])
        at += 2 + max(length, 2)
    return 1


def _of_tiff(tiff: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for number in range(count):
            at = start + 2 + 12 * number
            tag, _, _, value = struct.unpack_from(order + "HHIH", tiff, at)
            if tag == ORIENTATION:
                return value if value in UPRIGHT else 1
    except struct.error:
        pass  # the notes are cut off, which says nothing of the pixels
    return 1
