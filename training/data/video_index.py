"""Index of a video file: frame count, size, times and seek table."""

import dataclasses
import os
from collections.abc import Iterator, Sequence

import numpy as np

from . import display_matrix, frame_times
from .clip_reader import Probe, VideoError
from .video_container import STRICT, VideoContainer, opened, pyav
from .video_limits import Limits

# Still-image formats of FFmpeg, besides all "..._pipe".
STILL_FORMATS = {"ico"}
# Codecs whose frames depend on the previous one, also frames that containers
# mark as keyframes.
CHAINED_CODECS = {"gif", "apng"}


@dataclasses.dataclass(frozen=True)
class _Stamps:
    """Timestamps from one pass over a file.

    Attributes:
        stamps: timestamps of the frames in decoder order; None where missing.
        last_duration: duration of the last frame; 0 if unknown.
        timestamps: as in `VideoIndex`.
        keyframes: as in `VideoIndex`.
    """

    stamps: Sequence[int | None]
    last_duration: int
    timestamps: np.ndarray
    keyframes: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoIndex(Probe):
    """Length, size, rate and seek table of a video file.

    Attributes:
        rotation: counter-clockwise quarter turns to display a frame.
        order: "timestamps" or "count", as explained in `video_decoder`.
        timestamps: int64, ascending, one per frame, for "timestamps".
        keyframes: int64 numbers of the frames at which decoding can start.
        flip: whether frames are flipped horizontally before the rotation.
    """

    rotation: int
    order: str
    timestamps: np.ndarray
    keyframes: np.ndarray
    flip: bool = False

    @property
    def probe(self) -> Probe:
        """Length, size and rate alone."""
        return Probe(
            self.frames,
            self.height,
            self.width,
            self.fps,
            self.edges_s,
            self.stamped,
        )


def index_video(
    path: str | os.PathLike, limits: Limits | None = None
) -> VideoIndex:
    """Decode a file once and index its frames.

    Args:
        path: path of a video file, or its URL: http://, s3:// or
            others of fsspec.
        limits: resource limits; None for the defaults.

    Raises:
        VideoError: the file is missing, is not a video, has no decodable
            frame, or exceeds a limit.
    """
    limits = limits or Limits()
    stamps = _ordered_stamps(path, limits)
    with opened(path, limits) as video:
        frames = video.frames()
        first = next(frames, None)
        if first is None:
            # A decoder that rejects a frame size reports none.
            bound = f" within max_pixels={limits.max_pixels}"
            width = video.stream.codec_context.width
            raise VideoError("no frame can be decoded" + bound * (not width))
        if stamps is None:
            stamps = _unordered_stamps(video, first, frames)
        rotation, flip = display_matrix.of_frame(first)
        height, width = first.height, first.width
        if rotation % 2:
            height, width = width, height
        context = video.stream.codec_context
        seeks = not video.is_web and context.name not in CHAINED_CODECS
        in_order = bool(len(stamps.timestamps))
        times = frame_times.measure(
            stamps.stamps, stamps.last_duration, video.stream, in_order
        )
        return VideoIndex(
            frames=len(stamps.stamps),
            height=height,
            width=width,
            fps=times.fps if times else 0.0,
            rotation=rotation,
            order="timestamps" if in_order and seeks else "count",
            timestamps=stamps.timestamps,
            keyframes=stamps.keyframes,
            flip=flip,
            edges_s=times.edges_s if times else None,
            stamped=times.stamped if times else False,
        )


def is_video(path: str | os.PathLike) -> bool:
    """Return whether a file of unknown type is a video, not a still image.

    It is if FFmpeg knows its container and can decode a frame. Raw streams
    without a container do not count, because FFmpeg detects them in other
    files too, such as images within archives.
    """
    try:
        with opened(path, Limits()) as video:
            name = video.format_name
            if name.endswith("_pipe") or name in STILL_FORMATS:
                return False
            if not video.has_times:
                return False
            return next(video.frames(), None) is not None
    except VideoError:
        return False


def _ordered_stamps(path, limits: Limits) -> _Stamps | None:
    """Return timestamps and keyframes of all frames; None if unreliable."""
    packets, frames = [], []
    duration = 0
    # Without the loop filter pixels are wrong, but the timestamps are right.
    with opened(path, limits, **STRICT, skip_loop_filter="all") as video:
        try:
            for packet in video.packets():
                if packet.size and not packet.is_discard:
                    packets.append((packet.pts, packet.is_keyframe))
                for frame in video.decoded(packet):
                    frames.append(frame.pts)
                    duration = frame.duration
                video.check_count(len(frames))
        except pyav().error.EOFError:
            pass
        except pyav().error.FFmpegError:
            return None
    stamps = [stamp for stamp, _ in packets]
    if not frames or None in stamps or frames != sorted(set(stamps)):
        return None
    timestamps = np.array(frames, np.int64)
    keys = sorted(stamp for stamp, is_key in packets if is_key)
    keyframes = np.searchsorted(timestamps, keys).astype(np.int64)
    return _Stamps(frames, duration, timestamps, keyframes)


def _unordered_stamps(
    video: VideoContainer, first, frames: Iterator
) -> _Stamps:
    """Return timestamps of all frames, not usable for seeking."""
    stamps, duration = [first.pts], first.duration
    for frame in frames:
        stamps.append(frame.pts)
        duration = frame.duration
        video.check_count(len(stamps))
    none = np.zeros(0, np.int64)
    return _Stamps(stamps, duration, none, none)
