"""Read crop windows of JPEG frames, decoding only the region needed."""

import tensorflow as tf

from ..io import image_bytes
from . import transforms


def read_windows(load, frames, shape, windows, size_px):
    """Decode crop windows of frames with TensorFlow operations only.

    Args:
        load: function from a frame number to a JPEG.
        frames: int64 frame numbers, `(n,)`, may be repeated.
        shape: int32 (height, width) of a frame, in pixels.
        windows: float64 `(w, 5)`.
        size_px: int32 (height, width) of each window, in pixels.

    Returns:
        uint8 RGB `(w, n, *size_px, 3)`.
    """
    region, moved = bounding_region(shape[0], shape[1], windows, size_px)
    # Evaluation clips overlap; each frame is decoded once.
    distinct, positions = tf.unique(frames)

    def take(number):
        frame = tf.image.decode_and_crop_jpeg(
            load(number),
            region,
            channels=3,
            try_recover_truncated=True,
            dct_method=image_bytes.DCT_METHOD,
        )
        return transforms.resample(frame[None], moved, size_px)[:, 0]

    # One frame at a time fits in the CPU cache.
    clip = tf.map_fn(
        take, distinct, fn_output_signature=tf.uint8
    )  # (distinct, w, h, w, 3)
    return tf.map_fn(
        lambda window: tf.gather(clip[:, window], positions),
        tf.range(tf.shape(windows)[0]),
        fn_output_signature=tf.uint8,
    )


def bounding_region(height, width, windows, size_px):
    """Return the smallest region of a frame that covers all windows.

    Args:
        height: height of the frame in pixels, int32.
        width: width of the frame in pixels, int32.
        windows: float64 `(w, 5)`.
        size_px: int32 (height, width) of each window.

    Returns:
        int32 (top, left, height, width) of the region, and the windows relative
        to it. A window that exceeds the frame exceeds the region there too.
    """
    y_min, y_max = _extent(size_px[0], windows[:, 0], windows[:, 2], height)
    x_min, x_max = _extent(size_px[1], windows[:, 1], windows[:, 3], width)
    # The outer columns of a cropped JPEG have wrong colours: chroma there is
    # upsampled without the neighbour outside of the crop.
    x_min, x_max = tf.maximum(x_min - 1, 0), tf.minimum(x_max + 1, width - 1)
    region = tf.stack([y_min, x_min, y_max - y_min + 1, x_max - x_min + 1])
    shift = tf.stack(
        [
            tf.cast(y_min, tf.float64) / windows[:, 2],
            tf.cast(x_min, tf.float64) / windows[:, 3],
        ],
        axis=1,
    )
    moved = tf.concat([windows[:, :2] - shift, windows[:, 2:]], axis=1)
    return region, moved


def _extent(size, offsets, scales, length):
    """Return the first and last pixel along a side that any window needs."""
    last = tf.cast(length - 1, tf.float64)

    def in_frame(pixel):
        position = tf.cast(pixel, tf.float64) + offsets + 0.5
        position = tf.clip_by_value(position * scales - 0.5, 0.0, last)
        return tf.cast(tf.floor(position), tf.int32)

    first = tf.reduce_min(in_frame(0))
    return first, tf.minimum(tf.reduce_max(in_frame(size - 1)) + 1, length - 1)
