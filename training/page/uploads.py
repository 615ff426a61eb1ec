"""Receive uploads of a browser, and check them before decoding.

Length and file name of a request are untrusted. Only the suffix of the name is
used, as it stands in a table of ours: no byte of the name becomes part of a
path.
"""

import contextlib
import fcntl
import io
import math
import os
import pathlib
import re
import shutil
import tempfile
import urllib.parse
from collections.abc import Iterator, Mapping
from email.message import Message
from typing import BinaryIO

import numpy as np

from nonlocal_tf.choices import unknown

from ..data import clip_files, video_file_types

CHUNK_BYTES = 1 << 16
HEAD_BYTES = 1 << 20  # that FFmpeg probes to detect the format
NAME_BYTES = 4096
SCRATCH = "nonlocal_tf-video-"  # prefix of temporary folders
FILE_STEM = "video"
# One clip; 128 x 256 x 256, the longest of the paper, are 25 MB.
CLIP_BYTES = 32 << 20
# Signatures of video containers. Playlists, which FFmpeg would follow to other
# files (HLS, DASH, concat), are excluded.
ATOMS = b"ftyp moov mdat free skip wide pnot uuid".split()
STARTS = (
    b"\x1a\x45\xdf\xa3",  # Matroska, WebM
    b"\x00\x00\x01",  # MPEG and H.264, also without a container
    b"\x00\x00\x00\x01",
    b"OggS",
    b"FLV\x01",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # WMV
    b"\x06\x0e\x2b\x34",  # MXF
    b"DKIF",  # IVF
    b"YUV4MPEG2",
    b"GIF87a",
    b"GIF89a",
)


class RequestError(Exception):
    """Refused request: an HTTP status and one line for the user."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


def content_length(headers: Message, max_bytes: int) -> int:
    """Parse and check Content-Length, from 1 to `max_bytes`.

    Raises:
        RequestError: it is missing, invalid, or too large.
    """
    lengths = headers.get_all("Content-Length", [])
    if headers.get("Transfer-Encoding") is not None:
        raise RequestError(
            400 if lengths else 411,
            "Expected a Content-Length, not a Transfer-Encoding.",
        )
    if not lengths:
        raise RequestError(411, "Expected a Content-Length.")
    if len(lengths) > 1 or not re.fullmatch("[0-9]{1,30}", lengths[0]):
        raise RequestError(400, "Expected one whole number as Content-Length.")
    length = int(lengths[0])
    if length > max_bytes:
        raise RequestError(413, too_large(max_bytes))
    if not length:
        raise RequestError(400, "The file is empty.")
    return length


def too_large(max_bytes: int) -> str:
    """Format the error about a body that is too large."""
    if max_bytes < 1 << 20:
        return f"Expected at most {max_bytes} bytes."
    return (
        f"The file is larger than {max_bytes / 2**20:g} MB. Cut it, or start "
        "the app with a larger --max-mb."
    )


def allowed_suffix(name: str, allowed: tuple[str, ...]) -> str:
    """Return the suffix of a file name, as it stands in `allowed`.

    Args:
        name: percent-encoded, as the page sends it.
        allowed: supported suffixes.

    Raises:
        RequestError: the suffix is not supported.
    """
    text = urllib.parse.unquote(name[-NAME_BYTES:], errors="replace").lower()
    for suffix in allowed:
        if text.endswith(suffix):
            return suffix
    raise RequestError(
        415, f"Expected a file whose name ends in {', '.join(allowed)}."
    )


def suffixes(videos: bool) -> tuple[str, ...]:
    """Return the supported suffixes, with or without those of videos."""
    return (
        *(video_file_types.EXTENSIONS if videos else ()),
        *clip_files.FORMATS,
    )


def receive(source: io.BufferedIOBase, length: int, file: BinaryIO) -> None:
    """Copy a body of a known length to a file in chunks.

    Raises:
        RequestError: the body is shorter.
    """
    remaining = length
    while remaining:
        part = source.read(min(CHUNK_BYTES, remaining))
        if not part:
            raise RequestError(400, "The file ended before its Content-Length.")
        file.write(part)
        remaining -= len(part)


@contextlib.contextmanager
def temporary_file(suffix: str) -> Iterator[pathlib.Path]:
    """Create a temporary folder; yield the path of a file to write in it.

    The folder is locked, so that `clear_leftovers` spares it, and deleted
    after the block.
    """
    with (
        tempfile.TemporaryDirectory(prefix=SCRATCH) as place,
        _opened_folder(place) as folder,
    ):
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield pathlib.Path(place) / f"{FILE_STEM}{suffix}"


def clear_leftovers() -> None:
    """Delete temporary folders of killed servers of this user.

    Folders of running servers, other users and other programs stay.
    """
    for place in pathlib.Path(tempfile.gettempdir()).glob(f"{SCRATCH}*"):
        with contextlib.suppress(OSError), _opened_folder(place) as folder:
            if os.fstat(folder).st_uid != os.getuid():
                continue
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A running server locks its folder before it writes a video.
            names = os.listdir(folder)
            stem = f"{FILE_STEM}."
            if names and all(name.startswith(stem) for name in names):
                shutil.rmtree(place)


@contextlib.contextmanager
def _opened_folder(path: str | os.PathLike) -> Iterator[int]:
    """Open a descriptor of a folder, not following a symbolic link."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield folder
    finally:
        os.close(folder)


