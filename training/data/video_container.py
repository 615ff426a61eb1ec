"""Open untrusted video files with PyAV, within resource limits.

FFmpeg opens more than video files: playlists (concat, HLS, SDP), scripts and
cameras. These are rejected before any file that they name is opened, as are
FIFOs, sockets and devices.
"""

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from ..io import atomic_files, paths
from ..io.user_error import missing_extra
from .clip_reader import VideoError
from .video_limits import Limits

# Decoder options: raise on damage instead of concealing it.
STRICT = {"err_detect": "explode"}
NO_TIMESTAMPS = 0x80  # AVFMT_NOTIMESTAMPS in the flags of a format
WEB = ("http://", "https://")
WEB_PROTOCOLS = "http,https,tcp,tls,crypto,httpproxy"
# Timeout for the response of a server, and for each packet.
ANSWER_SECONDS = 20.0
# Timeout for a whole download, plus the time for the received bytes at the
# minimum rate.
WEB_SECONDS = 60.0
MIN_BYTES_PER_SECOND = 1 << 18
# The decoding time limit grows by one second per this many bytes of a file.
BYTES_PER_SECOND = 1 << 20
# Decoders have a limit of their own, which includes padding.
PADDING_FACTOR, PADDING_PIXELS = 2, 1 << 16
# Exceptions of PyAV on damaged files besides FFmpegError.
PYAV_ERRORS = (ValueError, IndexError, AttributeError)
# Demuxers that open files named in a file, run scripts or read devices; and
# those of text formats, which have no frames.
EXCLUDED_FORMATS = frozenset(
    """
    alsa apc ass avisynth bin concat dash decklink fbdev ffmetadata hls
    image2 image2pipe imf ipmovie jack kmsgrab lavfi libcdio libdc1394 mlv
    mpjpeg oss pulse rtp rtsp sami sap sdp sndio srt svg_pipe tty v4l2
    vapoursynth video4linux2,v4l2 vobsub webm_dash_manifest webvtt
    x11grab xbin xcbgrab
    """.split()
)
PLAYLIST_STARTS = (b"ffconcat version", b"#extm3u", b"<?xml", b"<mpd", b"v=0")


class VideoContainer:
    """An open video file.

    Args:
        container: PyAV's container.
        stream: its video stream.
        limits: resource limits.
        path: path or URL of the file.

    Attributes:
        stream: the video stream.
        format_name: FFmpeg's name of the container format.
        has_times: whether the format has timestamps; raw streams have none.
        is_web: whether it is read from a web server. It is then read without
            seeking, because the time of a seek cannot be limited.
    """

    def __init__(self, container, stream, limits: Limits, path: str):
        self._container = container
        self.stream = stream
        self.format_name = container.format.name
        self.has_times = not container.format.flags & NO_TIMESTAMPS
        self._limits = limits
        self.is_web = path.startswith(WEB)
        self._spent_s = 0.0
        self._received = 0
        self._seconds = limits.max_seconds
        if not self.is_web:
            self._seconds += max(container.size, 0) / BYTES_PER_SECOND

    def seek(self, timestamp: int) -> None:
        """Seek to the last keyframe up to a timestamp."""
        self._container.seek(timestamp, stream=self.stream)

    def packets(self) -> Iterator[Any]:
        """Yield packets of the video, up to the first error of PyAV.

        Raises:
            VideoError: reading took too long.
        """
        packets = iter(self._container.demux(self.stream))
        with contextlib.suppress(StopIteration):
            while True:
                packet = self._timed(quietly, next, packets)
                self._received += packet.size
                yield packet

    def decoded(self, packet) -> list:
        """Decode the frames that a packet completes.

        Raises:
            VideoError: decoding took too long, or a frame is too large.
            FFmpegError: the decoder rejects the packet.
        """
        context = self.stream.codec_context
        try:
            frames = self._timed(packet.decode)
        except pyav().error.FFmpegError:
            # The error of the decoder does not mention its size limit.
            self._limits.check_size(context.width, context.height)
            raise
        for frame in frames:
            self._limits.check_size(frame.width, frame.height)
        return frames

    def frames(self) -> Iterator[Any]:
        """Yield frames in decoder order, skipping rejected packets.

        Raises:
            VideoError: as `packets` and `decoded`.
        """
        for packet in self.packets():
            try:
                yield from self.decoded(packet)
            except pyav().error.EOFError:
                return
            except pyav().error.FFmpegError:
                continue

    def check_count(self, frames: int) -> None:
        """Raise a VideoError for too many frames."""
        self._limits.check_count(frames)

    def _timed(self, function: Callable, *arguments) -> Any:
        """Call a function, adding its time to the time spent."""
        start = time.monotonic()
        try:
            return function(*arguments)
        finally:
            self._spent_s += time.monotonic() - start
            if self._spent_s > self._allowed_s():
                raise VideoError(self._too_slow())

    def _allowed_s(self) -> float:
        if not self.is_web:
            return self._seconds
        received = self._received / MIN_BYTES_PER_SECOND
        return min(self._seconds, WEB_SECONDS + received)

    def _too_slow(self) -> str:
        if self.is_web and self._spent_s <= self._seconds:
            return f"the download took more than {self._allowed_s():.0f} s"
        return (
            f"reading it took more than {self._seconds:.0f} s, with "
            f"max_seconds={self._limits.max_seconds:g}"
        )


