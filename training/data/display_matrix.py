"""Rotation and flip of video frames by the display matrix of a file.

A display matrix has nine numbers, of which a, b, c and d map a pixel of a
stored frame to the display: x' = a x + c y, y' = b x + d y. Phones write
rotations, front cameras flips. FFmpeg's tools apply it; its libraries, and so
PyAV, do not.
"""

import struct

import numpy as np

MATRIX = struct.Struct("9i")


def of_frame(frame) -> tuple[int, bool]:
    """Return quarter turns and flip of a decoded frame of PyAV."""
    for side_data in frame.side_data:
        if side_data.type.name == "DISPLAYMATRIX":
            return of_matrix(bytes(side_data))
    return 0, False


def of_matrix(matrix: bytes) -> tuple[int, bool]:
    """Return the quarter turns and flip closest to a display matrix.

    Args:
        matrix: nine int32, as FFmpeg stores them.

    Returns:
        Counter-clockwise quarter turns, and whether the frame is flipped
        horizontally before.
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
    """Flip and rotate a frame `(height, width, 3)`; returns a view."""
    return np.rot90(frame[:, ::-1] if flip else frame, turns)