def check_content(file: BinaryIO, suffix: str) -> None:
    """Check the header of a file before it is decoded.

    Args:
        file: the upload.
        suffix: ".npy" or ".gif" for a clip; else it is a video.

    Raises:
        RequestError: the content contradicts the suffix, or is a decompression
            bomb.
    """
    head = file.read(HEAD_BYTES)
    if suffix == ".npy":
        _check_array(file)
    elif suffix == ".gif":
        file.seek(0)
        _check_gif(file)
    elif not _is_video(head):
        raise RequestError(
            415, "The file is not a video, whatever its name says."
        )


def _is_video(head: bytes) -> bool:
    text = head.lower()
    if b"<mpd" in text and b"dash:profile" in text:
        return False  # FFmpeg detects DASH playlists anywhere in the header
    return (
        head[4:8] in ATOMS
        or head.startswith(STARTS)
        or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")
        or (head[:4] == b"\x89PNG" and b"acTL" in head)  # animated PNG
        # Packets of transport streams, without and with times.
        or head[:377:188] == b"GGG"
        or head[4:389:192] == b"GGG"
    )


def _check_array(file: BinaryIO) -> None:
    """Raise unless a .npy file is as large as its header claims."""
    size = file.seek(0, 2)
    file.seek(0)
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, _, kind = np.lib.format.read_array_header_1_0(file)
        else:
            shape, _, kind = np.lib.format.read_array_header_2_0(file)
    except clip_files.NPY_ERRORS as error:
        raise RequestError(415, "The file is not a .npy array.") from error
    _check_clip_bytes(math.prod(shape) * kind.itemsize)
    if min(shape, default=0) < 0 or math.prod(shape) * kind.itemsize > size:
        raise RequestError(
            415, "The .npy file holds less than its header says."
        )


def _check_gif(file: BinaryIO) -> None:
    """Raise for invalid GIFs and for decompression bombs."""
    head = file.read(13)
    if head[:6] not in (b"GIF87a", b"GIF89a") or len(head) < 13:
        raise RequestError(415, "The file is not a GIF.")
    width = int.from_bytes(head[6:8], "little")
    height = int.from_bytes(head[8:10], "little")
    _skip_colours(file, head[10])
    pictures = 0
    while (kind := file.read(1)) in (b"!", b","):
        if kind == b",":
            pictures += 1
            _check_clip_bytes(pictures * height * width * 3)
            place = file.read(9)
            sides = [int.from_bytes(place[i : i + 2], "little") for i in (4, 6)]
            _check_clip_bytes(math.prod(sides) * 3)
            _skip_colours(file, place[8] if len(place) == 9 else 0)
        file.read(1)  # code size of an image, or type of an extension
        while count := int.from_bytes(file.read(1), "little"):
            file.seek(count, 1)


def _skip_colours(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        file.seek(3 << (flags & 7) + 1, 1)


def _check_clip_bytes(claimed: int) -> None:
    if claimed > CLIP_BYTES:
        raise RequestError(
            413,
            f"Expected a clip of at most {CLIP_BYTES >> 20} MB of pixels. "
            f"Received: {claimed >> 20} MB",
        )


def int_field(values: Mapping, name: str, stop: int) -> int:
    """Return an integer of a request, from 0 and below `stop`.

    Raises:
        RequestError: the value is missing, invalid or out of range.
    """
    value = values.get(name)
    # True is an int, too.
    if type(value) is not int or not 0 <= value < stop:
        raise RequestError(
            400, f"Expected {name!r} to be a whole number from 0 to {stop - 1}."
        )
    return value


def choice_field(values: Mapping, name: str, allowed) -> str:
    """Return a string of a request that must be one of `allowed`.

    Raises:
        RequestError: it is something else.
    """
    value = values.get(name)
    if not isinstance(value, str) or value not in allowed:
        raise RequestError(400, unknown(name, str(value)[:80], allowed))
    return value
