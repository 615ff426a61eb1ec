"""Draw training clips, each without augmentation and with it."""

import numpy as np
import tensorflow as tf

from . import auto_stride
from .clip_strips import GAP_PX, strip
from .data_config import DataConfig
from .sampling_config import AUTO, SamplingConfig
from .video_dataset import VideoDataset

CLIPS = 4
FRAMES = 8  # drawn of each clip
FRAME_PX = 112


def draw(
    kind: type[VideoDataset], data: DataConfig, sampling: SamplingConfig
) -> bytes:
    """Draw the first clips of a training with seed 0, in pairs of strips.

    The upper strip of each is the clip without augmentation.

    Args:
        kind: of data set.
        data: its location.
        sampling: of the training.

    Returns:
        A PNG.

    Raises:
        UserError: the settings are invalid, or no training video can be read.
    """
    if sampling.frame_stride == AUTO:
        sampling, _ = auto_stride.choose(kind(data, plain(sampling)), sampling)
    sources = [
        kind(data, config).source("train")
        for config in (plain(sampling), sampling)
    ]
    rows = []
    for number in range(min(CLIPS, len(sources[0]))):
        for source in sources:
            clip, _ = source[number]
            rows.append(strip(_drawn(clip), scale=1))
        gap = np.full((GAP_PX * 2, *rows[-1].shape[1:]), 255, "uint8")
        rows.append(gap)
    return tf.io.encode_png(np.concatenate(rows[:-1])).numpy()


def plain(sampling: SamplingConfig) -> SamplingConfig:
    """Return a sampling of the same clips without augmentation."""
    return SamplingConfig(
        frames=sampling.frames,
        frame_stride=sampling.frame_stride,
        fps=sampling.fps,
        past_end=sampling.past_end,
        balanced=sampling.balanced,
        repeats=sampling.repeats,
        min_short_side_px=sampling.crop_px,
        max_short_side_px=sampling.crop_px,
        crop_px=sampling.crop_px,
        eval_short_side_px=sampling.crop_px,
        flip=False,
    )


def _drawn(clip: np.ndarray) -> np.ndarray:
    """Return some frames of a clip, in the size of the picture."""
    picked = np.linspace(0, len(clip) - 1, min(FRAMES, len(clip))).round()
    frames = tf.image.resize(clip[picked.astype(int)], [FRAME_PX] * 2)
    return np.asarray(tf.cast(frames + 0.5, tf.uint8))
