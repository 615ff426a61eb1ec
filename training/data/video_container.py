"""Opening a video file with PyAV, and what it may take to read it.

FFmpeg opens more than films: lists of other files (concat, HLS, SDP), scripts
and cameras. They are refused before anything that they name is opened, as are
FIFOs, sockets and devices.
"""

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from ..io import atomic_files
from ..io.user_error import missing_extra
from .sources import VideoError
from .video_limits import Limits

NO_TIMESTAMPS = 0x80  # of a format's flags: AVFMT_NOTIMESTAMPS
WEB = ("http://", "https://")
WEB_PROTOCOLS = "http,https,tcp,tls,crypto,httpproxy"
# Servers may take so long to answer, and then for each packet of a film.
ANSWER_SECONDS = 20.0
# All they send of a film may take so long, and a second more for each so many
# bytes that have come.
WEB_SECONDS = 60.0
SLOWEST_BYTES_A_SECOND = 1 << 18
# A local file of so many bytes may take a second more to decode.
BYTES_A_SECOND = 1 << 20
# Decoders hold to a bound of their own, in which their padding counts.
ROOM, ROOM_PIXELS = 2, 1 << 16
# What PyAV raises besides FFmpegError, on damage that confuses it.
CONFUSED = (ValueError, IndexError, AttributeError)
# Demuxers that open what a file names, that run or draw what it says, or that
# are devices; and those of texts, which have no frames.
NO_FILMS = frozenset(
    """
    alsa apc ass avisynth bin concat dash decklink fbdev ffmetadata hls
    image2 image2pipe imf ipmovie jack kmsgrab lavfi libcdio libdc1394 mlv
    mpjpeg oss pulse rtp rtsp sami sap sdp sndio srt svg_pipe tty v4l2
    vapoursynth video4linux2,v4l2 vobsub webm_dash_manifest webvtt
    x11grab xbin xcbgrab
    """.split()
)
LIST_STARTS = (b"ffconcat version", b"#extm3u", b"<?xml", b"<mpd", b"v=0")


class VideoContainer:
    """An open video file.

    Args:
        container: of PyAV.
        stream: of it, the film.
        limits: of what reading it may take.
        path: of the file.

    Attributes:
        stream: as given.
        format_name: of the container, as FFmpeg calls it.
        has_times: whether it is one, and no bare stream, which has no times.
        is_web: whether it is read from a web server. There it is read from
            the start alone: looking for a place in it cannot be timed.
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
            self._seconds += max(container.size, 0) / BYTES_A_SECOND

    def seek(self, timestamp: int) -> None:
        """Goes to the last keyframe up to a timestamp."""
        self._container.seek(timestamp, stream=self.stream)

    def packets(self) -> Iterator[Any]:
        """Packets of the film; damage that confuses PyAV ends them.

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
        """Frames that a packet completes.

        Raises:
            VideoError: that took too long, or a frame is too large.
            FFmpegError: the decoder refuses it.
        """
        context = self.stream.codec_context
        try:
            frames = self._timed(packet.decode)
        except pyav().error.FFmpegError:
            # The decoder holds to its bound, and does not say so.
            self._limits.check_size(context.width, context.height)
            raise
        for frame in frames:
            self._limits.check_size(frame.width, frame.height)
        return frames

    def check_count(self, frames: int) -> None:
        """Raises a VideoError for too many frames."""
        self._limits.check_count(frames)

    def _timed(self, function: Callable, *arguments) -> Any:
        """Calls a function and counts the time that it takes."""
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
        received = self._received / SLOWEST_BYTES_A_SECOND
        return min(self._seconds, WEB_SECONDS + received)

    def _too_slow(self) -> str:
        if self.is_web and self._spent_s <= self._seconds:
            return f"the server took more than {self._allowed_s():.0f} s for it"
        return (
            f"reading it took more than {self._seconds:.0f} s, of which "
            f"max_seconds is {self._limits.max_seconds:g}"
        )


