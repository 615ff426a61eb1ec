"""Generated clips of a moving shape, labelled with all that happens in them.

A shape moves over a textured background, and in most clips two things happen to
it, one after the other. Labels are properties, several a clip, so a network has
to tell motion, speed, shape, size, colour and the order of events at once:

    nonlocal-tf train --recipe made_motion --workdir runs/made_motion

- `moving right` and seven more directions, `circling clockwise` and
  `counterclockwise`, `to and fro`, `still`;
- `faster than` each of `SPEEDS`, the length of the path within a clip in
  heights of the frame;
- the shape, one of `made_shapes.SHAPES`, in any rotation;
- `wider than` each of `WIDTHS`, heights of the frame, the diameter of a disc of
  the same area;
- its colour, one of `COLORS`;
- `first` and `second`, each of `EVENTS`: a flash in a colour, vanishing,
  growing or shrinking, or a frame that gets darker or lighter, for one frame to
  four.

Weights of a network trained on these clips are in the package, as
`nl.create_model("i3d_strided_nl1_small", weights="made_motion")`. The clips are
not drawn by `training.reproduce.synthetic_videos`, on whose videos fine-tuning
is measured: those have other backgrounds, colours, paths and times, are encoded
as MP4, and their classes are fewer.
"""

import math

import tensorflow as tf

from . import made_shapes
from .datasets import register_dataset
from .generated import EVAL_BLOCK, Draws, GeneratedDataset

# Events are timed in frames of a clip of 16, also in clips of fewer.
EVENT_FRAMES = 16
DIRECTIONS = (
    *("right", "down right", "down", "down left"),
    *("left", "up left", "up", "up right"),
)
STRAIGHT, CIRCLING, TO_AND_FRO, STILL = range(4)
# Shares of the kinds of motion, summed up.
KINDS_UP_TO = 0.6, 0.8, 0.9
SPEEDS = 0.13, 0.2, 0.32, 0.5, 0.8, 1.25
PATHS = 0.1, 2.0
WIDTHS = 0.16, 0.23, 0.32
RADII = 0.055, 0.22
COLORS = {
    "red": (230, 40, 40),
    "yellow": (230, 215, 45),
    "green": (45, 190, 60),
    "cyan": (50, 205, 215),
    "blue": (45, 70, 230),
    "magenta": (215, 55, 205),
    "pale": (205, 205, 205),
    "dark": (45, 45, 45),
}
FLASHES = {
    "red": (235, 30, 30),
    "green": (35, 200, 50),
    "blue": (30, 55, 235),
    "yellow": (240, 225, 40),
    "white": (250, 250, 250),
    "black": (10, 10, 10),
}
VANISHES, GROWS, SHRINKS, DARKENS, LIGHTENS = range(
    len(FLASHES), len(FLASHES) + 5
)
EVENTS = (
    *(f"turns {color}" for color in FLASHES),
    *("vanishes", "grows", "shrinks", "the frame darkens"),
    "the frame lightens",
)
# Shares of clips without events, and with one at most.
EVENTS_UP_TO = 0.25, 0.4
# Least mean difference of a shape from its background, of 255.
CONTRAST = 60.0
EVAL_CLIPS = 8 * EVAL_BLOCK


