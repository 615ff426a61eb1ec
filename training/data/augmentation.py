"""Augmentation of clips: one draw a clip, the same in all its frames.

Clips are uint8 `(time, height, width, 3)`; seeds are two integers, so that a
clip is a function of them.
"""

import functools
import math
from collections.abc import Callable

import tensorflow as tf

from . import transforms
from .sampling_config import SamplingConfig

GREY_WEIGHTS = (0.299, 0.587, 0.114)  # of ITU-R 601-2, as Pillow's
FILL = 128  # behind the edges of rotated, sheared and shifted frames
MAX_LEVEL = 10.0
ERASED_AREA = (0.02, 1 / 3)
ERASED_RATIO = (0.3, 1 / 0.3)


# Draws of a clip that are independent of those of its frames and window.
KINDS = ("window", "operations", "grey", "erase", "box", "stride", "reversal")


def augmented(clip, config: SamplingConfig, key):
    """Apply RandAugment, grey and erasing to a clip.

    Args:
        clip: to change.
        config: shares of clips, and number and strength of operations.
        key: seed of the clip.
    """
    if config.rand_augment:
        clip = rand_augment(
            clip,
            _of_kind(key, "operations"),
            config.rand_augment,
            config.magnitude,
        )
    if config.grey:
        is_grey = draws_of(key, "grey", 1)[0] < config.grey
        clip = tf.cond(is_grey, lambda: grey(clip), lambda: clip)
    if config.erase:
        is_erased = draws_of(key, "erase", 1)[0] < config.erase
        box_key = _of_kind(key, "box")
        clip = tf.cond(is_erased, lambda: erase(clip, box_key), lambda: clip)
    return clip


def draws_of(key, kind: str, count: int):
    """Draw numbers in [0, 1) of one of `KINDS` for a clip, `(count,)`.

    Args:
        key: seed of the clip.
        kind: of the draws.
        count: of them.
    """
    return tf.random.stateless_uniform((count,), _of_kind(key, kind))


def _of_kind(key, kind: str):
    return tf.random.experimental.stateless_fold_in(key, 1 + KINDS.index(kind))


def stride_factor(draw, time_jitter: float):
    """Return a random factor of the stride of a clip, float64.

    It is from 1 / (1 + time_jitter) to 1 + time_jitter, uniform in its
    logarithm.

    Args:
        draw: in [0, 1).
        time_jitter: as in `SamplingConfig`.
    """
    exponent = 2 * tf.cast(draw, tf.float64) - 1
    return tf.exp(exponent * math.log1p(time_jitter))


def resized_window(draws, height, width, area, ratio, crop_px, flip):
    """Draw a window of random area and aspect ratio, resized to a square.

    Sides that are longer than those of the frame are cut to them.

    Args:
        draws: float32 in [0, 1), `(5,)`: area, ratio, row, column, flip.
        height: of the frame, in pixels, int32.
        width: of the frame, in pixels, int32.
        area: smallest and largest share of the frame's area.
        ratio: smallest and largest width / height; its logarithm is uniform.
        crop_px: side of the square.
        flip: whether half of the windows are flipped horizontally.

    Returns:
        float64 `(5,)`, as of `transforms`.

    Reference:
        Szegedy et al., Going deeper with convolutions, CVPR 2015.
    """
    draws = tf.cast(draws, tf.float64)
    height, width = tf.cast(height, tf.float64), tf.cast(width, tf.float64)
    size = _between(draws[0], *area) * height * width
    shape = tf.exp(_between(draws[1], *map(math.log, ratio)))
    rows = tf.minimum(tf.sqrt(size / shape), height)
    columns = tf.minimum(tf.sqrt(size * shape), width)
    scale_y, scale_x = rows / crop_px, columns / crop_px
    offset_y = draws[2] * (height - rows) / scale_y
    offset_x = draws[3] * (width - columns) / scale_x
    flipped = tf.cast(draws[4] < 0.5, tf.float64) if flip else 0.0
    return tf.stack([offset_y, offset_x, scale_y, scale_x, flipped])


def grey(clip):
    """Replace colors by their luminance."""
    weighted = tf.tensordot(
        tf.cast(clip, tf.float32), tf.constant(GREY_WEIGHTS), 1
    )
    return tf.repeat(_pixels(weighted)[..., None], 3, axis=-1)


