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

import dataclasses
import os
from collections.abc import Callable, Collection, Generator, Iterator, Sequence

import numpy as np

from . import frame_times, orientation
from .frame_times import FrameTimes
from .sources import VideoError
from .video_container import VideoContainer, opened, pyav
from .video_limits import Limits

# Seeking costs about as much as decoding so many frames.
SEEK_FRAMES = 8
# A decoder that refuses what is damaged instead of making something up.
STRICT = {"err_detect": "explode"}
# Decoders that take what to leave out when they start, not at every packet.
WHOLE_CODECS = {"av1", "libdav1d", "libaom-av1"}
# Formats of FFmpeg that make frames of images; so do all "..._pipe".
STILL_FORMATS = {"ico"}
# Codecs of which most frames are changes to the one before, whatever their
# containers say of keyframes.
CHAINED_CODECS = {"gif", "apng"}
Transform = Callable[[np.ndarray], np.ndarray]


class _Disorder(Exception):
    """What the decoder puts out is not what the index says."""


@dataclasses.dataclass(frozen=True)
class _Stamps:
    """What one pass over a file finds.

    Attributes:
        stamps: of the frames as they come out; None for those without.
        last_duration: of the last of them, 0 if the file does not say.
        timestamps: as `VideoIndex.timestamps`.
        keyframes: as `VideoIndex.keyframes`.
    """

    stamps: Sequence[int | None]
    last_duration: int
    timestamps: np.ndarray
    keyframes: np.ndarray


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
        flip: whether it asks for a flip from left to right before that.
        edges_s: as `FrameTimes` has them; None where frames are evenly spaced.
        stamped: as there.
    """

    frames: int
    height: int
    width: int
    fps: float
    rotation: int
    order: str
    timestamps: np.ndarray
    keyframes: np.ndarray
    flip: bool = False
    edges_s: np.ndarray | None = None
    stamped: bool = True

    @property
    def times(self) -> FrameTimes | None:
        """When its frames are shown; None where that is not known."""
        if not self.fps:
            return None
        return FrameTimes(self.frames, self.fps, self.edges_s, self.stamped)


def index_video(
    path: str | os.PathLike, limits: Limits | None = None
) -> VideoIndex:
    """Decodes a file once and says how its frames can be found.

    Args:
        path: of a video file; `http://` and, with tensorflow-io, `s3://` too.
        limits: of what that may take; None for those that all files have.

    Raises:
        VideoError: the file is missing, is no video, has no frame that can
            be decoded, or is beyond a limit.
    """
    limits = limits or Limits()
    found = _ordered(path, limits)
    with opened(path, limits) as video:
        frames = _decode(video)
        first = next(frames, None)
        if first is None:
            # A decoder that refuses a size says none.
            bound = f" within max_pixels={limits.max_pixels}"
            width = video.stream.codec_context.width
            raise VideoError("no frame can be decoded" + bound * (not width))
        if found is None:
            found = _counted(video, first, frames)
        rotation, flip = orientation.of_frame(first)
        height, width = first.height, first.width
        if rotation % 2:
            height, width = width, height
        context = video.stream.codec_context
        seeks = not video.is_web and context.name not in CHAINED_CODECS
        in_order = bool(len(found.timestamps))
        times = frame_times.measure(
            found.stamps, found.last_duration, video.stream, in_order
        )
        return VideoIndex(
            frames=len(found.stamps),
            height=height,
            width=width,
            fps=times.fps if times else 0.0,
            rotation=rotation,
            order="timestamps" if in_order and seeks else "count",
            timestamps=found.timestamps,
            keyframes=found.keyframes,
            flip=flip,
            edges_s=times.edges_s if times else None,
            stamped=times.stamped if times else False,
        )


def read_frames(
    path: str | os.PathLike,
    frames: Sequence[int],
    index: VideoIndex,
    transform: Transform = np.ascontiguousarray,
    on_disorder: Callable[[], None] = lambda: None,
    limits: Limits | None = None,
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
        limits: as for `index_video`.

    Returns:
        What `transform` gives for each, stacked; uint8
        `(len(frames), height, width, 3)` without one.

    Raises:
        VideoError: the file has gone, nothing of it can be decoded, or it is
            beyond a limit.
    """
    limits = limits or Limits()
    numbers = _numbers(frames, index)
    wanted = sorted(set(numbers))
    picture = _picture_of(index, transform)
    if index.order == "count":
        found = dict(_by_counting(path, wanted, picture, limits))
    else:
        try:
            found = dict(_by_seeking(path, wanted, index, picture, limits))
        except _Disorder:  # some demuxers seek to the wrong place
            on_disorder()
            found = dict(_by_counting(path, wanted, picture, limits))
    return np.stack([found[number] for number in numbers])


