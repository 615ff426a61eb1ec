"""Exact frames of video files, through PyAV (the extra `video`).

Frame k of a file is the k-th that its decoder puts out. Reading some frames of
a clip without decoding all before them needs timestamps that can be trusted,
which those of many files cannot (packed B-frames in AVI, edit lists): trusting
them gives wrong frames and no error. So a file is read through once, without
decoding where its container is one that keeps timestamps in order, and
`VideoIndex.order` says what was found:

"timestamps"  the sorted timestamps are the frames, in order. To read some, the
              decoder starts at the last keyframe before the first of them, and
              leaves out frames that neither are wanted nor referred to.
"count"       they are not. Every read decodes from the start and counts.

That it holds is watched on every read, and the reader falls back on counting.
Frames that a damaged file has lost are replaced by the one before.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from training.data.sources import VideoError
from training.errors import missing_extra

# Their demuxers give timestamps as written by the muxer, for every packet.
CONTAINERS_IN_ORDER = {"mp4", "matroska"}
# Seeking costs about as much as decoding so many frames.
SEEK_FRAMES = 8
Transform = Callable[[np.ndarray], np.ndarray]


class _OutOfOrder(Exception):
    """The decoder put frames out in another order than their timestamps."""


class _FramesLost(Exception):
    """Frames that the index promises did not come out."""


@dataclasses.dataclass(frozen=True)
class VideoIndex:
    """What reading through a file once has found.

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

    def counted(self) -> "VideoIndex":
        """The index of the same file, not trusting its timestamps."""
        none = np.zeros(0, np.int64)
        return dataclasses.replace(
            self, order="count", timestamps=none, keyframes=none
        )


def index_video(path: str | os.PathLike) -> VideoIndex:
    """Reads a file through and says how its frames can be found.

    Args:
        path: of a video file; `http://` and, with tensorflow-io, `s3://` too.

    Raises:
        VideoError: the file is missing, is no video or has no frame that can
            be decoded.
    """
    with _opened(path) as (container, stream):
        first = _first_frame(container, stream)
        turns = round(getattr(first, "rotation", 0) / 90) % 4
        height, width = first.height, first.width
        if turns % 2:
            height, width = width, height
        rate = float(stream.average_rate or 0)
        in_order = bool(
            CONTAINERS_IN_ORDER & set(container.format.name.split(","))
        )
    with _opened(path) as (container, stream):
        packets, cut = _demux(container, stream)
    stamps = [stamp for stamp, _ in packets]
    known = [stamp for stamp in stamps if stamp is not None]
    ordered = np.unique(np.array(known, np.int64))
    trusted = len(ordered) == len(stamps)
    frames = len(stamps)
    if cut or not (trusted and in_order):
        with _opened(path) as (container, stream):
            shown = [frame.pts for frame in _decode(container, stream)]
        frames = len(shown)
        trusted = trusted and shown == ordered.tolist()
    index = VideoIndex(
        frames=frames,
        height=height,
        width=width,
        fps=rate,
        rotation=turns,
        order="timestamps",
        timestamps=ordered,
        keyframes=np.searchsorted(
            ordered, sorted(s for s, key in packets if key and s is not None)
        ).astype(np.int64),
    )
    return index if trusted else index.counted()


