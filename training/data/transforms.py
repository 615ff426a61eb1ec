"""Geometry of clips: which pixels of a frame a network gets to see.

A window is five numbers: (offset_y, offset_x, scale_y, scale_x, flip). Pixel i
of its rows lies at (i + offset_y + 0.5) * scale_y - 0.5 in the frame, and
alike for columns, which are taken from right to left if flip is 1. The value
there is interpolated linearly between the four pixels around it, without
smoothing before that, as OpenCV's INTER_LINEAR does and with it the authors'
code. So scaling a frame and cropping what came out is one step, whose cost is
that of the crop. A window lies in the frame: the middles of its outermost
pixels may be outside by half a pixel, where the edge of the frame goes on.
"""

import numpy as np
import tensorflow as tf

WINDOW = 5  # numbers


def random_window(draws, height, width, short_side_px, crop_px, flip):
    """A window at a random scale and place, as the paper trains with.

    The short side is scaled to a whole number of pixels drawn uniformly, then
    a square is cut at a place drawn uniformly.

    Args:
        draws: float32 in [0, 1), `(4,)`: scale, row, column, flip.
        height: of the frame, in pixels, int32.
        width: of the frame, in pixels, int32.
        short_side_px: the smallest and the largest short side.
        crop_px: of the square.
        flip: whether half of the windows are mirrored.

    Returns:
        float64 `(5,)`.
    """
    low, high = short_side_px
    short = low + below(draws[0], high - low + 1)
    scaled = scaled_size(height, width, short)
    offset_y = below(draws[1], scaled[0] - crop_px + 1)
    offset_x = below(draws[2], scaled[1] - crop_px + 1)
    mirrored = tf.cast(draws[3] < 0.5, tf.float64) if flip else 0.0
    return _window(height, width, scaled, offset_y, offset_x, mirrored)


def jitter_colors(pixels, draws, strength):
    """Scale and shift each color channel of a clip at random.

    A value v becomes v * gain + shift, with a gain from 1 - `strength` to
    1 + `strength` and a shift of up to `strength` / 2 of the range, the same
    in all frames.

    Args:
        pixels: uint8 `(time, height, width, 3)`.
        draws: float32 in [0, 1), `(2, 3)`: gain and shift of each channel.
        strength: from 0 to 1.

    Returns:
        uint8 of the same shape.
    """
    gain, shift = tf.unstack((2 * draws - 1) * strength)
    values = (tf.cast(pixels, tf.float32) - 127.5) * (1 + gain)
    values += 127.5 + 127.5 * shift
    return tf.cast(tf.clip_by_value(values + 0.5, 0.0, 255.0), tf.uint8)


def crop_windows(height, width, short_side_px, crop_px, crops):
    """Windows in a row along the long side of a frame, as testing takes them.

    Args:
        height: of the frame, in pixels, int32.
        width: of the frame, in pixels, int32.
        short_side_px: to which the short side is scaled.
        crop_px: of each square.
        crops: 1 for the middle; 3 for both ends too.

    Returns:
        float64 `(crops, 5)`.
    """
    if crops not in (1, 3):
        raise ValueError(f"Expected 1 or 3 crops. Received: {crops}")
    scaled = scaled_size(height, width, short_side_px)
    half_y, half_x = (scaled[0] - crop_px) // 2, (scaled[1] - crop_px) // 2
    wide = scaled[1] >= scaled[0]
    windows = []
    for halves in (1,) if crops == 1 else (0, 1, 2):
        # Across the long side, every crop is in the middle.
        y = half_y * tf.where(wide, 1, halves)
        x = half_x * tf.where(wide, halves, 1)
        windows.append(_window(height, width, scaled, y, x, 0.0))
    return tf.stack(windows)


def whole_window(height, width, short_side_px):
    """The whole frame, scaled, as a window and its (height, width)."""
    scaled = scaled_size(height, width, short_side_px)
    return _window(height, width, scaled, 0, 0, 0.0), tf.stack(scaled)


def scaled_size(height, width, short_side_px):
    """(height, width) when the short side is scaled, rounded to pixels."""
    short = tf.cast(tf.minimum(height, width), tf.float64)
    scale = tf.cast(short_side_px, tf.float64) / short
    return tuple(
        tf.cast(tf.floor(tf.cast(side, tf.float64) * scale + 0.5), tf.int32)
        for side in (height, width)
    )


class Resampler:
    """Takes windows out of frames of one size, in NumPy.

    Args:
        height: of the frames, in pixels.
        width: of the frames, in pixels.
        windows: float64 `(w, 5)`.
        size_px: (height, width) of each window.
    """

    def __init__(self, height: int, width: int, windows, size_px):
        self._size = tuple(int(side) for side in size_px)
        self._plans = [
            _Plan(height, width, window, self._size) for window in windows
        ]

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """uint8 `(height, width, 3)` to uint8 `(w, *size_px, 3)`."""
        out = np.empty((len(self._plans), *self._size, 3), np.uint8)
        for plan, part in zip(self._plans, out, strict=True):
            plan.take(frame, part)
        return out


