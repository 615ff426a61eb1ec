"""Weights as colours that lie over a frame."""

import numpy as np

# From dark to light, from blue to yellow: Okabe and Ito's, which colour-blind
# people can tell apart.
HEAT = ((20, 20, 60), (0, 114, 178), (86, 180, 233), (240, 228, 66))


def glowing(
    tile: np.ndarray, share: np.ndarray, colour: tuple[int, int, int]
) -> np.ndarray:
    """Mixes a colour into a frame, at most half of it.

    Args:
        tile: uint8 RGB, `(height, width, 3)`.
        share: of the largest weight, `(height, width)`.
        colour: RGB.

    Returns:
        uint8 RGB, `(height, width, 3)`.
    """
    share = 0.5 * np.sqrt(share)[..., None]  # the root lifts the faint ones
    mixed = (1 - share) * tile + share * np.array(colour)
    return mixed.round().astype("uint8")


def heated(tile: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Lays heat over a frame, which turns grey so that colours mean heat.

    Args:
        tile: uint8 RGB, `(height, width, 3)`.
        share: of the largest weight, `(height, width)`.

    Returns:
        uint8 RGB, `(height, width, 3)`.
    """
    grey = tile @ np.array([0.299, 0.587, 0.114])
    places = np.linspace(0, 1, len(HEAT))
    channels = zip(*HEAT, strict=True)
    heat = np.stack([np.interp(share, places, c) for c in channels], -1)
    mix = 0.15 + 0.65 * np.sqrt(share)[..., None]
    mixed = (1 - mix) * grey[..., None] + mix * heat
    return mixed.round().astype("uint8")