def erase(clip, seed):
    """Replace a random box of all frames by noise.

    Args:
        clip: to erase from.
        seed: of the box and the noise.

    Reference:
        Zhong et al., Random erasing data augmentation, AAAI 2020.
    """
    place, noise = tf.unstack(
        tf.random.experimental.stateless_split(_seed(seed), 2)
    )
    draws = tf.random.stateless_uniform((4,), place)
    height, width = clip.shape[1:3]
    area = _between(draws[0], *ERASED_AREA) * height * width
    ratio = tf.exp(_between(draws[1], *map(math.log, ERASED_RATIO)))
    inside = []
    sides = tf.sqrt(area / ratio), tf.sqrt(area * ratio)
    for draw, side, length in zip(
        tf.unstack(draws[2:]), sides, (height, width), strict=True
    ):
        pixels = tf.minimum(tf.cast(side + 0.5, tf.int32), length)
        first = transforms.below(draw, length - pixels + 1)
        index = tf.range(length)
        inside.append((index >= first) & (index < first + pixels))
    box = inside[0][:, None] & inside[1]
    grain = tf.random.stateless_uniform(
        clip.shape, noise, maxval=256, dtype=tf.int32
    )
    return tf.where(box[..., None], tf.cast(grain, tf.uint8), clip)


def rand_augment(clip, seed, layers: int, magnitude: float):
    """Apply random operations, one after the other.

    Args:
        clip: to change.
        seed: of the operations and their signs.
        layers: number of operations, drawn with repetition.
        magnitude: strength of each, from 0 to 10.

    Each operation says what it does at strength 10. A clip has one histogram
    where operations need one.

    Reference:
        Cubuk et al., RandAugment, NeurIPS 2020.
    """
    seed = _seed(seed)
    level = magnitude / MAX_LEVEL
    for key in tf.unstack(
        tf.random.experimental.stateless_split(seed, layers), num=layers
    ):
        draws = tf.random.stateless_uniform((2,), key)
        sign = tf.where(draws[1] < 0.5, -1.0, 1.0)
        clip = tf.switch_case(
            transforms.below(draws[0], len(OPERATIONS)),
            [
                functools.partial(_changed, change, clip, level, sign)
                for change in OPERATIONS.values()
            ],
        )
    return clip


def _changed(change, clip, level, sign):
    return tf.ensure_shape(change(clip, level, sign), clip.shape)


def _auto_contrast(clip, level, sign):
    """Stretch each channel to the whole range."""
    values = tf.cast(clip, tf.float32)
    low = tf.reduce_min(values, axis=(0, 1, 2))
    high = tf.reduce_max(values, axis=(0, 1, 2))
    spread = high - low
    # Pillow's table truncates.
    stretched = tf.floor((values - low) * (255.0 / tf.maximum(spread, 1.0)))
    return tf.cast(tf.where(spread > 0, stretched, values), tf.uint8)


