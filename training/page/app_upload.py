"""What `training.app` takes from a browser, checked before it is decoded.

A request says what it will send (its length, a file's name); nothing of that
is believed further than it is checked here. Of the name the ending alone is
used, and that as it stands in our own table: no letter of it gets to the disk.
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

from ..data import clips, video_names

CHUNK_BYTES = 1 << 16
HEAD_BYTES = 1 << 20  # as far as FFmpeg looks to see what a file is
NAME_BYTES = 4096
SCRATCH = "nonlocal_tf-video-"  # how names of folders begin
FILM = "film"
# One clip; 128 x 256 x 256, the longest of the paper, are 25 MB.
CLIP_BYTES = 32 << 20
# What containers of videos begin with. Lists of other files to open, which
# FFmpeg knows too (HLS, DASH, concat), are none of them.
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


class Refused(Exception):
    """A request that is not served: a status and one line for the user."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


def length_of(headers: Message, max_bytes: int) -> int:
    """The length of a body, from 1 to `max_bytes`, before any of it is read.

    Raises:
        Refused: it is not said, cannot be, or is too large.
    """
    said = headers.get_all("Content-Length", [])
    if headers.get("Transfer-Encoding") is not None:
        raise Refused(
            400 if said else 411,
            "Expected a Content-Length, not a Transfer-Encoding.",
        )
    if not said:
        raise Refused(411, "Expected a Content-Length.")
    if len(said) > 1 or not re.fullmatch("[0-9]{1,30}", said[0]):
        raise Refused(400, "Expected one whole number as Content-Length.")
    length = int(said[0])
    if length > max_bytes:
        raise Refused(413, too_large(max_bytes))
    if not length:
        raise Refused(400, "The file is empty.")
    return length


def too_large(max_bytes: int) -> str:
    """What is said of too large a body."""
    if max_bytes < 1 << 20:
        return f"Expected at most {max_bytes} bytes."
    return (
        f"The file is larger than {max_bytes / 2**20:g} MB. Cut it, or start "
        "the app with a larger --max-mb."
    )


def suffix_of(name: str, allowed: tuple[str, ...]) -> str:
    """The ending of a file's name, as it stands in `allowed`.

    Args:
        name: percent-encoded, as the page sends it.
        allowed: the endings that are taken.

    Raises:
        Refused: it has another one.
    """
    text = urllib.parse.unquote(name[-NAME_BYTES:], errors="replace").lower()
    for suffix in allowed:
        if text.endswith(suffix):
            return suffix
    raise Refused(
        415, f"Expected a file whose name ends in {', '.join(allowed)}."
    )


def suffixes(videos: bool) -> tuple[str, ...]:
    """The endings of names that are taken, with those of videos or without."""
    return (*(video_names.ENDINGS if videos else ()), *clips.READERS)


def receive(source: io.BufferedIOBase, length: int, file: BinaryIO) -> None:
    """Copies a body of a known length to a file, some at a time.

    Raises:
        Refused: it ends before that.
    """
    left = length
    while left:
        part = source.read(min(CHUNK_BYTES, left))
        if not part:
            raise Refused(400, "The file ended before its Content-Length.")
        file.write(part)
        left -= len(part)


@contextlib.contextmanager
def scratch(suffix: str) -> Iterator[pathlib.Path]:
    """Where to write a film; it is deleted after the block.

    Until then its folder is locked, by which `clear_leftovers` knows it.
    """
    with (
        tempfile.TemporaryDirectory(prefix=SCRATCH) as place,
        _opened_folder(place) as folder,
    ):
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield pathlib.Path(place) / f"{FILM}{suffix}"


def clear_leftovers() -> None:
    """Delete the videos that servers of this user left when they were killed.

    Folders of servers at work stay, as do those of other users and programs.
    """
    for place in pathlib.Path(tempfile.gettempdir()).glob(f"{SCRATCH}*"):
        with contextlib.suppress(OSError), _opened_folder(place) as folder:
            if os.fstat(folder).st_uid != os.getuid():
                continue
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever made it locks it before it holds a video.
            names = os.listdir(folder)
            if names and all(name.startswith(f"{FILM}.") for name in names):
                shutil.rmtree(place)


@contextlib.contextmanager
def _opened_folder(path: str | os.PathLike) -> Iterator[int]:
    """Open a folder, and no link to one, for the descriptor's sake."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield folder
    finally:
        os.close(folder)


def check_content(file: BinaryIO, suffix: str) -> None:
    """Looks at what a file begins with, before a decoder does.

    Args:
        file: what was sent.
        suffix: ".npy" or ".gif" of a clip of pixels; else it is a video.

    Raises:
        Refused: it is not what its name says, or a small file that would
            become huge.
    """
    head = file.read(HEAD_BYTES)
    if suffix == ".npy":
        _check_array(file)
    elif suffix == ".gif":
        file.seek(0)
        _check_gif(file)
    elif not _is_video(head):
        raise Refused(415, "The file is not a video, whatever its name says.")


def _is_video(head: bytes) -> bool:
    text = head.lower()
    if b"<mpd" in text and b"dash:profile" in text:
        return False  # FFmpeg would take it for a list, wherever that is in it
    return (
        head[4:8] in ATOMS
        or head.startswith(STARTS)
        or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")
        or (head[:4] == b"\x89PNG" and b"acTL" in head)  # an animated one
        # Packets of transport streams, without and with times.
        or head[:377:188] == b"GGG"
        or head[4:389:192] == b"GGG"
    )


def _check_array(file: BinaryIO) -> None:
    """Raises unless the pixels that a .npy claims to hold are there."""
    size = file.seek(0, 2)
    file.seek(0)
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, _, kind = np.lib.format.read_array_header_1_0(file)
        else:
            shape, _, kind = np.lib.format.read_array_header_2_0(file)
    except clips.BROKEN as error:
        raise Refused(415, "The file is not a .npy array.") from error
    _check_clip_bytes(math.prod(shape) * kind.itemsize)
    if min(shape, default=0) < 0 or math.prod(shape) * kind.itemsize > size:
        raise Refused(415, "The .npy file holds less than its header says.")


def _check_gif(file: BinaryIO) -> None:
    """Raises if a GIF is none, or if its pictures would fill the memory."""
    head = file.read(13)
    if head[:6] not in (b"GIF87a", b"GIF89a") or len(head) < 13:
        raise Refused(415, "The file is not a GIF.")
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
        file.read(1)  # of a picture its depth, else the kind of extension
        while count := int.from_bytes(file.read(1), "little"):
            file.seek(count, 1)


def _skip_colours(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        file.seek(3 << (flags & 7) + 1, 1)


def _check_clip_bytes(claimed: int) -> None:
    if claimed > CLIP_BYTES:
        raise Refused(
            413,
            f"Expected a clip of at most {CLIP_BYTES >> 20} MB of pixels. "
            f"Received: {claimed >> 20} MB",
        )


def whole(values: Mapping, name: str, stop: int) -> int:
    """A whole number of a request, from 0 and below `stop`.

    Raises:
        Refused: it is something else.
    """
    value = values.get(name)
    # True is an int, too.
    if type(value) is not int or not 0 <= value < stop:
        raise Refused(
            400, f"Expected {name!r} to be a whole number from 0 to {stop - 1}."
        )
    return value


def choice(values: Mapping, name: str, known) -> str:
    """A name of a request that has to be one of `known`.

    Raises:
        Refused: it is something else.
    """
    value = values.get(name)
    if not isinstance(value, str) or value not in known:
        raise Refused(400, unknown(name, str(value)[:80], known))
    return value