@register_dataset("made_motion")
class MadeMotion(GeneratedDataset):
    """Clips `(16, 112, 112, 3)` of a moving shape; labels are multi-hot."""

    description = "a moving shape: motion, speed, shape, colour, events"
    multi_label = True
    classes = (
        *(f"moving {direction}" for direction in DIRECTIONS),
        *("circling clockwise", "circling counterclockwise"),
        *("to and fro", "still"),
        *(f"faster than {speed}" for speed in SPEEDS),
        *made_shapes.SHAPES,
        *(f"wider than {width}" for width in WIDTHS),
        *COLORS,
        *(f"first {event}" for event in EVENTS),
        *(f"second {event}" for event in EVENTS),
    )
    element_shape = (16, 112, 112, 3)

    def __init__(self):
        super().__init__(digit_px=None)
        self.eval_examples = EVAL_CLIPS
        self._tables = tf.constant(made_shapes.distance_tables())

    def make(self, handwriting, count, seed):
        draw = Draws(seed, count)
        frames, px = self.element_shape[:2]
        centers, path, motion = _paths(draw, frames)
        events, envelopes = _events(draw, frames)
        radius = _log_uniform(draw, *RADII)
        shape = draw.integers((1,), len(made_shapes.SHAPES))
        color = draw.integers((1,), len(COLORS))
        outside_px = self._outside_px(
            draw, shape, px * centers, radius * px * _growth(envelopes)
        )
        visible = 1.0 - envelopes[:, VANISHES, :, None, None]
        share = tf.clip_by_value(0.5 - outside_px, 0.0, 1.0) * visible
        base = tf.gather(tf.constant(list(COLORS.values()), tf.float32), color)
        base += 60.0 * (draw.uniform(3)[:, None] - 0.5)  # (b, 1, 3)
        colors = _flashing(base, envelopes)[:, :, None, None]
        backdrop = _backdrop(draw, base, px)[:, None]
        clips = backdrop + (colors - backdrop) * share[..., None]
        gain = 1.0 - 0.6 * envelopes[:, DARKENS] + 0.5 * envelopes[:, LIGHTENS]
        clips = clips * gain[..., None, None, None]
        clips += _flicker(draw, frames, px)
        clips = tf.clip_by_value(clips, 0.0, 255.0)
        labels = tf.concat(
            [
                motion,
                _above(path, SPEEDS),
                tf.one_hot(shape[:, 0], len(made_shapes.SHAPES)),
                _above(2 * radius, WIDTHS),
                tf.one_hot(color[:, 0], len(COLORS)),
                *events,
            ],
            axis=1,
        )
        return {
            "pixels": tf.cast(tf.round(clips), tf.uint8),
            "label": labels,
        }

    def _outside_px(self, draw, shape, centers_px, radii_px):
        """Return distances to the shape, `(b, t, h, w)`, negative inside."""
        angle = 2 * math.pi * draw.uniform(1)
        radii_px = radii_px[..., None]  # (b, t, 1)
        px = self.element_shape[1]
        period_px = px * (1 + 0.4 * draw.uniform(1)[..., None])
        from_px = tf.range(float(px))
        x, y = (  # what leaves at one side enters at the other
            tf.math.floormod(
                from_px - centers_px[..., i, None] + period_px / 2, period_px
            )
            - period_px / 2
            for i in range(2)
        )
        size = made_shapes.TABLE_SIZE
        scale = size / (2 * made_shapes.REACH) / radii_px
        x, y = (x * scale)[:, :, None, :], (y * scale)[..., None]
        cosine, sine = (f(angle)[..., None, None] for f in (tf.cos, tf.sin))
        column, row = (
            tf.cast(tf.clip_by_value(v + size / 2, 0, size - 1), tf.int32)
            for v in (cosine * x + sine * y, cosine * y - sine * x)
        )
        place = (shape[..., None, None] * size + row) * size + column
        distances = tf.gather(tf.reshape(self._tables, [-1]), place)
        return distances * radii_px[..., None]


def _paths(draw: Draws, frames: int):
    """Draw centers `(b, t, 2)`, lengths `(b, 1)`, and labels of the motion.

    Centers and the length of a path are in heights of the frame.
    """
    kind = tf.reduce_sum(
        tf.cast(draw.uniform(1) > KINDS_UP_TO, tf.int32), 1, keepdims=True
    )
    time = tf.linspace(-0.5, 0.5, frames)[None]
    # Half of the directions are exact.
    eighths = 8 * draw.uniform(1)
    nearest = tf.round(eighths)
    eighths = tf.where(draw.uniform(1) < 0.5, nearest, eighths)
    angle = eighths * math.pi / 4
    length = _log_uniform(draw, *PATHS)
    along = tf.concat([tf.cos(angle), tf.sin(angle)], 1)[:, None]
    straight = along * (time * length)[..., None]

    radius = _log_uniform(draw, 0.07, 0.32)
    turns = _log_uniform(draw, 0.6, 2.4)
    clockwise = draw.uniform(1) < 0.5  # with y down: the angle increases
    sense = tf.where(clockwise, 1.0, -1.0)
    phase = 2 * math.pi * draw.uniform(1)
    angles = phase + sense * 2 * math.pi * turns * time
    circle = radius[..., None] * tf.stack([tf.cos(angles), tf.sin(angles)], 2)
    swing = along * (radius * tf.sin(angles))[..., None]

    per_kind = tf.one_hot(kind[:, 0], 4)  # (b, 4)
    paths = tf.stack([straight, circle, swing, 0 * straight], 1)
    centers = tf.einsum("bk,bktx->btx", per_kind, paths)
    around = 2 * math.pi * radius * turns
    lengths = tf.concat([length, around, 4 * radius * turns, 0 * length], 1)
    length = tf.reduce_sum(per_kind * lengths, 1, keepdims=True)
    direction = tf.one_hot(tf.cast(nearest[:, 0], tf.int32) % 8, 8)
    senses = tf.concat([clockwise, ~clockwise], 1)
    motion = tf.concat(
        [
            per_kind[:, STRAIGHT, None] * direction,
            per_kind[:, CIRCLING, None] * tf.cast(senses, tf.float32),
            per_kind[:, TO_AND_FRO:],
        ],
        axis=1,
    )
    middle = draw.uniform(2)[:, None]
    return centers + middle, length, motion