def _equalize(clip, level, sign):
    """Make the histogram of each channel uniform."""
    channels = []
    for channel in tf.unstack(clip, axis=-1):
        values = tf.cast(channel, tf.int32)
        counts = tf.math.bincount(
            tf.reshape(values, [-1]), minlength=256, maxlength=256
        )
        last = tf.reduce_max(tf.where(counts > 0)[:, 0])
        step = (tf.reduce_sum(counts) - counts[last]) // 255
        before = tf.cumsum(counts, exclusive=True)
        table = (before + step // 2) // tf.maximum(step, 1)
        table = tf.where(step > 0, table, tf.range(256))
        table = tf.clip_by_value(table, 0, 255)
        channels.append(tf.gather(table, values))
    return tf.cast(tf.stack(channels, axis=-1), tf.uint8)


def _invert(clip, level, sign):
    return 255 - clip


def _posterize(clip, level, sign):
    """Keep the first 4 of 8 bits."""
    dropped = int(4 * level)
    return tf.bitwise.bitwise_and(clip, tf.constant(256 - 2**dropped, tf.uint8))


def _solarize(clip, level, sign):
    """Invert what is above a threshold, that falls from 255 to 0."""
    threshold = tf.constant(int(255 - 255 * level), tf.uint8)
    return tf.where(clip < threshold, clip, 255 - clip)


def _color(clip, level, sign):
    """Change the distance from the grey clip by 90 %."""
    return _blend(grey(clip), clip, 1 + 0.9 * level * sign)


def _contrast(clip, level, sign):
    """Change the distance from the clip's mean grey by 90 %."""
    mean = tf.reduce_mean(tf.cast(grey(clip)[..., 0], tf.float32))
    return _blend(tf.fill(clip.shape, mean), clip, 1 + 0.9 * level * sign)


def _brightness(clip, level, sign):
    """Change the values by 90 %."""
    return _blend(tf.zeros_like(clip), clip, 1 + 0.9 * level * sign)


def _sharpness(clip, level, sign):
    """Change the distance from a smoothed clip by 90 %, but for the edges."""
    kernel = tf.constant([[1.0, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    kernel = tf.tile(kernel[..., None, None], (1, 1, 3, 1))
    values = tf.cast(clip, tf.float32)
    smooth = tf.nn.depthwise_conv2d(values, kernel, (1, 1, 1, 1), "VALID")
    inner = tf.pad(tf.floor(smooth + 0.5), ((0, 0), (1, 1), (1, 1), (0, 0)))
    index = [tf.range(side) for side in clip.shape[1:3]]
    rows, columns = (
        (i > 0) & (i < side - 1)
        for i, side in zip(index, clip.shape[1:3], strict=True)
    )
    is_inner = (rows[:, None] & columns)[..., None]
    smooth = tf.where(is_inner, inner, values)
    return _blend(smooth, clip, 1 + 0.9 * level * sign)


def _rotate(clip, level, sign):
    """Rotate by 30 degrees about the centre."""
    angle = sign * math.radians(30) * level
    cos, sin = tf.cos(angle), tf.sin(angle)
    return _affine(clip, (cos, -sin, sin, cos))


def _shear_x(clip, level, sign):
    """Shift rows by 0.3 of their distance from the centre."""
    return _affine(clip, (1.0, 0.3 * level * sign, 0.0, 1.0))


def _shear_y(clip, level, sign):
    return _affine(clip, (1.0, 0.0, 0.3 * level * sign, 1.0))


def _translate_x(clip, level, sign):
    """Shift by 45 % of the width."""
    return _affine(clip, None, 0.45 * level * sign * clip.shape[2], 0.0)


def _translate_y(clip, level, sign):
    return _affine(clip, None, 0.0, 0.45 * level * sign * clip.shape[1])


OPERATIONS: dict[str, Callable] = {
    "auto_contrast": _auto_contrast,
    "equalize": _equalize,
    "invert": _invert,
    "rotate": _rotate,
    "posterize": _posterize,
    "solarize": _solarize,
    "color": _color,
    "contrast": _contrast,
    "brightness": _brightness,
    "sharpness": _sharpness,
    "shear_x": _shear_x,
    "shear_y": _shear_y,
    "translate_x": _translate_x,
    "translate_y": _translate_y,
}


def _affine(clip, matrix=None, shift_x=0.0, shift_y=0.0):
    """Sample frames at a matrix times the position from the centre, shifted."""
    a, b, c, d = matrix or (1.0, 0.0, 0.0, 1.0)
    y, x = ((side - 1) / 2 for side in clip.shape[1:3])
    numbers = [
        *(a, b, x - a * x - b * y + shift_x),
        *(c, d, y - c * x - d * y + shift_y),
        *(0.0, 0.0),
    ]
    transform = tf.stack([tf.cast(number, tf.float32) for number in numbers])
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(clip, tf.float32),
        transforms=transform[None],
        output_shape=tf.constant(list(clip.shape[1:3])),
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
        fill_value=float(FILL),
    )
    return _pixels(moved)


def _blend(first, second, factor):
    """Return first + factor (second - first), as Pillow's enhancements."""
    first, second = tf.cast(first, tf.float32), tf.cast(second, tf.float32)
    mixed = first + factor * (second - first)
    return tf.cast(tf.clip_by_value(mixed, 0.0, 255.0), tf.uint8)


def _pixels(values):
    return tf.cast(tf.clip_by_value(values + 0.5, 0.0, 255.0), tf.uint8)


def _between(draw, low, high):
    return low + draw * (high - low)


def _seed(seed):
    return tf.cast(tf.convert_to_tensor(seed), tf.int64)
