"""Frames of a video file, for a request; needs PyAV and Pillow.

All frames go to the model in order, none is left out: the network was trained
on frames of a certain distance, and samples them itself. Sending every second
one would show it everything at twice the speed. What makes a request smaller
is a part of the video, or smaller frames.
"""

import bisect
import io
import itertools
import os
import struct
import sys
import time
from collections.abc import Iterator

import numpy as np
from serving_base import ClientError, check_size

# Of JPEG. Colours are kept at full resolution, unlike Pillow's own choice: that
# is a tenth more bytes, and less than half the error at hard edges.
QUALITY = 95
# A small file may hold frames of gigabytes, or millions of them.
MAX_PIXELS = 1 << 24
MAX_SECONDS = 600.0
# What FFmpeg opens besides films: lists of other files, texts and devices.
NO_FILMS = frozenset(
    """
    alsa apc ass avisynth bin concat dash decklink fbdev ffmetadata hls
    image2 image2pipe imf ipmovie jack kmsgrab lavfi libcdio libdc1394 mlv
    mpjpeg oss pulse rtp rtsp sami sap sdp sndio srt svg_pipe tty v4l2
    vapoursynth video4linux2,v4l2 vobsub webm_dash_manifest webvtt x11grab xbin
    xcbgrab
    """.split()
)


def read(
    path: str,
    start_s: float = 0.0,
    seconds: float | None = None,
    max_pixels: int = MAX_PIXELS,
    max_seconds: float = MAX_SECONDS,
) -> Iterator[np.ndarray]:
    """Frames as they are shown, uint8 RGB `(height, width, 3)`.

    Args:
        path: of a video file; a GIF is one.
        start_s: begins with the frame that is shown then, in seconds from the
            first frame by the file's time stamps. Where those are missing,
            the average rate counts, and a note says so.
        seconds: how many of them; None is to the end.
        max_pixels: of a frame.
        max_seconds: that decoding may take.

    Raises:
        ClientError: it cannot be read as a video, is beyond a bound, or a
            package is missing.
    """
    av = _package("av")
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        raise ClientError(f"There is no file {path}.")
    try:
        edges_s = []
        if start_s > 0 or seconds is not None:
            edges_s = _edges(path, av, max_pixels)
        with _opened(path, av, max_pixels) as container:
            stream = _film(container, path)
            stream.thread_type = "AUTO"
            stream.codec_context.options = {"max_pixels": str(max_pixels)}
            width, height = stream.width, stream.height
            _check_pixels(path, width, height, max_pixels)
            rate = float(stream.average_rate or 25)
            first = bisect.bisect_right(edges_s, start_s + 1e-6) - 1
            if not edges_s:
                first = int(start_s * rate + 1e-6)
            frames = _decoded(container, stream, path, max_seconds)
            for number, frame in enumerate(frames):
                if number < first:
                    continue
                shown_s = number / rate
                if edges_s:
                    shown_s = edges_s[min(number, len(edges_s) - 1)]
                if seconds is not None and shown_s >= start_s + seconds:
                    return
                # Of one size, in the odd file that changes it on its way.
                _check_pixels(path, frame.width, frame.height, max_pixels)
                rgb = frame.reformat(width, height, format="rgb24")
                yield _oriented(rgb.to_ndarray(), frame)
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
    max_pixels: int = MAX_PIXELS,
    max_seconds: float = MAX_SECONDS,
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
        max_pixels: as for `read`.
        max_seconds: as for `read`.

    Raises:
        ClientError: it cannot be read, has no frames, or is too large.
    """
    files, size = [], 0
    for frame in read(path, start_s, seconds, max_pixels, max_seconds):
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
    max_pixels: int = MAX_PIXELS,
    max_seconds: float = MAX_SECONDS,
    max_mb: float = 64.0,
) -> np.ndarray:
    """A clip of pixels, for the signature serving_default.

    Args:
        path: of a video file.
        frames: how many.
        stride: the distance from one to the next, in frames.
        size: height and width to resize them to.
        start_s: where the clip begins, in seconds.
        max_pixels: as for `read`.
        max_seconds: as for `read`.
        max_mb: of the clip: larger ones are not read.

    Returns:
        uint8 RGB `(frames, height, width, 3)`.

    Raises:
        ClientError: it cannot be read, or is too short.
    """
    span = (frames - 1) * stride + 1
    frames_from = read(path, start_s, None, max_pixels, max_seconds)
    kept = []
    for frame in itertools.islice(frames_from, 0, span, stride):
        if size is not None:
            image = _package("PIL.Image").fromarray(frame)
            frame = np.asarray(image.resize(size[::-1]))
        check_size(frames * frame.nbytes, max_mb)  # before all are read
        kept.append(frame)
    if len(kept) < frames:
        raise ClientError(
            f"{frames} frames of stride {stride} need {span} frames from "
            f"{start_s:g} s on, which {path} has not."
        )
    return np.stack(kept)


def _opened(path: str, av, max_pixels: int):
    """A container that opens nothing but this file."""
    return av.open(
        os.path.abspath(path),
        metadata_errors="replace",
        options={"max_pixels": str(max_pixels)},
        container_options={
            "format_whitelist": ",".join(av.formats_available - NO_FILMS),
            "protocol_whitelist": "file",
        },
    )


def _film(container, path: str):
    if not container.streams.video:
        raise ClientError(f"{path} has no video stream.")
    return container.streams.best("video")


def _edges(path: str, av, max_pixels: int) -> list[float]:
    """When frames begin, from 0, and the last ends; none if it is not known."""
    with _opened(path, av, max_pixels) as container:
        stream = _film(container, path)
        unit_s, rate = stream.time_base, stream.average_rate or 25
        packets = [
            (packet.pts, packet.duration or 0)
            for packet in container.demux(stream)
            if packet.size and not packet.is_discard
        ]
    stamps = {stamp for stamp, _ in packets}
    if unit_s and packets and None not in stamps:
        if len(stamps) == len(packets):
            first, (last, lasts) = min(stamps), max(packets)
            end_s = (last - first + lasts) * unit_s + (0 if lasts else 1 / rate)
            starts = sorted(stamps)
            return [
                *(float((stamp - first) * unit_s) for stamp in starts),
                float(end_s),
            ]
    print(
        f"note: {path} has time stamps that are missing or not in order; "
        "seconds are counted by its average frame rate",
        file=sys.stderr,
    )
    return []


def _check_pixels(path: str, width: int, height: int, limit: int) -> None:
    if width * height > limit:
        raise ClientError(
            f"{path} has frames of {width} x {height}, more than {limit} "
            "pixels (--max-pixels)."
        )


def _decoded(container, stream, path: str, max_seconds: float) -> Iterator:
    """What the decoder puts out; packets that it refuses are passed over."""
    av = _package("av")
    packets = container.demux(stream)
    spent_s = 0.0
    while True:
        begun = time.monotonic()
        packet = next(packets, None)
        if packet is None:
            return
        frames = []
        try:
            frames = packet.decode()
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            pass
        spent_s += time.monotonic() - begun
        if spent_s > max_seconds:
            raise ClientError(
                f"{path} takes more than {max_seconds:g} s to be decoded "
                "(--max-seconds)."
            )
        yield from frames


def _oriented(pixels: np.ndarray, frame) -> np.ndarray:
    """Pixels turned and flipped as the display matrix of their file says."""
    for side_data in frame.side_data:
        if side_data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d, *_ = struct.unpack("9i", bytes(side_data))
            if abs(a) + abs(d) < abs(b) + abs(c):  # rows become columns
                pixels, a, d = pixels.swapaxes(0, 1), c, b
            return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return pixels


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
