"""Choose the frame stride of clips from the lengths of the training videos.

`sampling.frame_stride=auto` is resolved once, at the start of a run; its
recipe.json has the number. A clip then spans a video of median length, with at
least two frames per second. If frame rates differ, strides count frames at the
median rate, so that clips have the same duration in all videos.
"""

import dataclasses
import statistics
from collections.abc import Sequence

from .clip_reader import Probe
from .sampling_config import SamplingConfig
from .video_dataset import VideoDataset

# Longest time between frames of a clip; motion in between is lost.
MAX_GAP_S = 0.5
# Relative tolerance of equal frame rates: 29.97 and 30.
SAME_RATE = 0.01


def choose(
    dataset: VideoDataset, sampling: SamplingConfig
) -> tuple[SamplingConfig, str]:
    """Choose a stride, and a rate if those of the training videos differ.

    Returns:
        `sampling` with a number as `frame_stride`, and a line for the screen.
    """
    probes = [
        # The rate of the data set has precedence over that of the file.
        dataclasses.replace(probe, fps=video.fps or probe.fps)
        for video, probe in dataset.probes()["train"]
    ]
    chosen = for_videos(probes, sampling)
    return chosen, _describe(probes, chosen)


def for_videos(
    probes: Sequence[Probe], sampling: SamplingConfig
) -> SamplingConfig:
    """Choose a stride, and a rate if those of the videos differ.

    Args:
        probes: lengths and rates of the training videos; an unknown rate is 0.
        sampling: length of a clip, and optionally a rate.

    Returns:
        `sampling` with a number as `frame_stride`.
    """
    rates = [probe.fps for probe in probes if probe.fps]
    fps, rate = sampling.fps, sampling.fps
    if rates and fps is None:
        rate = statistics.median(rates)
        if max(rates) > min(rates) * (1 + SAME_RATE):
            fps = rate
    lengths = [
        probe.frames * fps / probe.fps if fps and probe.fps else probe.frames
        for probe in probes
    ]
    median = round(statistics.median(lengths), 6)
    stride = int((median - 1) // max(1, sampling.frames - 1))
    if rate:
        stride = min(stride, round(rate * MAX_GAP_S))
    return dataclasses.replace(sampling, frame_stride=max(1, stride), fps=fps)


def _describe(probes: Sequence[Probe], sampling: SamplingConfig) -> str:
    """Describe the choice, as a line for the screen."""
    text = f"sampling.frame_stride={sampling.stride}"
    rates = [probe.fps for probe in probes if probe.fps]
    if sampling.fps:
        text += f", sampling.fps={sampling.fps:g}"
    span = (sampling.frames - 1) * sampling.stride + 1
    text += f": clips of {sampling.frames} frames, "
    if not rates:
        median = statistics.median(probe.frames for probe in probes)
        return f"{text}{span} frames long, of videos of {median:g} (median)"
    seconds = [probe.frames / probe.fps for probe in probes if probe.fps]
    rate = sampling.fps or statistics.median(rates)
    median = statistics.median(seconds)
    return (
        f"{text}{span / rate:.1f} s long, of videos of {median:.1f} s (median)"
    )
