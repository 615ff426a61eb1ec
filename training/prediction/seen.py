"""What a network sees, and what of it a picture shows."""

import dataclasses

import numpy as np

from nonlocal_tf.attention.attention_map import AttentionMap, Cell

from ..data import Dataset, clip_files, video_clip
from ..data.sampling_config import SamplingConfig
from ..data.video_limits import Limits
from ..io.user_error import UserError

SHORT_SIDE_PX = 480  # of the frames of a video that are drawn
SLOW_MS = 500  # for which a frame is shown whose time is not known
LEAST_MS = 20


@dataclasses.dataclass(frozen=True)
class Seen:
    """A clip, and the frames on which looks at it are drawn.

    Attributes:
        pixels: uint8, `(time, height, width, 3)`, what the network takes.
        frames: uint8, `(time, height, width, 3)`: the same, or the whole
            frames of the video it was cut from.
        names: of the frames.
        milliseconds: for which each is shown.
        query: (frame, y, x) in pixels of the clip, where one is labelled.
        clip: of the video, if it is one.
    """

    pixels: np.ndarray
    frames: np.ndarray
    names: list[str]
    milliseconds: int = SLOW_MS
    query: Cell | None = None
    clip: video_clip.VideoClip | None = None

    def on_frames(self, look: AttentionMap) -> AttentionMap:
        """A look on the clip as one on the frames."""
        return look if self.clip is None else _moved(look, self.clip, self.size)

    def in_video(self, look: AttentionMap, cell: Cell) -> Cell | None:
        """(frame, y, x) in the video's pixels of a cell's middle."""
        if self.clip is None:
            return None
        size = self.clip.index.height, self.clip.index.width
        frame, y, x = _moved(look, self.clip, size).center_pixel(cell)
        number = int(self.clip.numbers[min(frame, len(self.clip.numbers) - 1)])
        return number, min(y, size[0] - 1), min(x, size[1] - 1)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frames."""
        return self.frames.shape[1], self.frames.shape[2]


def _moved(
    look: AttentionMap, clip: video_clip.VideoClip, size
) -> AttentionMap:
    """A look on a clip as one on the video's frames, scaled to a size."""
    down, along = clip.scale
    scale_y = down * size[0] / clip.index.height
    scale_x = along * size[1] / clip.index.width
    return look.transform((0.0, *clip.offset), (1.0, scale_y, scale_x))


def of_file(
    path: str,
    sampling: SamplingConfig | None,
    at_s: float | None,
    limits: Limits | None = None,
) -> Seen:
    """A clip file, or a part of a video.

    Args:
        path: of the file, or its URL.
        sampling: of training clips; None for models without videos.
        at_s: where the clip starts in the video, in seconds; None for its
            middle.
        limits: of what reading a video may take; None for those of all files.

    Raises:
        UserError: it cannot be read.
    """
    if sampling is None or clip_files.is_clip(path, videos=True):
        if at_s is not None:
            raise UserError(f"--at is for videos. Received: {path}")
        return _of_pixels(clip_files.read_clip(path))
    clip = video_clip.read(path, sampling, at_s, limits)
    frames = clip.whole_frames(SHORT_SIDE_PX)
    milliseconds = max(round(clip.milliseconds or SLOW_MS), LEAST_MS)
    return Seen(clip.pixels, frames, clip.names(), milliseconds, None, clip)


def of_sample(dataset: Dataset, split: str, index: int) -> Seen:
    """An example of a data set.

    Raises:
        UserError: there is none.
    """
    example = dataset.example(split, index)
    return _of_pixels(example.pixels, example.query)


def _of_pixels(pixels: np.ndarray, query: Cell | None = None) -> Seen:
    names = [f"frame {number}" for number in range(len(pixels))]
    return Seen(pixels, pixels, names, query=query)
