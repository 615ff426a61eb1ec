"""How a video file asks its frames to be turned and flipped.

A display matrix holds nine numbers, of which a, b, c and d say where a pixel
of a stored frame is shown: x' = a x + c y, y' = b x + d y. Phones turn by it,
and cameras that face their owner flip. FFmpeg's tools apply it unasked; its
libraries, and so PyAV, do not.
"""

import struct

import numpy as np

MATRIX = struct.Struct("9i")


def of_frame(frame) -> tuple[int, bool]:
    """Quarter turns and flip that a decoded frame of PyAV asks for."""
    for side_data in frame.side_data:
        if side_data.type.name == "DISPLAYMATRIX":
            return of_matrix(bytes(side_data))
    return 0, False


def of_matrix(matrix: bytes) -> tuple[int, bool]:
    """Quarter turns and flip of a display matrix, the nearest of all eight.

    Args:
        matrix: nine int32, as FFmpeg keeps them.

    Returns:
        Quarter turns counter-clockwise, and whether the frame is flipped from
        left to right before that.
    """
    if len(matrix) != MATRIX.size:
        return 0, False
    a, b, _, c, d, *_ = MATRIX.unpack(matrix)
    if abs(a) + abs(d) >= abs(b) + abs(c):
        turns = {(False, False): 0, (True, False): 0}.get((a < 0, d < 0), 2)
        return turns, (a < 0) != (d < 0)
    # Rows become columns.
    return (1 if c > 0 else 3), (b < 0) == (c < 0)


def oriented(frame: np.ndarray, turns: int, flip: bool) -> np.ndarray:
    """A frame `(height, width, 3)` as it is shown; a view of it."""
    return np.rot90(frame[:, ::-1] if flip else frame, turns)