def _events(draw: Draws, frames: int):
    """Draw labels of the first and second event, and envelopes `(b, e, t)`.

    An envelope is 1 in the frames in which its event happens, else 0.
    """
    count = tf.reduce_sum(
        tf.cast(draw.uniform(1) > EVENTS_UP_TO, tf.float32), 1, keepdims=True
    )
    kinds = draw.permutation(len(EVENTS))[:, :2]
    end = EVENT_FRAMES - 1.0
    between = end / (frames - 1)  # so that no event is missed
    lasts = between + 3.0 * draw.uniform(1)
    start = 0.5 + 5.5 * draw.uniform(1)
    gap = lasts + 0.5 + 3.5 * draw.uniform(1)
    time = tf.linspace(0.0, end, frames)[None]
    envelopes, labels = tf.zeros(()), []
    for index, begin in enumerate((start, start + gap)):
        happens = tf.cast(count > index, tf.float32)
        kind = happens * tf.one_hot(kinds[:, index], len(EVENTS))
        begin = tf.minimum(begin, end - between)
        during = tf.cast((time >= begin) & (time < begin + lasts), tf.float32)
        envelopes += kind[..., None] * during[:, None]
        labels.append(kind)
    return labels, envelopes


def _growth(envelopes):
    """Return the factor of the radius, `(b, t)`."""
    return (1.0 + 0.6 * envelopes[:, GROWS]) * (
        1.0 - 0.45 * envelopes[:, SHRINKS]
    )


def _flashing(base, envelopes):
    """Return the colour of each frame, `(b, t, 3)`."""
    flashes = envelopes[:, : len(FLASHES)]
    palette = tf.constant(list(FLASHES.values()), tf.float32)
    in_flash = tf.einsum("bet,ec->btc", flashes, palette)
    return in_flash + base * (1 - tf.reduce_sum(flashes, 1))[..., None]


def _backdrop(draw: Draws, color, px: int):
    """Draw textures `(b, h, w, 3)`, from which `color` stands out."""
    mean = 20.0 + 190.0 * draw.uniform(3)[:, None]
    near = tf.reduce_mean(abs(mean - color), 2, keepdims=True) < CONTRAST
    mean = tf.where(near, (mean + 128.0) % 256.0, mean)
    texture = mean[:, None]
    for cells in (3, 6, 20):
        grid = tf.reshape(
            draw.uniform(cells * cells * 3) - 0.5, (-1, cells, cells, 3)
        )
        grey = tf.reduce_mean(grid, 3, keepdims=True)
        grid = tf.where((draw.uniform(1) < 0.5)[..., None, None], grid, grey)
        smooth = tf.image.resize(grid, (px, px))
        texture += _amplitude(draw, 110.0) * smooth
    waves = 2.0 + 22.0 * draw.uniform(1) ** 2
    angle = 2 * math.pi * draw.uniform(1)
    along = 2 * math.pi * tf.linspace(0.0, 1.0, px) * waves
    grating = tf.sin(
        (tf.cos(angle) * along)[:, None] + (tf.sin(angle) * along)[..., None]
    )
    has_grating = tf.cast(draw.uniform(1) < 0.3, tf.float32)[..., None, None]
    texture += has_grating * _amplitude(draw, 30.0) * grating[..., None]
    grain = tf.reshape(draw.uniform(px**2) - 0.5, (-1, px, px, 1))
    return texture + _amplitude(draw, 24.0) * grain


def _flicker(draw: Draws, frames: int, px: int):
    """Draw noise of `(b, t, h, w, 1)`; its values are the same in all clips."""
    noise = tf.random.stateless_uniform(
        (frames, px, px, 1), draw.next_seed(), -1.0
    )
    return _amplitude(draw, 10.0)[:, None] * noise


def _amplitude(draw: Draws, largest: float):
    """Draw amplitudes `(b, 1, 1, 1)`, small ones more often."""
    return largest * draw.uniform(1)[..., None, None] ** 2


def _log_uniform(draw: Draws, low: float, high: float):
    return low * (high / low) ** draw.uniform(1)


def _above(values, thresholds: tuple[float, ...]):
    """Return 1 for each threshold that is below, `(b, thresholds)`."""
    return tf.cast(values > tf.constant([thresholds]), tf.float32)
