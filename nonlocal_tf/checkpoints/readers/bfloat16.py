"""Conversion of bfloat16, which NumPy lacks: the upper half of a float32."""

import numpy as np

WIDTH = 2  # bytes


def to_float32(halves: np.ndarray) -> np.ndarray:
    """Convert bfloat16, stored as "<u2", to float32."""
    upper = halves.astype("<u4")
    upper <<= 16
    return upper.view("<f4")
