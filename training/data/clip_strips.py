"""Draw generated clips: the frames of each in a strip."""

import numpy as np
import tensorflow as tf

from .abilities import Abilities
from .ability_config import ABILITIES, AbilityConfig
from .data_config import DataConfig
from .datasets import Dataset

CLIPS = 2
SCALE = 3  # pixels of the picture per pixel of a clip
GAP_PX = 3
GAP_GREY = 128
MAX_WIDTH_PX = 1100


def strip_names(data: DataConfig) -> dict[str, AbilityConfig]:
    """Return the clips to draw of `abilities`, by the names of files.

    Args:
        data: with `clips`, for one ability; without, all are drawn, and
            without noise.
    """
    configs = [AbilityConfig(ability, noise=0.0) for ability in ABILITIES]
    if data.clips is not None:
        configs = [data.clips]
    return {f"abilities_{config.ability}.png": config for config in configs}


def draw_strips(config: AbilityConfig) -> tuple[bytes, list[str]]:
    """Draw the first test clips of an ability.

    Returns:
        A PNG, and the name of the class of each clip.
    """
    dataset = Abilities(config)
    examples = [dataset.example("test", index) for index in range(CLIPS)]
    strips = [strip(example.pixels) for example in examples]
    gap = np.full((GAP_PX, *strips[0].shape[1:]), 255, "uint8")
    picture = np.concatenate([strips[0], gap, *strips[1:]])
    labels = [dataset.classes[example.label] for example in examples]
    return tf.io.encode_png(picture).numpy(), labels


def overview(dataset: Dataset) -> str:
    """Describe a generated data set in a line."""
    splits = ", ".join(f"{name} {n}" for name, n in dataset.splits.items())
    shape = " x ".join(map(str, dataset.element_shape[:-1]))
    return f"{shape}, classes {', '.join(dataset.classes)}; {splits}"


def strip(pixels: np.ndarray, scale: int = SCALE) -> np.ndarray:
    """Put frames beside each other, in as many rows as it takes.

    Args:
        pixels: uint8, `(t, h, w, 3)`.
        scale: pixels of the strip per pixel of the clip.

    Returns:
        uint8, `(height, width, 3)`.
    """
    frames = pixels.repeat(scale, axis=1).repeat(scale, axis=2)
    before = ((0, 0), (GAP_PX, 0), (GAP_PX, 0), (0, 0))
    frames = np.pad(frames, before, constant_values=GAP_GREY)
    columns = min(len(frames), max(MAX_WIDTH_PX // frames.shape[2], 1))
    columns = max(n for n in range(1, columns + 1) if len(frames) % n == 0)
    _, height, width, channels = frames.shape
    rows = frames.reshape(-1, columns, height, width, channels)
    rows = rows.swapaxes(1, 2)
    picture = rows.reshape(-1, columns * width, channels)
    after = ((0, GAP_PX), (0, GAP_PX), (0, 0))
    return np.pad(picture, after, constant_values=GAP_GREY)
