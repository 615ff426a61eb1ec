"""Read video frames by index with PyAV (the extra `video`).

Frame k of a file is the k-th frame that its decoder returns. Seeking to a frame
needs reliable timestamps, which many files lack (packed B-frames in AVI, edit
lists, damage): seeking then returns wrong frames without an error. So a file is
decoded once in full, and `VideoIndex.order` tells how to read it:

"timestamps"  Timestamps are strictly ascending and the file is undamaged.
              Reading seeks to the last keyframe before the first requested
              frame and skips non-reference frames that are not requested.
"count"       Timestamps are unreliable. Reading decodes from the start and
              counts frames.

Damage that a decoder does not report is decoded as is. Where it reaches beyond
a keyframe (rare: intra refresh), frames read by seeking may differ from those
decoded from the start.
"""

import os
from collections.abc import Callable, Collection, Generator, Iterator, Sequence

import numpy as np

from . import display_matrix
from .clip_reader import VideoError
from .video_container import STRICT, VideoContainer, opened, pyav
from .video_index import VideoIndex
from .video_limits import Limits

# A seek costs about as much as decoding this many frames.
SEEK_FRAMES = 8

# Decoders that read `skip_frame` once, not for every packet.
WHOLE_CODECS = {"av1", "libdav1d", "libaom-av1"}
Transform = Callable[[np.ndarray], np.ndarray]


class _Disorder(Exception):
    """Decoded frames contradict the index."""


def read_frames(
    path: str | os.PathLike,
    frames: Sequence[int],
    index: VideoIndex,
    transform: Transform = np.ascontiguousarray,
    on_disorder: Callable[[], None] = lambda: None,
    limits: Limits | None = None,
) -> np.ndarray:
    """Read frames of a video by index.

    Args:
        path: path of the video file.
        frames: frame numbers from 0, in any order, repeated or not. Numbers
            past the end stand for the last frame.
        index: index of this file.
        transform: function of each decoded frame, uint8 RGB
            `(height, width, 3)`. It is applied right after decoding, so that
            large frames do not pile up in memory.
        on_disorder: called if seeking contradicts the index, as in files whose
            containers have no seek table. Other frames are then decoded from
            the start, which should also be done on later reads.
        limits: as for `index_video`.

    Returns:
        The results of `transform`, stacked; without one, uint8
        `(len(frames), height, width, 3)`.

    Raises:
        VideoError: the file is missing, cannot be decoded, or exceeds a limit.
    """
    arrays = dict(
        stream_frames(path, frames, index, transform, on_disorder, limits)
    )
    return np.stack([arrays[number] for number in _clamped(frames, index)])


def stream_frames(
    path: str | os.PathLike,
    frames: Sequence[int],
    index: VideoIndex,
    transform: Transform = np.ascontiguousarray,
    on_disorder: Callable[[], None] = lambda: None,
    limits: Limits | None = None,
) -> Generator[tuple[int, np.ndarray], None, None]:
    """Yield frames in ascending order in a single pass, keeping none.

    Args:
        path: as for `read_frames`.
        frames: as for `read_frames`.
        index: as for `read_frames`.
        transform: as for `read_frames`.
        on_disorder: as for `read_frames`.
        limits: as for `read_frames`.

    Yields:
        (frame number, result of `transform`), each number once. If seeking
        contradicts the index, the remaining frames are read by counting;
        timestamps of the frames before were right.

    Raises:
        VideoError: as `read_frames`.
    """
    limits = limits or Limits()
    pending = sorted(set(_clamped(frames, index)))
    convert = _converter(index, transform)
    if index.order != "count":
        count = 0
        try:
            for pair in _read_by_seeking(path, pending, index, convert, limits):
                count += 1
                yield pair
        except _Disorder:  # some demuxers seek to the wrong frame
            on_disorder()
        pending = pending[count:]
    if pending:
        yield from _read_by_counting(path, pending, convert, limits)


def _clamped(frames: Sequence[int], index: VideoIndex) -> list[int]:
    """Replace frame numbers past the end by the last frame."""
    if not len(frames) or min(frames) < 0:
        raise ValueError(f"Expected frames from 0. Received: {frames}")
    return [min(int(frame), index.frames - 1) for frame in frames]