def read_frames(
    path: str | os.PathLike,
    frames: Sequence[int],
    index: VideoIndex,
    transform: Transform | None = None,
    on_disorder: Callable[[VideoIndex], None] = lambda index: None,
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
        on_disorder: is called with a better index if this one turns out to
            trust timestamps that do not deserve it.

    Returns:
        What `transform` gives for each, stacked; uint8
        `(len(frames), height, width, 3)` without one.

    Raises:
        VideoError: the file has gone, or nothing of it can be decoded.
    """
    if not len(frames) or min(frames) < 0:
        raise ValueError(f"Expected frames from 0. Received: {frames}")
    numbers = [min(int(frame), index.frames - 1) for frame in frames]
    wanted = sorted(set(numbers))
    found: dict[int, np.ndarray] = {}

    reformatter = _av().video.reformatter.VideoReformatter()

    def keep(number, frame):
        # One reformatter for all keeps its tables; threads would only compete.
        rgb = reformatter.reformat(frame, format="rgb24", threads=1)
        picture = np.rot90(rgb.to_ndarray(), index.rotation)
        found[number] = picture if transform is None else transform(picture)

    if index.order == "timestamps":
        try:
            _read_by_seeking(path, wanted, index, keep)
        except _FramesLost:
            found.clear()
            _read_by_timestamps(path, wanted, index, keep)
        except _OutOfOrder:
            on_disorder(index.counted())
            found.clear()
            _read_by_counting(path, wanted, keep)
    else:
        _read_by_counting(path, wanted, keep)
    return np.stack([found[number] for number in numbers])


def _read_by_seeking(path, wanted, index, keep):
    """Decodes from the last keyframe before what is wanted."""
    ordered = index.timestamps
    left = [int(ordered[number]) for number in wanted][::-1]
    number_of = dict(zip(reversed(left), wanted, strict=True))
    with _opened(path) as (container, stream):
        context = stream.codec_context
        last = -1  # number of the frame that came out last
        while left:
            key = _keyframe_before(index, number_of[left[-1]])
            if key - last > SEEK_FRAMES:
                container.seek(int(ordered[key]), stream=stream)
                last = key - 1
            # Ends where a later seek pays; else at the last frame wanted.
            until = _until(index, [number_of[stamp] for stamp in left])
            for frame in _decode(container, stream, number_of):
                number = int(np.searchsorted(ordered, frame.pts or 0))
                if (
                    frame.pts is None
                    or number >= len(ordered)
                    or ordered[number] != frame.pts
                ):
                    raise _OutOfOrder
                if number <= last:
                    raise _OutOfOrder
                last = number
                if frame.pts > left[-1]:
                    raise _FramesLost
                if frame.pts == left[-1]:
                    keep(number_of[left.pop()], frame)
                    if not left or number >= until:
                        break
            else:
                if left:
                    raise _FramesLost
            context.flush_buffers()


def _read_by_timestamps(path, wanted, index, keep):
    """Decodes from the start; a frame that is lost is the one before it."""
    left = [int(index.timestamps[number]) for number in wanted][::-1]
    number_of = dict(zip(reversed(left), wanted, strict=True))
    before = None
    with _opened(path) as (container, stream):
        for frame in _decode(container, stream):
            while left and frame.pts is not None and frame.pts >= left[-1]:
                stamp = left.pop()
                same = frame.pts == stamp or before is None
                keep(number_of[stamp], frame if same else before)
            before = frame
            if not left:
                return
    _fill_up([number_of[stamp] for stamp in left], before, keep)


def _read_by_counting(path, wanted, keep):
    """Decodes from the start and counts what comes out."""
    left = wanted[::-1]
    before = None
    with _opened(path) as (container, stream):
        for number, frame in enumerate(_decode(container, stream)):
            before = frame
            if number == left[-1]:
                keep(left.pop(), frame)
                if not left:
                    return
    _fill_up(left, before, keep)


def _fill_up(numbers, last, keep):
    """What a file has no more frames for is its last one."""
    if last is None:
        raise VideoError("no frame can be decoded")
    for number in numbers:
        keep(number, last)


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


def _decode(container, stream, wanted: Any = None) -> Iterator:
    """Frames in the order of the decoder; packets it refuses are left out.

    Args:
        container: from `_opened`.
        stream: from `_opened`.
        wanted: timestamps, where frames of others may be left out.
    """
    av = _av()
    context = stream.codec_context
    for packet in container.demux(stream):
        if wanted is not None and packet.size:
            # What no frame refers to need not be decoded.
            unwanted = packet.pts is not None and packet.pts not in wanted
            context.skip_frame = "NONREF" if unwanted else "DEFAULT"
        try:
            yield from packet.decode()
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            continue


def _demux(container, stream):
    """(timestamp, is keyframe) of each packet, and whether some are not shown.

    A container that breaks off ends there.
    """
    packets, cut = [], False
    with contextlib.suppress(_av().error.FFmpegError):
        for packet in container.demux(stream):
            if packet.size and packet.is_discard:
                cut = True
            elif packet.size:
                packets.append((packet.pts, packet.is_keyframe))
    return packets, cut


def _first_frame(container, stream):
    for frame in _decode(container, stream):
        return frame
    raise VideoError("no frame can be decoded")


@contextlib.contextmanager
def _opened(path: str | os.PathLike) -> Iterator[tuple[Any, Any]]:
    """A container and its video stream, decoding on one thread.

    Pipelines read many clips at once; threads in each would only compete.
    """
    av = _av()
    path = os.fspath(path)
    try:
        with contextlib.ExitStack() as stack:
            source: Any = path
            if "://" in path and not path.startswith(("http://", "https://")):
                source = stack.enter_context(tf.io.gfile.GFile(path, "rb"))
            elif "://" not in path:
                _check_file(path)
            container = stack.enter_context(av.open(source))
            if not container.streams.video:
                raise VideoError("it has no video stream")
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            yield container, stream
    except av.error.FFmpegError as error:
        reason = error.strerror or type(error).__name__
        raise VideoError(f"it cannot be read as a video: {reason}") from error
    except (OSError, tf.errors.OpError) as error:
        raise VideoError(f"it cannot be read: {error}") from error


def _check_file(path: str) -> None:
    if not os.path.exists(path):
        raise VideoError("there is no such file")
    if os.path.isdir(path):
        raise VideoError("it is a folder, not a video file")
    if not os.path.getsize(path):
        raise VideoError("the file is empty")


def _av():
    try:
        import av
    except ImportError as error:
        raise missing_extra("av", "video") from error
    return av
