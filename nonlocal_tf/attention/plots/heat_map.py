"""Attention weights as colors over a frame."""

import numpy as np

# Color map from dark blue to light yellow, in Okabe and Ito's colors, which
# are safe for color-blind readers.
COLORS = ((20, 20, 60), (0, 114, 178), (86, 180, 233), (240, 228, 66))


def overlay_color(
    frame: np.ndarray, weights: np.ndarray, color: tuple[int, int, int]
) -> np.ndarray:
    """Blend one color into a frame, by half at the largest weight.

    Args:
        frame: uint8 RGB, `(height, width, 3)`.
        weights: 0 to 1, relative to the largest, `(height, width)`.
        color: RGB.

    Returns:
        uint8 RGB, `(height, width, 3)`.
    """
    alpha = 0.5 * np.sqrt(weights)[..., None]  # the root shows small weights
    blended = (1 - alpha) * frame + alpha * np.array(color)
    return blended.round().astype("uint8")


def overlay_heat_map(frame: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Blend a heat map into a frame in grayscale.

    Args:
        frame: uint8 RGB, `(height, width, 3)`.
        weights: 0 to 1, relative to the largest, `(height, width)`.

    Returns:
        uint8 RGB, `(height, width, 3)`.
    """
    gray = frame @ np.array([0.299, 0.587, 0.114])
    stops = np.linspace(0, 1, len(COLORS))
    channels = zip(*COLORS, strict=True)
    heat = np.stack([np.interp(weights, stops, c) for c in channels], -1)
    alpha = 0.15 + 0.65 * np.sqrt(weights)[..., None]
    blended = (1 - alpha) * gray[..., None] + alpha * heat
    return blended.round().astype("uint8")
