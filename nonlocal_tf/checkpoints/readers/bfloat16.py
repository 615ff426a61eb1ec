"""bfloat16, which NumPy has not: the upper half of a float32."""

import numpy as np

WIDTH = 2


def to_float32(halves: np.ndarray) -> np.ndarray:
    """Numbers of bfloat16, given as "<u2", as an array of float32."""
    upper = halves.astype("<u4")
    upper <<= 16
    return upper.view("<f4")
