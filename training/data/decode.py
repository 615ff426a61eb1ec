"""Exact frames of video files, through PyAV (the extra `video`).

Frame k of a file is the k-th that its decoder puts out. Reading some frames of
a clip without decoding all before them needs timestamps that can be trusted,
which those of many files cannot (packed B-frames in AVI, edit lists, damage):
trusting them gives wrong frames and no error. So a file is decoded once, and
`VideoIndex.order` says what was found:

"timestamps"  the sorted timestamps are the frames, in order, and nothing is
              damaged. To read some, the decoder starts at the last keyframe
              before the first of them, and leaves out frames that neither are
              wanted nor referred to.
"count"       it is not so. Every read decodes from the start and counts.

Damage that a decoder does not notice is decoded as it comes. Where it reaches
beyond a keyframe (rare: pictures that are refreshed bit by bit), frames that
are found by seeking may differ from those of a decoder run from the start.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from training.data.sources import VideoError
from training.errors import missing_extra

# Seeking costs about as much as decoding so many frames.
SEEK_FRAMES = 8
# A decoder that refuses what is damaged instead of making something up.
STRICT = {"err_detect": "explode"}
# Decoders that take what to leave out when they start, not at every packet.
WHOLE_CODECS = {"av1", "libdav1d", "libaom-av1"}
# What PyAV raises besides FFmpegError, on damage that confuses it.
CONFUSED = (ValueError, IndexError, AttributeError)
# Formats of FFmpeg that make frames of images and texts; so do all "..._pipe".
STILL_FORMATS = {"image2", "tty", "ico"}
Transform = Callable[[np.ndarray], np.ndarray]


class _Disorder(Exception):
    """What the decoder puts out is not what the index says."""


@dataclasses.dataclass(frozen=True)
class VideoIndex:
    """What decoding a file once has found.

    Attributes:
        frames: how many it has.
        height, width: of a frame as it is shown, after rotation, in pixels.
        fps: frames a second, on average; 0.0 where the file does not say.
        rotation: quarter turns counter-clockwise that the file asks for.
        order: "timestamps" or "count".
        timestamps: int64, ascending, one a frame, for "timestamps".
        keyframes: int64, the frames at which decoding can start.
    """

    frames: int
    height: int
    width: int
    fps: float
    rotation: int
    order: str
    timestamps: np.ndarray
    keyframes: np.ndarray


def index_video(path: str | os.PathLike) -> VideoIndex:
    """Decodes a file once and says how its frames can be found.

    Args:
        path: of a video file; `http://` and, with tensorflow-io, `s3://` too.

    Raises:
        VideoError: the file is missing, is no video or has no frame that can
            be decoded.
    """
    none = np.zeros(0, np.int64)
    found = _ordered(path)
    ordered, keyframes = found or (none, none)
    frames = len(ordered)
    with _opened(path) as (container, stream):
        first = None
        for frame in _decode(container, stream):
            first = first or frame
            if found:
                break
            frames += 1
        if first is None:
            raise VideoError("no frame can be decoded")
        turns = round(getattr(first, "rotation", 0) / 90) % 4
        height, width = first.height, first.width
        if turns % 2:
            height, width = width, height
        return VideoIndex(
            frames=frames,
            height=height,
            width=width,
            fps=_rate(stream, ordered),
            rotation=turns,
            order="timestamps" if found else "count",
            timestamps=ordered,
            keyframes=keyframes,
        )


def read_frames(
    path: str | os.PathLike,
    frames: Sequence[int],
    index: VideoIndex,
    transform: Transform = np.ascontiguousarray,
    on_disorder: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Reads frames of a video by their numbers.

    Args:
        path: of the video file.
        frames: numbers from 0, in any order, also repeated. Those past the
            end are the last frame.
        index: of this file.
        transform: what to make of each frame, uint8 RGB
            `(height, width, 3)`, as soon as it is decoded, so that large
            frames do not pile up.
        on_disorder: is called where seeking did not lead to what the index
            says, as in files whose containers have no table of places: all
            was decoded from the start then, and had better be again.

    Returns:
        What `transform` gives for each, stacked; uint8
        `(len(frames), height, width, 3)` without one.

    Raises:
        VideoError: the file has gone, or nothing of it can be decoded.
    """
    numbers = _numbers(frames, index)
    wanted = sorted(set(numbers))
    picture = _picture_of(index, transform)
    if index.order == "count":
        found = dict(_by_counting(path, wanted, picture))
    else:
        try:
            found = dict(_by_seeking(path, wanted, index, picture))
        except _Disorder:  # some demuxers seek to the wrong place
            on_disorder()
            found = dict(_by_counting(path, wanted, picture))
    return np.stack([found[number] for number in numbers])


