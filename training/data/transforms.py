"""Resize, crop, flip and color jitter of clips.

A crop window is five numbers: (offset_y, offset_x, scale_y, scale_x, flip). Row
i of the crop is at (i + offset_y + 0.5) * scale_y - 0.5 in the frame, and
likewise for columns, which are reversed if flip is 1. Pixels are interpolated
bilinearly without antialiasing, as OpenCV's INTER_LINEAR in the authors' code.
Resizing and cropping are thus one step at the cost of the crop. Windows lie
within the frame; centres of their outermost pixels may be outside by half a
pixel, where edge pixels are repeated.
"""

import numpy as np
import tensorflow as tf


def random_window(draws, height, width, short_side_px, crop_px, flip):
    """Return a random crop window, as in the training of the paper.

    The short side is resized to a number of pixels drawn uniformly, then a
    square is cropped at a position drawn uniformly.

    Args:
        draws: float32 in [0, 1), `(4,)`: scale, row, column, flip.
        height: height of the frame in pixels, int32.
        width: width of the frame in pixels, int32.
        short_side_px: smallest and largest short side.
        crop_px: side of the square.
        flip: whether half of the windows are flipped horizontally.

    Returns:
        float64 `(5,)`.
    """
    low, high = short_side_px
    short = low + below(draws[0], high - low + 1)
    scaled = scaled_size(height, width, short)
    offset_y = below(draws[1], scaled[0] - crop_px + 1)
    offset_x = below(draws[2], scaled[1] - crop_px + 1)
    flipped = tf.cast(draws[3] < 0.5, tf.float64) if flip else 0.0
    return _window(height, width, scaled, offset_y, offset_x, flipped)


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
    """Return crop windows along the long side of a frame, for evaluation.

    Args:
        height: height of the frame in pixels, int32.
        width: width of the frame in pixels, int32.
        short_side_px: short side to which frames are resized.
        crop_px: side of the squares.
        crops: 1 for the centre; 3 for both ends too.

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
        # Along the short side, every crop is centred.
        y = half_y * tf.where(wide, 1, halves)
        x = half_x * tf.where(wide, halves, 1)
        windows.append(_window(height, width, scaled, y, x, 0.0))
    return tf.stack(windows)


def whole_window(height, width, short_side_px):
    """Return the window of a whole resized frame and its (height, width)."""
    scaled = scaled_size(height, width, short_side_px)
    return _window(height, width, scaled, 0, 0, 0.0), tf.stack(scaled)


def scaled_size(height, width, short_side_px):
    """Return (height, width) after resizing the short side, in pixels."""
    short = tf.cast(tf.minimum(height, width), tf.float64)
    scale = tf.cast(short_side_px, tf.float64) / short
    return tuple(
        tf.cast(tf.floor(tf.cast(side, tf.float64) * scale + 0.5), tf.int32)
        for side in (height, width)
    )


class Resampler:
    """Resizes and crops frames of one size with NumPy.

    Args:
        height: height of the frames, in pixels.
        width: width of the frames, in pixels.
        windows: float64 `(w, 5)`.
        size_px: (height, width) of each window.
    """

    def __init__(self, height: int, width: int, windows, size_px):
        self._size = tuple(int(side) for side in size_px)
        self._plans = [
            _Plan(height, width, window, self._size) for window in windows
        ]

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """Crop uint8 `(height, width, 3)` to uint8 `(w, *size_px, 3)`."""
        out = np.empty((len(self._plans), *self._size, 3), np.uint8)
        for plan, crop in zip(self._plans, out, strict=True):
            plan.apply(frame, crop)
        return out


class _Plan:
    """Precomputed pixel indices and weights of one window."""

    def __init__(self, height, width, window, size):
        offset_y, offset_x, scale_y, scale_x, flip = (float(v) for v in window)
        y0, y_weight = taps(size[0], offset_y, scale_y, height)
        x0, x_weight = taps(size[1], offset_x, scale_x, width)
        if flip:
            x0, x_weight = x0[::-1].copy(), x_weight[::-1].copy()
        self._y0, self._x0 = y0.astype(np.intp), x0.astype(np.intp)
        self._y1 = np.minimum(self._y0 + 1, height - 1)
        self._x1 = np.minimum(self._x0 + 1, width - 1)
        self._y_weight = y_weight.astype(np.float32)[:, None, None]
        self._x_weight = np.repeat(x_weight, 3).astype(np.float32)
        # Only these columns are read.
        self._first = int(self._x0.min())
        self._last = int(self._x1.max()) + 1
        self._x0 -= self._first
        self._x1 -= self._first
        self._slices = None
        if scale_y == scale_x == 1 and not (y_weight.any() or x_weight.any()):
            rows = slice(self._y0[0], self._y0[-1] + 1)
            step = -1 if flip else 1
            columns = slice(self._first, self._first + size[1])
            self._slices = rows, columns, step

    def apply(self, frame, out):
        """Write the crop of a frame to `out`."""
        if self._slices is not None:  # a crop without resizing
            rows, columns, step = self._slices
            out[...] = frame[rows, columns][:, ::step]
            return
        columns = frame[:, self._first : self._last]
        rows = _interpolate(
            columns[self._y0].astype(np.float32),
            columns[self._y1].astype(np.float32),
            self._y_weight,
        )
        flat = len(out), -1
        # mode="clip" avoids a copy.
        pixels = _interpolate(
            rows.take(self._x0, axis=1, mode="clip").reshape(flat),
            rows.take(self._x1, axis=1, mode="clip").reshape(flat),
            self._x_weight,
        )
        pixels += np.float32(0.5)  # truncation then rounds
        np.copyto(out, pixels.reshape(out.shape), casting="unsafe")


def _interpolate(low, high, weight):
    """Compute low + (high - low) * weight, overwriting both."""
    np.subtract(high, low, out=high)
    np.multiply(high, weight, out=high)
    return np.add(low, high, out=low)


def taps(size: int, offset: float, scale: float, length: int):
    """Return the bilinear taps of a window along one side of a frame.

    Args:
        size: pixels of the window.
        offset: offset of the window.
        scale: scale of the window.
        length: pixels of the frame.

    Returns:
        Index of the lower neighbour, int64 `(size,)`, and weight of the upper
        one, float64 `(size,)`. Positions are clipped to the frame.
    """
    position = (np.arange(size) + offset + 0.5) * scale - 0.5
    position = np.clip(position, 0.0, length - 1.0)
    lower = np.floor(position)
    return lower.astype(np.int64), position - lower


def resample(frames, windows, size_px):
    """Resize and crop frames with TensorFlow, as `Resampler` does.

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
    """Map a draw in [0, 1) to an integer in [0, `count`)."""
    count = tf.cast(count, tf.int32)
    number = tf.cast(draw * tf.cast(count, tf.float32), tf.int32)
    return tf.minimum(number, count - 1)  # float32 may round up to count