@contextlib.contextmanager
def opened(
    path: str | os.PathLike, limits: Limits, **options: str
) -> Iterator[VideoContainer]:
    """A video file, decoding on one thread.

    Pipelines read many clips at once; threads in each would only compete.

    Args:
        path: of a video file; `http://` and, with tensorflow-io, `s3://` too.
        limits: of what reading it may take.
        **options: of the decoder.

    Raises:
        VideoError: it is no video, cannot be read, or is beyond a limit.
    """
    path = os.fspath(path)
    bound = {"max_pixels": str(ROOM * limits.max_pixels + ROOM_PIXELS)}
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
            f"the server sent nothing of use for {ANSWER_SECONDS:.0f} s"
        ) from error
    except pyav().error.FFmpegError as error:
        reason = error.strerror or type(error).__name__
        raise VideoError(f"it cannot be read as a video: {reason}") from error
    except tf.errors.NotFoundError as error:
        raise VideoError("there is no such file") from error
    except (OSError, tf.errors.OpError) as error:
        raise VideoError(f"it cannot be read: {error}") from error


def _container(path: str, stack: contextlib.ExitStack, options: dict) -> Any:
    """PyAV's container of a file; what else has to be closed is in `stack`."""
    source: Any = path
    timeout, protocols = None, "file"
    if path.startswith(WEB):
        timeout, protocols = ANSWER_SECONDS, WEB_PROTOCOLS
    elif "://" in path:
        source = stack.enter_context(tf.io.gfile.GFile(path, "rb"))
    else:
        check_file(path)
        source = os.path.abspath(path)  # "a:b" is no protocol
    try:
        return quietly(
            pyav().open,
            source,
            options=options,  # FFmpeg decodes some frames itself
            container_options={
                "format_whitelist": _film_formats(),
                "protocol_whitelist": protocols,
            },
            metadata_errors="replace",
            timeout=timeout,
        )
    except (pyav().error.ArgumentError, pyav().error.InvalidDataError) as error:
        if _is_list(path):
            reason = "it is a list of other files, not a video"
        elif isinstance(error, pyav().error.ArgumentError):
            reason = "its format is none of videos"
        else:
            raise
        raise VideoError(reason) from error


def quietly(function: Callable, *arguments, **options) -> Any:
    """Calls PyAV; whatever it raises on odd content is a bad video."""
    try:
        return function(*arguments, **options)
    except CONFUSED as error:
        if isinstance(error, pyav().error.FFmpegError):
            raise
        raise VideoError(f"it cannot be read as a video: {error}") from error


def check_file(path: str) -> None:
    """Raises a VideoError unless there is a file with content at a path."""
    if not os.path.exists(path):
        raise VideoError("there is no such file")
    if os.path.isdir(path):
        raise VideoError("it is a folder, not a video file")
    if atomic_files.is_endless(path):
        raise VideoError(atomic_files.ENDLESS)
    if not os.path.getsize(path):
        raise VideoError("the file is empty")


def _is_list(path: str) -> bool:
    """Whether a local file begins as lists that FFmpeg knows do."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        start = file.read(4096).lstrip(b"\xef\xbb\xbf\0 \r\n\t")
        return start.lower().startswith(LIST_STARTS)
    return False


def _video_stream(container):
    """The stream that players show; covers of sound are none."""
    av = pyav()
    films = [
        stream
        for stream in container.streams.video
        if not stream.disposition & av.stream.Disposition.attached_pic
    ]
    if not films:
        raise VideoError("it has no video stream")
    best = container.streams.best("video")
    stream = best if best in films else films[0]
    if stream.codec_context is None:
        raise VideoError("there is no decoder for its codec")
    return stream


@functools.cache
def _film_formats() -> str:
    """Names of all demuxers that read films out of one file."""
    return ",".join(sorted(pyav().formats_available - NO_FILMS))


def pyav() -> Any:
    """PyAV's module.

    Raises:
        UserError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise missing_extra("av", "video") from error
    return av