def stream_frames(
    path: str | os.PathLike,
    frames: Sequence[int],
    index: VideoIndex,
    transform: Transform = np.ascontiguousarray,
    on_disorder: Callable[[], None] = lambda: None,
) -> Generator[tuple[int, np.ndarray], None, None]:
    """Reads frames one by one in a single pass, and keeps none of them.

    Args:
        path: as for `read_frames`.
        frames: as there.
        index: as there.
        transform: as there.
        on_disorder: as there.

    Yields:
        Each number once, ascending, and what `transform` gives for it. Where
        seeking leads astray, what was given until then had the timestamps
        that it should, and the rest is found by counting.

    Raises:
        VideoError: as `read_frames`.
    """
    left = sorted(set(_numbers(frames, index)))
    picture = _picture_of(index, transform)
    if index.order != "count":
        done = 0
        try:
            for found in _by_seeking(path, left, index, picture):
                done += 1
                yield found
        except _Disorder:
            on_disorder()
        left = left[done:]
    if left:
        yield from _by_counting(path, left, picture)


def shows(path: str | os.PathLike) -> bool:
    """Whether a file of unknown kind is a video, and not a still image.

    It is if FFmpeg knows its format and a frame of it can be decoded.
    """
    try:
        with _opened(path) as (container, stream):
            name = container.format.name
            if name.endswith("_pipe") or name in STILL_FORMATS:
                return False
            return next(_decode(container, stream), None) is not None
    except VideoError:
        return False


def _numbers(frames: Sequence[int], index: VideoIndex) -> list[int]:
    """Numbers of frames that there are; the last for those past the end."""
    if not len(frames) or min(frames) < 0:
        raise ValueError(f"Expected frames from 0. Received: {frames}")
    return [min(int(frame), index.frames - 1) for frame in frames]


def _picture_of(index: VideoIndex, transform: Transform) -> Callable:
    """A function of what the decoder puts out to what is made of it."""
    reformatter = pyav().video.reformatter.VideoReformatter()
    height, width = index.height, index.width
    if index.rotation % 2:
        height, width = width, height

    def picture(frame):
        # One reformatter for all keeps its tables; threads would only compete.
        # The size matters to the odd file that changes it on its way. As RGB
        # in three bytes: for others, FFmpeg 8 leaves the last columns of some
        # widths unwritten.
        rgb = reformatter.reformat(
            frame, width=width, height=height, format="rgb24", threads=1
        )
        return transform(np.rot90(rgb.to_ndarray(), index.rotation))

    return picture


def _by_seeking(path, wanted, index, picture) -> Iterator:
    """Decodes from the last keyframe before what is wanted.

    Raises:
        _Disorder: that does not give what the index promises.
    """
    ordered = index.timestamps
    left = wanted[::-1]
    stamps = {int(ordered[number]) for number in wanted}
    with _opened(path, **STRICT) as (container, stream):
        last = -1  # number of the frame that came out last
        while left:
            key = _keyframe_before(index, left[-1])
            if key - last > SEEK_FRAMES:
                container.seek(int(ordered[key]), stream=stream)
                last = key - 1
            # Ends where a later seek pays; else at the last frame wanted.
            until = _until(index, left)
            for frame in _decode(container, stream, stamps):
                number = _number(ordered, frame)
                if number < key:
                    continue  # shown before the keyframe, stored behind it
                if number <= last or number > left[-1]:
                    raise _Disorder
                last = number
                if number == left[-1]:
                    yield left.pop(), picture(frame)
                    if number == until:
                        break
            else:
                raise _Disorder
            stream.codec_context.flush_buffers()


def _ordered(path) -> tuple[np.ndarray, np.ndarray] | None:
    """Timestamps and numbers of keyframes, if both can be trusted."""
    packets, shown = [], []
    # Without that filter pictures are not right, but which there are is.
    with _opened(path, **STRICT, skip_loop_filter="all") as (container, stream):
        try:
            for packet in _packets(container, stream):
                if packet.size and not packet.is_discard:
                    packets.append((packet.pts, packet.is_keyframe))
                shown += [frame.pts for frame in packet.decode()]
        except pyav().error.EOFError:
            pass
        except pyav().error.FFmpegError:
            return None
    stamps = [stamp for stamp, _ in packets]
    if not shown or None in stamps or shown != sorted(set(stamps)):
        return None
    ordered = np.array(shown, np.int64)
    keys = sorted(stamp for stamp, is_key in packets if is_key)
    return ordered, np.searchsorted(ordered, keys).astype(np.int64)


