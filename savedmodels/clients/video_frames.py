"""Frames of a video file, for a request; needs PyAV and Pillow.

All frames go to the model in order, none is left out: the network was trained
on frames of a certain distance, and samples them itself. Sending every second
one would show it everything at twice the speed. What makes a request smaller
is a part of the video, or smaller frames.
"""

import io
import itertools
import os
from collections.abc import Iterator

import numpy as np
from serving_client import ClientError, check_size

# Of JPEG. Colours are kept at full resolution, unlike Pillow's own choice: that
# is a tenth more bytes, and less than half the error at hard edges.
QUALITY = 95


def read(
    path: str, start_s: float = 0.0, seconds: float | None = None
) -> Iterator[np.ndarray]:
    """Frames as they are shown, uint8 RGB `(height, width, 3)`.

    Args:
        path: of a video file.
        start_s: where to begin, in seconds at the average rate.
        seconds: how many of them; None is to the end.

    Raises:
        ClientError: it cannot be read as a video, or a package is missing.
    """
    av = _package("av")
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        raise ClientError(f"There is no file {path}.")
    try:
        with av.open(path, metadata_errors="replace") as container:
            if not container.streams.video:
                raise ClientError(f"{path} has no video stream.")
            stream = container.streams.best("video")
            stream.thread_type = "AUTO"
            rate = float(stream.average_rate or 25)
            width, height = stream.width, stream.height
            for number, frame in enumerate(_decoded(container, stream, av)):
                at = number / rate
                if at < start_s:
                    continue
                if seconds is not None and at >= start_s + seconds:
                    return
                turns = round(getattr(frame, "rotation", 0) / 90) % 4
                # Of one size, in the odd file that changes it on its way.
                rgb = frame.reformat(width, height, format="rgb24")
                yield np.rot90(rgb.to_ndarray(), turns)
    except (av.error.FFmpegError, ValueError, IndexError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ClientError(f"{path} is no video: {reason}") from error


def files_of(
    path: str,
    start_s: float = 0.0,
    seconds: float | None = None,
    short_side: int | None = None,
    png: bool = False,
    max_mb: float = 64.0,
    base64: bool = False,
) -> list[bytes]:
    """The frames as JPEG or PNG files, for the signature serve_frames.

    Args:
        path: of a video file.
        start_s: where to begin, in seconds.
        seconds: how many of them; None is to the end.
        short_side: frames with a longer one are made so small, in pixels.
        png: whether to lose nothing, in several times the space.
        max_mb: stops as soon as there is more, so long films fill no memory.
        base64: whether they are sent so, as four bytes for three.

    Raises:
        ClientError: it cannot be read, has no frames, or is too large.
    """
    files, size = [], 0
    for frame in read(path, start_s, seconds):
        files.append(_encode(frame, short_side, png))
        size += len(files[-1])
        check_size(size * 4 // 3 if base64 else size, max_mb)
    if not files:
        raise ClientError(f"{path} has no frames from {start_s:g} s on.")
    return files


def clip_of(
    path: str,
    frames: int,
    stride: int = 1,
    size: tuple[int, int] | None = None,
    start_s: float = 0.0,
) -> np.ndarray:
    """A clip of pixels, for the signature serving_default.

    Args:
        path: of a video file.
        frames: how many.
        stride: the distance from one to the next, in frames.
        size: height and width to resize them to.
        start_s: where the clip begins, in seconds.

    Returns:
        uint8 RGB `(frames, height, width, 3)`.

    Raises:
        ClientError: it cannot be read, or is too short.
    """
    span = (frames - 1) * stride + 1
    kept = list(itertools.islice(read(path, start_s), 0, span, stride))
    if len(kept) < frames:
        raise ClientError(
            f"{frames} frames of stride {stride} need {span} frames from "
            f"{start_s:g} s on, which {path} has not."
        )
    if size is not None:
        image, (height, width) = _package("PIL.Image"), size
        kept = [
            np.asarray(image.fromarray(frame).resize((width, height)))
            for frame in kept
        ]
    return np.stack(kept)


def _decoded(container, stream, av) -> Iterator:
    """What the decoder puts out; packets that it refuses are passed over."""
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            continue


def _encode(frame: np.ndarray, short_side: int | None, png: bool) -> bytes:
    image = _package("PIL.Image").fromarray(np.ascontiguousarray(frame))
    if short_side is not None and min(image.size) > short_side:
        scale = short_side / min(image.size)
        image = image.resize([round(scale * side) for side in image.size])
    file = io.BytesIO()
    if png:
        image.save(file, "PNG", compress_level=1)
    else:
        image.save(file, "JPEG", quality=QUALITY, subsampling=0)
    return file.getvalue()


def _package(name: str):
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ClientError(
            "Videos need PyAV and Pillow: pip install av pillow"
        ) from error
