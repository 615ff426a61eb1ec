"""Choose the frame stride of clips from the lengths of the training videos.

`sampling.frame_stride=auto` is resolved once, when a run begins; its
recipe.json has the number. The first and the last frame of a clip are then as
far apart as those of a video of median length, but a clip has at least two
frames a second. Where videos have different frame rates, strides are counted
at the median rate, so that a clip is as long in all of them.
"""

import dataclasses
import statistics
from collections.abc import Sequence

from ..recipes.schema import AUTO, Recipe, SamplingConfig
from ..runs.run_folder import RunFolder
from .datasets import dataset_of
from .sources import Probe
from .videos import VideoDataset

# Of one frame of a clip to the next: motion between them is lost.
MAX_GAP_S = 0.5
# Of frame rates that are taken to be the same: 29.97 and 30.
SAME_RATE = 0.01


def resolve(recipe: Recipe, run: RunFolder) -> tuple[Recipe, str]:
    """Replace "auto" by a number.

    Args:
        recipe: of a run that begins or is resumed.
        run: its folder; where it has a recipe, that one's number is taken.

    Returns:
        The recipe, and a line for the screen; "" if nothing was chosen.

    Raises:
        UserError: the data cannot be read.
    """
    sampling = recipe.sampling
    if sampling is None or sampling.frame_stride != AUTO:
        return recipe, ""
    if run.recipe_path.exists():
        before = run.read_recipe().sampling
        chosen = before and dataclasses.replace(
            sampling,
            frame_stride=before.frame_stride,
            fps=before.fps if sampling.fps is None else sampling.fps,
        )
        return dataclasses.replace(recipe, sampling=chosen or sampling), ""
    dataset = dataset_of(recipe)
    if not isinstance(dataset, VideoDataset):
        return recipe, ""
    probes = [
        # The data set's word on the rate goes before the file's.
        dataclasses.replace(probe, fps=video.fps or probe.fps)
        for video, probe in dataset.probes()["train"]
    ]
    chosen = for_videos(probes, sampling)
    replaced = dataclasses.replace(recipe, sampling=chosen)
    return replaced, _describe(probes, chosen)


def for_videos(
    probes: Sequence[Probe], sampling: SamplingConfig
) -> SamplingConfig:
    """Choose a stride, and a rate where those of the videos differ.

    Args:
        probes: lengths and rates of the training videos; rates may be 0, for
            unknown.
        sampling: length of a clip, and a rate if one is given.

    Returns:
        `sampling` with a number for a stride.
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
    """The choice and why, as a line for the screen."""
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