def _rate(stream, ordered: np.ndarray) -> float:
    """Frames a second; from the frames' times, which headers may not tell."""
    if len(ordered) > 1 and stream.time_base:
        seconds = float((ordered[-1] - ordered[0]) * stream.time_base)
        return (len(ordered) - 1) / seconds
    return float(stream.average_rate or 0)


def _number(ordered: np.ndarray, frame) -> int:
    """The number of the frame that has this one's timestamp."""
    if frame.pts is None:
        raise _Disorder
    number = int(np.searchsorted(ordered, frame.pts))
    if number == len(ordered) or ordered[number] != frame.pts:
        raise _Disorder
    return number


def _by_counting(path, wanted, picture) -> Iterator:
    """Decodes from the start and counts what comes out."""
    left = wanted[::-1]
    before = None
    with _opened(path) as (container, stream):
        for number, frame in enumerate(_decode(container, stream)):
            before = frame
            if number == left[-1]:
                yield left.pop(), picture(frame)
                if not left:
                    return
    if before is None:
        raise VideoError("no frame can be decoded")
    for missing in left:
        yield missing, picture(before)


def _keyframe_before(index: VideoIndex, number: int) -> int:
    """The last keyframe up to a frame; the start if there is none."""
    place = int(np.searchsorted(index.keyframes, number, side="right"))
    return int(index.keyframes[place - 1]) if place else 0


def _until(index: VideoIndex, numbers: list[int]) -> int:
    """The last of `numbers`, descending, to reach without another seek."""
    upwards = numbers[::-1]
    for here, following in zip(upwards, upwards[1:], strict=False):
        if _keyframe_before(index, following) - here > SEEK_FRAMES:
            return here
    return upwards[-1]


def _decode(
    container, stream, wanted: Collection[int] | None = None
) -> Iterator:
    """Frames in the order of the decoder.

    Args:
        container: from `_opened`.
        stream: from `_opened`.
        wanted: timestamps; frames of others may be left out, and a packet
            that is refused is a disorder. Without them such packets are
            passed over.
    """
    av = pyav()
    skips = stream.codec_context.name not in WHOLE_CODECS
    for packet in _packets(container, stream):
        if skips and wanted is not None and packet.size:
            # What no frame refers to need not be decoded.
            skip = packet.pts is not None and packet.pts not in wanted
            stream.codec_context.skip_frame = "NONREF" if skip else "DEFAULT"
        try:
            yield from packet.decode()
        except av.error.EOFError:
            return
        except av.error.FFmpegError as error:
            if wanted is not None:
                raise _Disorder from error


@contextlib.contextmanager
def _opened(
    path: str | os.PathLike, **options: str
) -> Iterator[tuple[Any, Any]]:
    """A container and its video stream, decoding on one thread.

    Pipelines read many clips at once; threads in each would only compete.
    """
    av = pyav()
    path = os.fspath(path)
    try:
        with contextlib.ExitStack() as stack:
            source: Any = path
            if "://" in path and not path.startswith(("http://", "https://")):
                source = stack.enter_context(tf.io.gfile.GFile(path, "rb"))
            elif "://" not in path:
                _check_file(path)
                source = os.path.abspath(path)  # "a:b" is no protocol
            container = stack.enter_context(
                _quietly(av.open, source, metadata_errors="replace")
            )
            stream = _video_stream(container)
            stream.codec_context.thread_count = 1
            stream.codec_context.options = options
            yield container, stream
    except av.error.FFmpegError as error:
        reason = error.strerror or type(error).__name__
        raise VideoError(f"it cannot be read as a video: {reason}") from error
    except tf.errors.NotFoundError as error:
        raise VideoError("there is no such file") from error
    except (OSError, tf.errors.OpError) as error:
        raise VideoError(f"it cannot be read: {error}") from error


def _quietly(function: Callable, *arguments, **options) -> Any:
    """Calls PyAV; whatever it raises on odd content is a bad video."""
    try:
        return function(*arguments, **options)
    except CONFUSED as error:
        if isinstance(error, pyav().error.FFmpegError):
            raise
        raise VideoError(f"it cannot be read as a video: {error}") from error


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


def _packets(container, stream) -> Iterator:
    """What `demux` gives; damage that confuses PyAV ends it."""
    packets = iter(container.demux(stream))
    with contextlib.suppress(StopIteration):
        while True:
            yield _quietly(next, packets)


def _check_file(path: str) -> None:
    if not os.path.exists(path):
        raise VideoError("there is no such file")
    if os.path.isdir(path):
        raise VideoError("it is a folder, not a video file")
    if not os.path.getsize(path):
        raise VideoError("the file is empty")


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
