"""Clips to compute attention on, and the frames to draw it on."""

import dataclasses

import numpy as np

from nonlocal_tf.attention.attention_map import AttentionMap, Cell

from ..data import Dataset, clip_files, video_clip
from ..data.sampling_config import SamplingConfig
from ..data.video_limits import Limits
from ..io.user_error import UserError

SHORT_SIDE_PX = 480  # of drawn video frames
DEFAULT_MS = 500  # duration of a frame without a time
MIN_MS = 20


@dataclasses.dataclass(frozen=True)
class AttentionInput:
    """A clip, and the frames on which its attention maps are drawn.

    Attributes:
        pixels: uint8 `(time, height, width, 3)`, input of the network.
        frames: uint8 `(time, height, width, 3)`: the same, or the full frames
            of the video.
        names: of the frames.
        milliseconds: duration of each frame.
        query: labelled query, (frame, y, x) in pixels of the clip, if any.
        clip: of the video, for videos.
    """

    pixels: np.ndarray
    frames: np.ndarray
    names: list[str]
    milliseconds: int = DEFAULT_MS
    query: Cell | None = None
    clip: video_clip.VideoClip | None = None

    def on_frames(self, attention_map: AttentionMap) -> AttentionMap:
        """Transform an attention map of the clip to one of the frames."""
        return (
            attention_map
            if self.clip is None
            else _moved(attention_map, self.clip, self.size)
        )

    def in_video(self, attention_map: AttentionMap, cell: Cell) -> Cell | None:
        """Return a cell's center as (frame, y, x) in pixels of the video."""
        if self.clip is None:
            return None
        size = self.clip.index.height, self.clip.index.width
        frame, y, x = _moved(attention_map, self.clip, size).center_pixel(cell)
        number = int(self.clip.numbers[min(frame, len(self.clip.numbers) - 1)])
        return number, min(y, size[0] - 1), min(x, size[1] - 1)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames."""
        return self.frames.shape[1], self.frames.shape[2]


def _moved(
    attention_map: AttentionMap, clip: video_clip.VideoClip, size
) -> AttentionMap:
    """Transform an attention map of a clip to resized frames of its video."""
    down, along = clip.scale
    scale_y = down * size[0] / clip.index.height
    scale_x = along * size[1] / clip.index.width
    return attention_map.transform((0.0, *clip.offset), (1.0, scale_y, scale_x))


def read_file(
    path: str,
    sampling: SamplingConfig | None,
    at_s: float | None,
    limits: Limits | None = None,
) -> AttentionInput:
    """Read a clip file, or a clip of a video.

    Args:
        path: path or URL of the file.
        sampling: of training clips; None for models without videos.
        at_s: start time of the clip in the video; None for the middle clip.
        limits: on reading a video; None for the defaults.

    Raises:
        UserError: it cannot be read.
    """
    if sampling is None or clip_files.is_clip(path, videos=True):
        if at_s is not None:
            raise UserError(f"--at is for videos. Received: {path}")
        return _from_pixels(clip_files.read_clip(path))
    clip = video_clip.read(path, sampling, at_s, limits)
    frames = clip.whole_frames(SHORT_SIDE_PX)
    milliseconds = max(round(clip.milliseconds or DEFAULT_MS), MIN_MS)
    return AttentionInput(
        clip.pixels, frames, clip.names(), milliseconds, None, clip
    )


def read_sample(dataset: Dataset, split: str, index: int) -> AttentionInput:
    """Read an example of a data set.

    Raises:
        UserError: there is no such example.
    """
    example = dataset.example(split, index)
    return _from_pixels(example.pixels, example.query)


def _from_pixels(
    pixels: np.ndarray, query: Cell | None = None
) -> AttentionInput:
    names = [f"frame {number}" for number in range(len(pixels))]
    return AttentionInput(pixels, pixels, names, query=query)
