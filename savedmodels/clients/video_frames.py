"""Read the frames of a video file for a request; needs PyAV and Pillow.

All frames are sent in order, since the served model samples them with the
frame stride of its training: skipping frames would double the speed. To shrink
a request, send a part of the video or smaller frames.
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

# JPEG quality. No chroma subsampling, unlike Pillow's default: a tenth more
# bytes, and less than half the error at hard edges.
QUALITY = 95
# Limits against decompression bombs.
MAX_PIXELS = 1 << 24
MAX_SECONDS = 600.0
# Formats of FFmpeg that are not videos: playlists, subtitles and devices.
OTHER_FORMATS = frozenset(
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
    """Yield frames in display orientation, uint8 RGB `(height, width, 3)`.

    Args:
        path: of a video file or GIF.
        start_s: start time, in seconds from the first frame by the file's time
            stamps; by the average frame rate if they are missing, with a note.
        seconds: duration; None for the rest of the video.
        max_pixels: maximum size of a frame.
        max_seconds: maximum time of decoding.

    Raises:
        ClientError: it is not a video, exceeds a limit, or a package is
            missing.
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
            stream = _video_stream(container, path)
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
                # A few files change the frame size; all get the first size.
                _check_pixels(path, frame.width, frame.height, max_pixels)
                rgb = frame.reformat(width, height, format="rgb24")
                yield _oriented(rgb.to_ndarray(), frame)
    except (av.error.FFmpegError, ValueError, IndexError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ClientError(f"{path} is not a video: {reason}") from error


def encode_frames(
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
    """Encode frames as JPEG or PNG files, for the signature serve_frames.

    Args:
        path: of a video file.
        start_s: start time, in seconds.
        seconds: duration; None for the rest of the video.
        short_side: maximum short side in pixels; larger frames are resized.
        png: whether to encode losslessly, in several times the space.
        max_mb: maximum total size, checked while reading.
        base64: whether the size limit is for base64.
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


def read_clip(
    path: str,
    frames: int,
    stride: int = 1,
    size: tuple[int, int] | None = None,
    start_s: float = 0.0,
    max_pixels: int = MAX_PIXELS,
    max_seconds: float = MAX_SECONDS,
    max_mb: float = 64.0,
) -> np.ndarray:
    """Read a clip of pixels, for the signature serving_default.

    Args:
        path: of a video file.
        frames: number of frames.
        stride: frame stride.
        size: height and width to resize frames to.
        start_s: start time, in seconds.
        max_pixels: as for `read`.
        max_seconds: as for `read`.
        max_mb: maximum size of the clip.

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
        check_size(frames * frame.nbytes, max_mb)  # before reading all frames
        kept.append(frame)
    if len(kept) < frames:
        raise ClientError(
            f"{frames} frames of stride {stride} need {span} frames from "
            f"{start_s:g} s on; {path} is too short."
        )
    return np.stack(kept)


def _opened(path: str, av, max_pixels: int):
    """Open a container that cannot open other files."""
    return av.open(
        os.path.abspath(path),
        metadata_errors="replace",
        options={"max_pixels": str(max_pixels)},
        container_options={
            "format_whitelist": ",".join(av.formats_available - OTHER_FORMATS),
            "protocol_whitelist": "file",
        },
    )


def _video_stream(container, path: str):
    if not container.streams.video:
        raise ClientError(f"{path} has no video stream.")
    return container.streams.best("video")


def _edges(path: str, av, max_pixels: int) -> list[float]:
    """Return start times of frames and the end of the last; [] if unknown."""
    with _opened(path, av, max_pixels) as container:
        stream = _video_stream(container, path)
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
        f"note: {path} has missing or unordered time stamps; seconds are "
        "counted by its average frame rate",
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
    """Yield decoded frames, skipping packets that cannot be decoded."""
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
                f"Decoding {path} takes more than {max_seconds:g} s "
                "(--max-seconds)."
            )
        yield from frames


def _oriented(pixels: np.ndarray, frame) -> np.ndarray:
    """Apply rotation and flips of the display matrix."""
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
