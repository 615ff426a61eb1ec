"""Read whole videos as resized JPEG frames, for shards."""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from ..io import atomic_files, file_names, image_bytes, paths
from . import transforms, video_decoder, video_index
from .clip_reader import Probe, VideoError
from .folder_paths import join_path
from .manifest import Video
from .video_limits import Limits

Encode = Callable[[np.ndarray], bytes]


@dataclasses.dataclass(frozen=True)
class JpegVideo:
    """A whole video as JPEG frames.

    Attributes:
        jpegs: encoded frames.
        probe: count, size and rate of the frames.
        times_s: start of each frame, from the first; None if unknown.
        end_s: end of the last frame.
    """

    jpegs: list[bytes]
    probe: Probe
    times_s: np.ndarray | None
    end_s: float


def read(
    video: Video,
    source: str,
    short_side_px: int,
    quality: int,
    limits: Limits | None = None,
) -> JpegVideo:
    """Read all frames of a video as resized JPEGs.

    Args:
        video: the video.
        source: its storage, "videos" or "frames".
        short_side_px: short side to which larger frames are resized.
        quality: JPEG quality, up to 100.
        limits: resource limits; None for the defaults.

    Raises:
        VideoError: it cannot be read.
    """
    if not file_names.is_text(video.path):
        raise VideoError(file_names.NOT_TEXT)
    if source == "frames":
        limits = limits or Limits()
        return _read_folder(video, short_side_px, quality, limits)
    index = video_index.index_video(video.path, limits)
    shape = _scaled(index.height, index.width, short_side_px)
    encode = _encoder(index.height, index.width, shape, quality)
    jpegs = video_decoder.read_frames(
        video.path,
        range(index.frames),
        index,
        # Objects, because JPEGs differ in length.
        transform=lambda frame: np.array(encode(frame), object),
        limits=limits,
    ).tolist()
    fps = video.fps or index.fps
    probe = Probe(len(jpegs), *shape, fps, index.edges_s, index.stamped)
    if index.edges_s is not None:
        return JpegVideo(
            jpegs, probe, index.edges_s[:-1], float(index.edges_s[-1])
        )
    return _timed(jpegs, probe, index.timestamps)


def _read_folder(
    video: Video, short_side_px: int, quality: int, limits: Limits
) -> JpegVideo:
    """Read frames of a folder; those of the right size are not re-encoded."""
    jpegs: list[bytes] = []
    first = shape = encode = None
    while video.frames is None or len(jpegs) < video.frames:
        number = video.first_frame + len(jpegs)
        name = video.frame_name.format(number)
        path = join_path(video.path, name)
        if video.frames is None and jpegs and not paths.as_path(path).exists():
            break
        if atomic_files.is_endless(path):
            raise VideoError(f"{name} cannot be read: {atomic_files.ENDLESS}")
        try:
            jpeg = paths.as_path(path).read_bytes()
            height, width, _ = tf.io.extract_jpeg_shape(jpeg).numpy().tolist()
            limits.check_size(width, height)
            if encode is None:
                first = height, width
                shape = _scaled(height, width, short_side_px)
                encode = _encoder(height, width, shape, quality)
            if (height, width) != first:
                raise VideoError(
                    f"{name} has another size than the first frame"
                )
            if shape != first:
                jpeg = encode(image_bytes.decode_jpeg(jpeg).numpy())
        except (OSError, tf.errors.OpError) as error:
            reason = getattr(error, "message", error)
            raise VideoError(f"{name} cannot be read: {reason}") from error
        jpegs.append(jpeg)
    if shape is None:
        raise VideoError("it has no frames")
    probe = Probe(len(jpegs), *shape, video.fps or 0.0)
    return _timed(jpegs, probe, np.zeros(0, np.int64))


def _scaled(height: int, width: int, short_side_px: int) -> tuple[int, int]:
    """Return the (height, width) to write; frames are never enlarged."""
    short = min(short_side_px, height, width)
    size = transforms.scaled_size(height, width, short)
    return int(size[0]), int(size[1])


def _encoder(
    height: int, width: int, shape: tuple[int, int], quality: int
) -> Encode:
    """Return a function that resizes a frame and encodes it as JPEG."""
    window, _ = transforms.whole_window(height, width, min(shape))
    resampler = transforms.Resampler(height, width, window[None].numpy(), shape)

    def encode(frame: np.ndarray) -> bytes:
        resized = resampler(frame)[0]
        return tf.io.encode_jpeg(resized, quality=quality).numpy()

    return encode


def _timed(
    jpegs: list[bytes], probe: Probe, timestamps: np.ndarray
) -> JpegVideo:
    """Add times of evenly spaced frames; None if the rate is unknown."""
    count, fps = probe.frames, probe.fps
    if fps <= 0:
        return JpegVideo(jpegs, probe, None, 0.0)
    times_s = np.arange(count) / fps
    if len(timestamps) == count and count > 1:
        # Keeps the file's rounding; on average a frame takes 1 / fps.
        steps = timestamps - timestamps[0]
        times_s = steps / steps[-1] * (count - 1) / fps
    return JpegVideo(jpegs, probe, times_s, float(times_s[-1]) + 1 / fps)