class _Plan:
    """One window: which pixels it is made of, and buffers for the work."""

    def __init__(self, height, width, window, size):
        offset_y, offset_x, scale_y, scale_x, flip = (float(v) for v in window)
        top, below = taps(size[0], offset_y, scale_y, height)
        left, right = taps(size[1], offset_x, scale_x, width)
        if flip:
            left, right = left[::-1].copy(), right[::-1].copy()
        self._top, self._left = top.astype(np.intp), left.astype(np.intp)
        self._low = np.minimum(self._top + 1, height - 1)
        self._after = np.minimum(self._left + 1, width - 1)
        self._low_weight = below.astype(np.float32)[:, None, None]
        self._right_weight = np.repeat(right, 3).astype(np.float32)
        # Only these columns are looked at.
        self._first = int(self._left.min())
        self._last = int(self._after.max()) + 1
        self._left -= self._first
        self._after -= self._first
        self._cut = None
        if scale_y == scale_x == 1 and not (below.any() or right.any()):
            rows = slice(self._top[0], self._top[-1] + 1)
            step = -1 if flip else 1
            columns = slice(self._first, self._first + size[1])
            self._cut = rows, columns, step

    def take(self, frame, out):
        """Writes the window of a frame to `out`."""
        if self._cut is not None:  # nothing is scaled
            rows, columns, step = self._cut
            out[...] = frame[rows, columns][:, ::step]
            return
        part = frame[:, self._first : self._last]
        tall = _mix(
            part[self._top].astype(np.float32),
            part[self._low].astype(np.float32),
            self._low_weight,
        )
        flat = len(out), -1
        # "clip" is the mode that does not copy once more.
        wide = _mix(
            tall.take(self._left, axis=1, mode="clip").reshape(flat),
            tall.take(self._after, axis=1, mode="clip").reshape(flat),
            self._right_weight,
        )
        wide += np.float32(0.5)  # truncation then rounds
        np.copyto(out, wide.reshape(out.shape), casting="unsafe")


def _mix(one, other, weight):
    """one + (other - one) * weight, written over both."""
    np.subtract(other, one, out=other)
    np.multiply(other, weight, out=other)
    return np.add(one, other, out=one)


def taps(size: int, offset: float, scale: float, length: int):
    """Where the pixels of a window lie along one side of a frame.

    Args:
        size: pixels of the window.
        offset: of the window.
        scale: of the window.
        length: pixels of the frame.

    Returns:
        The pixel before each, int64 `(size,)`, and the weight of the next
        one, float64 `(size,)`. Outside of the frame is its edge.
    """
    place = (np.arange(size) + offset + 0.5) * scale - 0.5
    place = np.clip(place, 0.0, length - 1.0)
    before = np.floor(place)
    return before.astype(np.int64), place - before


def resample(frames, windows, size_px):
    """Takes windows out of frames, in TensorFlow; as `Resampler` does.

    Args:
        frames: uint8 `(n, height, width, 3)`.
        windows: float64 `(w, 5)`.
        size_px: int32 (height, width) of each window.

    Returns:
        uint8 `(w, n, *size_px, 3)`.
    """

    def take(window):
        numbers = tf.cast(window, tf.float32)
        scaled = tf.raw_ops.ScaleAndTranslate(
            images=frames,
            size=size_px,
            scale=1 / numbers[2:4],
            translation=-numbers[:2],
            kernel_type="triangle",
            antialias=False,
        )
        pixels = tf.cast(scaled + 0.5, tf.uint8)
        return tf.cond(
            window[4] > 0.5, lambda: pixels[:, :, ::-1], lambda: pixels
        )

    return tf.map_fn(take, windows, fn_output_signature=tf.uint8)


def _window(height, width, scaled, offset_y, offset_x, flip):
    scale_y = tf.cast(height, tf.float64) / tf.cast(scaled[0], tf.float64)
    scale_x = tf.cast(width, tf.float64) / tf.cast(scaled[1], tf.float64)
    numbers = [offset_y, offset_x, scale_y, scale_x, flip]
    return tf.stack([tf.cast(number, tf.float64) for number in numbers])


def below(draw, count):
    """A whole number from 0 to below `count`, from a draw in [0, 1)."""
    count = tf.cast(count, tf.int32)
    number = tf.cast(draw * tf.cast(count, tf.float32), tf.int32)
    return tf.minimum(number, count - 1)  # float32 may round up to count