def _converter(index: VideoIndex, transform: Transform) -> Callable:
    """Return a function from PyAV's frames to results of `transform`."""
    reformatter = pyav().video.reformatter.VideoReformatter()
    height, width = index.height, index.width
    if index.rotation % 2:
        height, width = width, height

    def convert(frame):
        # One reformatter for all frames keeps its tables; threads would only
        # compete. The size is for files that change it midway. Other formats
        # than rgb24: FFmpeg 8 leaves the last columns of some widths unwritten.
        rgb = reformatter.reformat(
            frame, width=width, height=height, format="rgb24", threads=1
        )
        return transform(
            display_matrix.oriented(
                rgb.to_ndarray(), index.rotation, index.flip
            )
        )

    return convert


def _read_by_seeking(path, numbers, index, convert, limits) -> Iterator:
    """Decode from the last keyframe before each run of requested frames.

    Raises:
        _Disorder: decoded frames contradict the index.
    """
    timestamps = index.timestamps
    pending = numbers[::-1]
    requested = {int(timestamps[number]) for number in numbers}
    with opened(path, limits, **STRICT) as video:
        last = -1  # number of the last decoded frame
        while pending:
            key = _keyframe_before(index, pending[-1])
            if key - last > SEEK_FRAMES:
                video.seek(int(timestamps[key]))
                last = key - 1
            # Up to the frame before the next seek, or the last one requested.
            until = _last_before_seek(index, pending)
            for frame in _decode_requested(video, requested):
                number = _number(timestamps, frame)
                if number < key:
                    continue  # displayed before the keyframe, stored after it
                if number <= last or number > pending[-1]:
                    raise _Disorder
                last = number
                if number == pending[-1]:
                    yield pending.pop(), convert(frame)
                    if number == until:
                        break
            else:
                raise _Disorder
            video.stream.codec_context.flush_buffers()


def _number(timestamps: np.ndarray, frame) -> int:
    """Return the number of a frame by its timestamp."""
    if frame.pts is None:
        raise _Disorder
    number = int(np.searchsorted(timestamps, frame.pts))
    if number == len(timestamps) or timestamps[number] != frame.pts:
        raise _Disorder
    return number


def _read_by_counting(path, numbers, convert, limits) -> Iterator:
    """Decode from the start and count frames."""
    pending = numbers[::-1]
    last = None
    with opened(path, limits) as video:
        for number, frame in enumerate(video.frames()):
            last = frame
            if number == pending[-1]:
                yield pending.pop(), convert(frame)
                if not pending:
                    return
    if last is None:
        raise VideoError("no frame can be decoded")
    for missing in pending:
        yield missing, convert(last)


def _keyframe_before(index: VideoIndex, number: int) -> int:
    """Return the last keyframe up to a frame; 0 if there is none."""
    position = int(np.searchsorted(index.keyframes, number, side="right"))
    return int(index.keyframes[position - 1]) if position else 0


def _last_before_seek(index: VideoIndex, numbers: list[int]) -> int:
    """Return the last of `numbers` (descending) read without another seek."""
    ascending = numbers[::-1]
    for number, following in zip(ascending, ascending[1:], strict=False):
        if _keyframe_before(index, following) - number > SEEK_FRAMES:
            return number
    return ascending[-1]


def _decode_requested(
    video: VideoContainer, requested: Collection[int]
) -> Iterator:
    """Yield frames in decoder order, skipping some that are not requested.

    Args:
        video: from `opened`.
        requested: timestamps of the requested frames.

    Raises:
        _Disorder: the decoder rejects a packet.
    """
    av = pyav()
    context = video.stream.codec_context
    skips = context.name not in WHOLE_CODECS
    for packet in video.packets():
        if skips and packet.size:
            # Non-reference frames need not be decoded.
            skip = packet.pts is not None and packet.pts not in requested
            context.skip_frame = "NONREF" if skip else "DEFAULT"
        try:
            yield from video.decoded(packet)
        except av.error.EOFError:
            return
        except av.error.FFmpegError as error:
            raise _Disorder from error