def stream_frames(
    path: str | os.PathLike,
    frames: Sequence[int],
    index: VideoIndex,
    transform: Transform = np.ascontiguousarray,
    on_disorder: Callable[[], None] = lambda: None,
    limits: Limits | None = None,
) -> Generator[tuple[int, np.ndarray], None, None]:
    """Reads frames one by one in a single pass, and keeps none of them.

    Args:
        path: as for `read_frames`.
        frames: as there.
        index: as there.
        transform: as there.
        on_disorder: as there.
        limits: as there.

    Yields:
        Each number once, ascending, and what `transform` gives for it. Where
        seeking leads astray, what was given until then had the timestamps
        that it should, and the rest is found by counting.

    Raises:
        VideoError: as `read_frames`.
    """
    limits = limits or Limits()
    left = sorted(set(_numbers(frames, index)))
    picture = _picture_of(index, transform)
    if index.order != "count":
        done = 0
        try:
            for found in _by_seeking(path, left, index, picture, limits):
                done += 1
                yield found
        except _Disorder:
            on_disorder()
        left = left[done:]
    if left:
        yield from _by_counting(path, left, picture, limits)


def shows(path: str | os.PathLike) -> bool:
    """Whether a file of unknown kind is a video, and not a still image.

    It is if FFmpeg knows its container and a frame of it can be decoded.
    Streams without a container are found in much that is none, such as images
    within other files.
    """
    try:
        with opened(path, Limits()) as video:
            name = video.format_name
            if name.endswith("_pipe") or name in STILL_FORMATS:
                return False
            if not video.has_times:
                return False
            return next(_decode(video), None) is not None
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
        return transform(
            orientation.oriented(rgb.to_ndarray(), index.rotation, index.flip)
        )

    return picture


def _by_seeking(path, wanted, index, picture, limits) -> Iterator:
    """Decodes from the last keyframe before what is wanted.

    Raises:
        _Disorder: that does not give what the index promises.
    """
    ordered = index.timestamps
    left = wanted[::-1]
    stamps = {int(ordered[number]) for number in wanted}
    with opened(path, limits, **STRICT) as video:
        last = -1  # number of the frame that came out last
        while left:
            key = _keyframe_before(index, left[-1])
            if key - last > SEEK_FRAMES:
                video.seek(int(ordered[key]))
                last = key - 1
            # Ends where a later seek pays; else at the last frame wanted.
            until = _until(index, left)
            for frame in _decode(video, stamps):
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
            video.stream.codec_context.flush_buffers()


def _ordered(path, limits: Limits) -> _Stamps | None:
    """Time stamps and keyframes of all frames, if both can be trusted."""
    packets, shown = [], []
    duration = 0
    # Without that filter pictures are not right, but which there are is.
    with opened(path, limits, **STRICT, skip_loop_filter="all") as video:
        try:
            for packet in video.packets():
                if packet.size and not packet.is_discard:
                    packets.append((packet.pts, packet.is_keyframe))
                for frame in video.decoded(packet):
                    shown.append(frame.pts)
                    duration = frame.duration
                video.check_count(len(shown))
        except pyav().error.EOFError:
            pass
        except pyav().error.FFmpegError:
            return None
    stamps = [stamp for stamp, _ in packets]
    if not shown or None in stamps or shown != sorted(set(stamps)):
        return None
    ordered = np.array(shown, np.int64)
    keys = sorted(stamp for stamp, is_key in packets if is_key)
    keyframes = np.searchsorted(ordered, keys).astype(np.int64)
    return _Stamps(shown, duration, ordered, keyframes)


def _counted(video: VideoContainer, first, frames: Iterator) -> _Stamps:
    """Time stamps of all frames, which do not help to find them."""
    stamps, duration = [first.pts], first.duration
    for frame in frames:
        stamps.append(frame.pts)
        duration = frame.duration
        video.check_count(len(stamps))
    none = np.zeros(0, np.int64)
    return _Stamps(stamps, duration, none, none)


def _number(ordered: np.ndarray, frame) -> int:
    """The number of the frame that has this one's timestamp."""
    if frame.pts is None:
        raise _Disorder
    number = int(np.searchsorted(ordered, frame.pts))
    if number == len(ordered) or ordered[number] != frame.pts:
        raise _Disorder
    return number


def _by_counting(path, wanted, picture, limits) -> Iterator:
    """Decodes from the start and counts what comes out."""
    left = wanted[::-1]
    before = None
    with opened(path, limits) as video:
        for number, frame in enumerate(_decode(video)):
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
    video: VideoContainer, wanted: Collection[int] | None = None
) -> Iterator:
    """Frames in the order of the decoder.

    Args:
        video: from `opened`.
        wanted: timestamps; frames of others may be left out, and a packet
            that is refused is a disorder. Without them such packets are
            passed over.
    """
    av = pyav()
    context = video.stream.codec_context
    skips = context.name not in WHOLE_CODECS
    for packet in video.packets():
        if skips and wanted is not None and packet.size:
            # What no frame refers to need not be decoded.
            skip = packet.pts is not None and packet.pts not in wanted
            context.skip_frame = "NONREF" if skip else "DEFAULT"
        try:
            yield from video.decoded(packet)
        except av.error.EOFError:
            return
        except av.error.FFmpegError as error:
            if wanted is not None:
                raise _Disorder from error