@contextlib.contextmanager
def opened(
    path: str | os.PathLike, limits: Limits, **options: str
) -> Iterator[VideoContainer]:
    """Open a video file, with a single-threaded decoder.

    Pipelines read many clips in parallel; threads in each would only compete.

    Args:
        path: path of a video file, or its URL: http://, s3:// or others
            of fsspec.
        limits: resource limits.
        **options: options of the decoder.

    Raises:
        VideoError: it is not a video, cannot be read, or exceeds a limit.
    """
    path = os.fspath(path)
    max_pixels = PADDING_FACTOR * limits.max_pixels + PADDING_PIXELS
    bound = {"max_pixels": str(max_pixels)}
    try:
        with contextlib.ExitStack() as stack:
            container = stack.enter_context(_container(path, stack, bound))
            stream = _video_stream(container)
            context = stream.codec_context
            limits.check_size(context.width, context.height)
            limits.check_count(stream.frames)
            context.thread_count = 1
            context.options = {**options, **bound}
            yield VideoContainer(container, stream, limits, path)
    except pyav().error.ExitError as error:
        raise VideoError(
            f"the server did not respond within {ANSWER_SECONDS:.0f} s"
        ) from error
    except pyav().error.FFmpegError as error:
        reason = error.strerror or type(error).__name__
        raise VideoError(f"it cannot be read as a video: {reason}") from error
    except FileNotFoundError as error:
        raise VideoError("there is no such file") from error
    except OSError as error:
        raise VideoError(f"it cannot be read: {error}") from error


def _container(path: str, stack: contextlib.ExitStack, options: dict) -> Any:
    """Open PyAV's container; other open files are added to `stack`."""
    source: Any = path
    timeout, protocols = None, "file"
    if path.startswith(WEB):
        timeout, protocols = ANSWER_SECONDS, WEB_PROTOCOLS
    elif "://" in path:
        source = stack.enter_context(paths.as_path(path).open("rb"))
    else:
        check_file(path)
        source = os.path.abspath(path)  # "a:b" would be a protocol
    try:
        return quietly(
            pyav().open,
            source,
            options=options,  # FFmpeg decodes frames when it opens a file
            container_options={
                "format_whitelist": _video_formats(),
                "protocol_whitelist": protocols,
            },
            metadata_errors="replace",
            timeout=timeout,
        )
    except (pyav().error.ArgumentError, pyav().error.InvalidDataError) as error:
        if _is_playlist(path):
            reason = "it is a playlist, not a video"
        elif isinstance(error, pyav().error.ArgumentError):
            reason = "it is not in a video format"
        else:
            raise
        raise VideoError(reason) from error


def quietly(function: Callable, *arguments, **options) -> Any:
    """Call PyAV; its exceptions on damaged content become a VideoError."""
    try:
        return function(*arguments, **options)
    except PYAV_ERRORS as error:
        if isinstance(error, pyav().error.FFmpegError):
            raise
        raise VideoError(f"it cannot be read as a video: {error}") from error


def check_file(path: str) -> None:
    """Raise a VideoError unless a path is a regular file with content."""
    if not os.path.exists(path):
        raise VideoError("there is no such file")
    if os.path.isdir(path):
        raise VideoError("it is a folder, not a video file")
    if atomic_files.is_endless(path):
        raise VideoError(atomic_files.ENDLESS)
    if not os.path.getsize(path):
        raise VideoError("the file is empty")


def _is_playlist(path: str) -> bool:
    """Return whether a local file begins as a playlist of FFmpeg."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        start = file.read(4096).lstrip(b"\xef\xbb\xbf\0 \r\n\t")
        return start.lower().startswith(PLAYLIST_STARTS)
    return False


def _video_stream(container):
    """Return the stream that players show; cover art does not count."""
    av = pyav()
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & av.stream.Disposition.attached_pic
    ]
    if not streams:
        raise VideoError("it has no video stream")
    best = container.streams.best("video")
    stream = best if best in streams else streams[0]
    if stream.codec_context is None:
        raise VideoError("there is no decoder for its codec")
    return stream


@functools.cache
def _video_formats() -> str:
    """Return the names of all demuxers of single video files."""
    return ",".join(sorted(pyav().formats_available - EXCLUDED_FORMATS))


def pyav() -> Any:
    """Import PyAV.

    Raises:
        UserError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise missing_extra("av", "video") from error
    return av
