"""Pictures as people see them: RGB, and upright."""

import struct

import numpy as np
import tensorflow as tf

from ..io import image_bytes
from ..io.remote import Path
from ..io.user_error import UserError
from .annotations import Picture

ORIENTATION = 0x0112  # a tag of EXIF
EXIF = b"Exif\0\0"
# How files begin.
JPEG, PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
RIFF, WEBP = b"RIFF", b"WEBP"
PARTS = 20_000  # of a file that are looked through for its EXIF
BIT_DEPTH_AT = 24  # in a PNG
NEARLY_BLACK = 16  # what 12 bits reach in 16, of which the high byte is taken
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
    """The pixels of a JPEG, PNG, BMP, WebP or GIF (of which the first frame).

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
        image = image_bytes.decode(content)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    except (tf.errors.OpError, ValueError) as error:
        raise UserError(
            f"{path} is damaged, or neither a JPEG, a PNG, a GIF, a WebP nor "
            "an uncompressed BMP."
        ) from error
    mirrored, turns = UPRIGHT.get(orientation(content), (False, 0))
    pixels = image.numpy()
    if mirrored:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(np.rot90(pixels, turns))


def size_fault(picture: Picture, size: tuple[int, int]) -> str:
    """The reason why an image does not fit its annotations, or "".

    Args:
        picture: as it is annotated.
        size: height and width of its pixels, as `read` gives them.
    """
    annotated = picture.height, picture.width
    if size == annotated:
        return ""
    text = (
        f"{picture.path} has {size[1]} x {size[0]} pixels, not "
        f"{picture.width} x {picture.height} as in its annotations"
    )
    if size != annotated[::-1]:
        return text
    turned = orientation(picture.path.read_bytes())
    if UPRIGHT[turned][1] % 2:
        text += (
            f". Its EXIF orientation is {turned}, so it is read turned by 90 "
            "degrees, and its annotations are of the stored pixels: annotate "
            "it as viewers show it, or remove the orientation from the file"
        )
    return text


def remark(path: Path, pixels: np.ndarray) -> str:
    """What is odd about an image that can be read, or "".

    Args:
        path: of the image.
        pixels: as `read` gives them.
    """
    if pixels.max(initial=0) >= NEARLY_BLACK:
        return ""
    content = path.read_bytes()
    if not content.startswith(PNG) or content[BIT_DEPTH_AT] != 16:
        return ""
    return (
        f"{path} is nearly black: it has 16 bits a channel, of which the "
        "highest 4 are 0. Are its values of 12 bits or fewer? Scale them to 16"
    )


def orientation(content: bytes) -> int:
    """How the camera was held, from 1 to 8; 1 where an image does not say.

    Reference:
        Exif 2.32, section 4.6; PNG, third edition, section 11.3.4.5 (eXIf);
        WebP container specification (EXIF).
    """
    if content.startswith(JPEG):
        return _of_jpeg(content)
    if content.startswith(PNG):
        return _of_png(content)
    if content.startswith(RIFF) and content[8:12] == WEBP:
        return _of_webp(content)
    return 1


def _of_jpeg(content: bytes) -> int:
    at = 2
    for _ in range(PARTS + 1):
        if at + 4 > len(content) or content[at] != 0xFF:
            return 1
        marker = content[at + 1]
        if marker == 0xFF:  # fill
            at += 1
            continue
        (length,) = struct.unpack_from(">H", content, at + 2)
        if marker == 0xDA:  # from here on there are pixels
            return 1
        segment = content[at + 4 : at + 2 + length]
        if marker == 0xE1 and segment.startswith(EXIF):
            return _of_tiff(segment[len(EXIF) :])
        at += 2 + max(length, 2)
    return 1


def _of_png(content: bytes) -> int:
    at = len(PNG)
    for _ in range(PARTS + 1):
        if at + 8 > len(content):
            return 1
        (length,) = struct.unpack_from(">I", content, at)
        if content[at + 4 : at + 8] == b"eXIf":
            return _of_chunk(content[at + 8 : at + 8 + length])
        at += 12 + length
    return 1


def _of_webp(content: bytes) -> int:
    at = 12
    for _ in range(PARTS + 1):
        if at + 8 > len(content):
            return 1
        (length,) = struct.unpack_from("<I", content, at + 4)
        if content[at : at + 4] == b"EXIF":
            return _of_chunk(content[at + 8 : at + 8 + length])
        at += 8 + length + length % 2
    return 1


def _of_chunk(chunk: bytes) -> int:
    """Some programs put a JPEG's mark before the notes."""
    return _of_tiff(chunk.removeprefix(EXIF))


def _of_tiff(tiff: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for number in range(count):
            at = start + 2 + 12 * number
            tag, _, _, value, _ = struct.unpack_from(order + "HHIHH", tiff, at)
            if tag == ORIENTATION:
                return value if value in UPRIGHT else 1
    except struct.error:
        pass  # the notes are cut off, which says nothing of the pixels
    return 1
