"""Windows of JPEG frames, of which only what is shown is decoded."""

import tensorflow as tf

from ..io import image_bytes
from . import transforms


def read_windows(load, frames, shape, windows, size_px):
    """Decodes windows of frames; made of TensorFlow's operations alone.

    Args:
        load: a function of a frame's number that gives its JPEG.
        frames: int64 numbers, `(n,)`, also repeated.
        shape: int32 (height, width) of a frame, in pixels.
        windows: float64 `(w, 5)`.
        size_px: int32 (height, width) of each window, in pixels.

    Returns:
        uint8 RGB `(w, n, *size_px, 3)`.
    """
    rectangle, moved = covering(shape[0], shape[1], windows, size_px)
    # Clips of a test overlap; each frame is decoded once.
    distinct, places = tf.unique(frames)

    def take(number):
        frame = tf.image.decode_and_crop_jpeg(
            load(number),
            rectangle,
            channels=3,
            try_recover_truncated=True,
            dct_method=image_bytes.DCT_METHOD,
        )
        return transforms.resample(frame[None], moved, size_px)[:, 0]

    # A frame at a time stays in the processor's cache.
    clip = tf.map_fn(
        take, distinct, fn_output_signature=tf.uint8
    )  # (distinct, w, h, w, 3)
    return tf.map_fn(
        lambda window: tf.gather(clip[:, window], places),
        tf.range(tf.shape(windows)[0]),
        fn_output_signature=tf.uint8,
    )


def covering(height, width, windows, size_px):
    """The part of a frame that windows show.

    Args:
        height: of the frame, in pixels, int32.
        width: of the frame, in pixels, int32.
        windows: float64 `(w, 5)`.
        size_px: int32 (height, width) of each window.

    Returns:
        int32 (top, left, height, width) of the part, and the windows in it.
        What of a window lies beyond an edge of the frame lies beyond the
        part's edge there.
    """
    top, low = _extent(size_px[0], windows[:, 0], windows[:, 2], height)
    left, right = _extent(size_px[1], windows[:, 1], windows[:, 3], width)
    # A JPEG cut at a column has other colours there, and only there: they are
    # interpolated from half as many, and the next one is cut off.
    left, right = tf.maximum(left - 1, 0), tf.minimum(right + 1, width - 1)
    part = tf.stack([top, left, low - top + 1, right - left + 1])
    shift = tf.stack(
        [
            tf.cast(top, tf.float64) / windows[:, 2],
            tf.cast(left, tf.float64) / windows[:, 3],
        ],
        axis=1,
    )
    moved = tf.concat([windows[:, :2] - shift, windows[:, 2:]], axis=1)
    return part, moved


def _extent(size, offsets, scales, length):
    """First and last pixel along a side that any window needs."""
    last = tf.cast(length - 1, tf.float64)

    def place(pixel):
        pixel = tf.cast(pixel, tf.float64)
        found = (pixel + offsets + 0.5) * scales - 0.5
        return tf.cast(tf.floor(tf.clip_by_value(found, 0.0, last)), tf.int32)

    first = tf.reduce_min(place(0))
    return first, tf.minimum(tf.reduce_max(place(size - 1)) + 1, length - 1)
