"""Read clips from folders of JPEG frames, one folder per video."""

import collections
import os
import re

import tensorflow as tf

from ..io import file_names, image_bytes
from . import jpeg_crops
from .clip_reader import ClipReader, Probe, VideoError
from .folder_paths import join_path, list_names
from .manifest import Video
from .video_limits import Limits

# "img_{:05}.jpg": prefix, number with a minimum of digits, suffix.
FRAME_NAME = re.compile(r"([^{}]*)\{(?::(?:0(\d+))?d?)?\}([^{}]*)")
ZEROS = "0" * 20


class FrameFolderReader(ClipReader):
    """Reads numbered frames from folders.

    Args:
        limits: resource limits, of which `max_pixels` applies.
    """

    tf_ops = True

    def __init__(self, limits: Limits | None = None):
        self._limits = limits or Limits()

    def probe(self, video: Video) -> Probe:
        prefix, digits, suffix = _parts(video)
        try:
            names = _names(video.path)
        except FileNotFoundError as error:
            raise VideoError("there is no such folder") from error
        except NotADirectoryError as error:
            raise VideoError("it is a file, not a folder of frames") from error
        except OSError as error:
            raise VideoError(f"it cannot be listed: {error}") from error

        def name(number):
            return f"{prefix}{video.first_frame + number:0{digits}d}{suffix}"

        frames = video.frames
        if frames is None:
            frames = 0
            while name(frames) in names:
                frames += 1
        if not frames:
            raise VideoError(f"there is no frame {name(0)}{_content(names)}")
        for number in range(frames):
            if name(number) not in names:
                raise VideoError(f"frame {name(number)} of {frames} is missing")
        height, width = _shape(join_path(video.path, name(0)), self._limits)
        return Probe(frames, height, width, video.fps or 0.0)

    def fields(self, video: Video) -> dict[str, str | int]:
        prefix, digits, suffix = _parts(video)
        return {
            "prefix": join_path(video.path, prefix),
            "digits": digits,
            "suffix": suffix,
            "first_frame": video.first_frame,
        }

    def read(self, fields, frames, windows, size_px):
        def load(number):
            text = tf.strings.as_string(number)
            missing = tf.cast(fields["digits"], tf.int32) - tf.strings.length(
                text
            )
            zeros = tf.strings.substr(ZEROS, 0, tf.maximum(missing, 0))
            return tf.io.read_file(
                tf.strings.join(
                    [fields["prefix"], zeros, text, fields["suffix"]]
                )
            )

        numbers = frames + tf.cast(fields["first_frame"], tf.int64)
        shape = tf.io.extract_jpeg_shape(load(numbers[0]))[:2]
        return jpeg_crops.read_windows(load, numbers, shape, windows, size_px)


def _content(names: set[str]) -> str:
    """Describe a folder without frames, as the end of a message."""
    names = {name for name in names if not file_names.is_system_file(name)}
    if not names:
        return "; the folder is empty"
    counts = collections.Counter(map(file_names.extension, names))
    example = file_names.printable(min(names))
    return f"; the folder has {file_names.counted(counts)}, such as {example}"


def _names(folder: str) -> set[str]:
    """List regular files; reading a FIFO would block."""
    if "://" in folder:
        return set(list_names(folder))
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries if entry.is_file()}


def _parts(video: Video) -> tuple[str, int, str]:
    """Split a frame name into prefix, number of digits and suffix."""
    match = FRAME_NAME.fullmatch(video.frame_name)
    if match is None:
        raise ValueError(
            "Expected a frame name such as 'img_{:05}.jpg'. "
            f"Received: {video.frame_name!r}"
        )
    return match[1], int(match[2] or 0), match[3]


def _shape(path: str, limits: Limits) -> tuple[int, int]:
    try:
        content = tf.io.read_file(path)
        height, width, _ = tf.io.extract_jpeg_shape(content).numpy().tolist()
        limits.check_size(width, height)
        image_bytes.decode_jpeg(content)  # the header may be all there is
    except tf.errors.OpError as error:
        raise VideoError(
            f"frame {path} is not a JPEG: {error.message}"
        ) from error
    return height, width
