"""Scenes of `abilities`: patches with their frames and places.

Each function draws the noiseless clips of one ability, as float32 `(b, t, h, w,
3)` from 0 to 255, with their labels `(b,)`. Digits are of all classes, each as
often, but for `appearance` and `motion`. What is in them, and why no lesser
view of a clip tells its label, is in `abilities`.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from .ability_config import ANSWER_FRAMES, ANSWERS, AbilityConfig
from .generated import Draws, place
from .handwriting import Handwriting

COLOURS = ((255, 64, 64), (64, 255, 64), (80, 80, 255), (255, 255, 64))
# Share of clips of `two_hops` in which signposts of a kind keep the colour.
# Without, no part of the chain tells more than chance.
KEPT = 0.75
# Pixels per frame of a pattern that repeats every `size` pixels.
VELOCITIES = (1, -1, 3, -3)


class Patches(NamedTuple):
    """Squares to paste into a clip.

    Attributes:
        pixels: float32, `(b, n, size, size, 3)`, from 0 to 255.
        corners: int32 (y, x) of each one's first pixel, `(b, n, 2)`.
        frames: float32, `(b, n, t)`: 1 in the frames that show it.
    """

    pixels: tf.Tensor
    corners: tf.Tensor
    frames: tf.Tensor


class Scene:
    """Draws of `count` clips of one ability.

    Attributes:
        config: of the data set.
        count: number of clips.
        classes: number of classes.
        items: number of digits, and of colours.
        draw: random draws.
    """

    def __init__(
        self, config: AbilityConfig, handwriting: Handwriting, draw: Draws
    ):
        self.config = config
        self.handwriting = handwriting
        self.draw = draw
        self.count = draw.count
        self.classes, self.items = config.classes, config.digit_count

    def class_order(self):
        """Draw the classes of the digits, each as often, `(b, items)`."""
        return self.draw.permutation(self.items) % self.classes

    def colour_order(self):
        """Draw an order of as many colours, `(b, items)`."""
        return self.draw.permutation(self.items)

    def digits(self, classes, colours):
        """Draw handwriting of these classes in these colours.

        Args:
            classes: int32, `(b, n)`.
            colours: int32, `(b, n)`.

        Returns:
            `(b, n, size, size, 3)`.
        """
        uniform = self.draw.uniform(classes.shape[1])
        images = self.handwriting.pick(classes, uniform)
        return images[..., None] * rgb(colours)[:, :, None, None]

    def kept_or(self, colours, others):
        """Return colours of some clips, and others of the others, `(b, n)`."""
        return tf.where(self.draw.uniform(1) < KEPT, colours, others)

    def flashes(self, colours):
        """Return squares of one colour, `(b, n, size, size, 3)`."""
        size = self.config.size
        pixels = rgb(colours)[:, :, None, None]
        return tf.broadcast_to(pixels, (*colours.shape, size, size, 3))

    def halves(self, first, second, axis: int):
        """Return squares of two colours, `(b, n, size, size, 3)`.

        A dark line between them tells them from flashes if both are alike.

        Args:
            first: int32 colours of the upper or left half, `(b, n)`.
            second: int32 colours of the other half, `(b, n)`.
            axis: 0 for halves above each other, 1 for halves side by side.
        """
        size = self.config.size
        middle, gap = size // 2, size // 8
        shape = (size, 1, 1) if axis == 0 else (1, size, 1)
        index = tf.reshape(tf.range(size), shape)
        upper = tf.cast(index < middle - gap, tf.float32)
        lower = tf.cast(index >= middle + gap, tf.float32)
        return upper * self.flashes(first) + lower * self.flashes(second)

    def cells(self, patches: int):
        """Draw corners of cells of a frame, no two alike, `(b, n, 2)`."""
        size = self.config.size
        rows, columns = self.config.cells
        cells = self.draw.permutation(rows * columns)[:, :patches]
        return size * tf.stack([cells // columns, cells % columns], -1)

    def far_cells(self, groups: int = 1):
        """Draw the corner of a cue, and of patches far from it.

        The cue is at the left or right end of the frame, the patches are in
        cells of the two columns at the other, no two of a group in one.

        Returns:
            `(b, 1, 2)`, and for each group `(b, items, 2)`.
        """
        size, width_px = self.config.size, self.config.frame_px[1]
        mirrored = self.draw.integers((1,), 2)
        row = size * self.draw.integers((1,), 2)
        cue = tf.stack([row, mirrored * (width_px - size)], -1)
        corners = []
        for _ in range(groups):
            cell = self.draw.permutation(4)[:, : self.items]
            left, right = size * (cell % 2), width_px - size * (1 + cell % 2)
            columns = tf.where(mirrored == 1, left, right)
            corners.append(tf.stack([size * (cell // 2), columns], -1))
        return cue, *corners

    def far_frames(self, answers: int):
        """Draw the frame of a cue, and frames far from it.

        Half of the clips are in reversed order: the cue comes last.

        Args:
            answers: number of consecutive frames that are far from the cue.

        Returns:
            `(b, 1)` and `(b, answers)`: the first of the frames, and so on.
        """
        frames = self.config.clip_frames
        slack = frames - answers - self.config.cue_distance
        early, late = tf.unstack(self.draw.integers((2,), slack + 1), axis=1)
        early, late = tf.minimum(early, late), tf.maximum(early, late)
        first = late + self.config.cue_distance
        far = first[:, None] + tf.range(answers)
        frame = early[:, None]
        reversed_ = self.draw.integers((1,), 2) == 1
        return (
            tf.where(reversed_, frames - 1 - frame, frame),
            tf.where(reversed_, frames - 1 - far, far),
        )

    def shown(self, frames):
        """Return in which frames patches are, `(b, n, t)`, of `(b, n)`."""
        return tf.one_hot(frames, self.config.clip_frames)

    def shown_together(self, frames):
        """Return that each digit is in all of some frames, `(b, n, t)`.

        Args:
            frames: int32, `(b, n)`.
        """
        shown = tf.reduce_sum(self.shown(frames), 1, keepdims=True)
        return tf.repeat(shown, self.items, 1)

    def always(self, patches: int):
        """Return that patches are in all frames, `(b, n, t)`."""
        return tf.ones((self.count, patches, self.config.clip_frames))

    def paste(self, *groups: Patches):
        """Paste patches into dark clips, `(b, t, h, w, 3)`.

        Scrambled digits of the configuration come where nothing else is.
        """
        clips = self._paste(*groups)
        count = self.config.distractors
        if not count:
            return clips
        masks = [g._replace(pixels=tf.ones_like(g.pixels)) for g in groups]
        covered = self._paste(*masks) > 0.5
        return tf.where(covered, clips, self._paste(self._distractors(count)))

    def _paste(self, *groups: Patches):
        pixels, corners, frames = (
            tf.concat(p, 1) for p in zip(*groups, strict=True)
        )
        # The channels follow the patches: `place` takes squares.
        squares = tf.einsum("bnhwc->bnchw", pixels)
        batch, patches, channels, size, _ = squares.shape
        squares = tf.reshape(squares, (batch, patches * channels, size, size))
        canvas = place(
            squares,
            tf.repeat(corners, channels, axis=1),
            *self.config.frame_px,
        )
        canvas = tf.reshape(
            canvas, (batch, patches, channels, *self.config.frame_px)
        )
        return tf.einsum("bnchw,bnt->bthwc", canvas, frames)

    def _distractors(self, patches: int) -> Patches:
        """Draw grey digits with shuffled pixels, at most one per place."""
        size = self.config.size
        images = self.handwriting.pick(
            self.draw.integers((patches,), self.classes),
            self.draw.uniform(patches),
        )
        order = tf.argsort(self.draw.uniform(size * size))  # (b, pixels)
        flat = tf.reshape(images, (self.count, patches, size * size))
        flat = tf.gather(flat, order, axis=2, batch_dims=1)
        images = tf.reshape(flat, images.shape)
        rows, columns = self.config.cells
        cells = rows * columns
        places = self.draw.permutation(self.config.clip_frames * cells)
        frames, cell = tf.unstack(
            tf.stack([places // cells, places % cells])[..., :patches]
        )
        corners = size * tf.stack([cell // columns, cell % columns], -1)
        pixels = 192.0 * tf.repeat(images[..., None], 3, -1)
        return Patches(pixels, corners, self.shown(frames))


def appearance(scene: Scene):
    """Draw one digit, in all frames, whose class is the label."""
    label = scene.draw.integers((1,), scene.classes)
    colour = scene.draw.integers((1,), scene.items)
    digit = Patches(
        scene.digits(label, colour), scene.cells(1), scene.always(1)
    )
    return scene.paste(digit), label[:, 0]


def motion(scene: Scene):
    """Draw a wallpaper of one digit, which moves; the label is the velocity."""
    config = scene.config
    size, frames = config.size, config.clip_frames
    label = scene.draw.integers((), scene.classes)
    classes = scene.draw.integers((1,), scene.classes)
    colours = scene.draw.integers((1,), scene.items)
    digit = scene.digits(classes, colours)[:, 0]  # (b, size, size, 3)
    phase = scene.draw.integers((1,), size)
    velocity = tf.gather(tf.constant(VELOCITIES), label)[:, None]
    moved = phase + velocity * tf.range(frames)  # (b, t)
    rows, columns = (tf.range(px) for px in config.frame_px)
    source = (columns - moved[..., None]) % size  # (b, t, w)
    tall = tf.gather(digit, rows % size, axis=1)
    wide = tf.gather(tall, source, axis=2, batch_dims=1)  # (b, h, t, w, 3)
    return tf.einsum("bhtwc->bthwc", wide), label


def far_space(scene: Scene):
    """Draw digits and, far from them in each frame, a cue for one."""
    cue_corner, corners = scene.far_cells()
    return _cued(
        scene,
        (cue_corner, scene.always(1)),
        (corners, scene.always(scene.items)),
    )


def far_time(scene: Scene):
    """Draw digits and, frames away at the place of one, its cue."""
    frame, far = scene.far_frames(ANSWERS)
    corners = scene.cells(scene.items)
    return _cued(
        scene,
        (corners[:, :1], scene.shown(frame)),
        (corners, scene.shown_together(far)),
    )


def far_both(scene: Scene):
    """Draw digits and, far from them and frames away, a cue for one."""
    frame, far = scene.far_frames(ANSWERS)
    cue_corner, corners = scene.far_cells()
    return _cued(
        scene,
        (cue_corner, scene.shown(frame)),
        (corners, scene.shown_together(far)),
    )


def _cued(scene: Scene, cue, digits):
    """Paste a cue in the colour of the first of the digits, the label.

    Args:
        scene: of the clips.
        cue: its corner and frames.
        digits: corners and frames of the digits.
    """
    classes, colours = scene.class_order(), scene.colour_order()
    clips = scene.paste(
        Patches(scene.flashes(colours[:, :1]), *cue),
        Patches(scene.digits(classes, colours), *digits),
    )
    return clips, classes[:, 0]


def two_hops(scene: Scene):
    """Draw a cue for a signpost, that names a signpost, that names a digit.

    The cue is far from all others, and frames away; those are in three frames.
    """
    frame, far = scene.far_frames(ANSWERS)
    far = tf.gather(far, scene.draw.permutation(ANSWERS), batch_dims=1)
    # Chain n is of the n-th colours and class; the cue names chain 0.
    first = scene.colour_order()
    second = scene.kept_or(first, scene.colour_order())
    third = scene.kept_or(second, scene.colour_order())
    classes = scene.class_order()
    pixels = (
        scene.halves(first, second, axis=0),
        scene.halves(second, third, axis=1),
        scene.digits(classes, third),
    )
    cue_corner, *corners = scene.far_cells(ANSWERS)
    groups = [
        Patches(squares, corners[n], scene.shown_together(far[:, n : n + 1]))
        for n, squares in enumerate(pixels)
    ]
    cue = Patches(scene.flashes(first[:, :1]), cue_corner, scene.shown(frame))
    return scene.paste(cue, *groups), classes[:, 0]


def long(scene: Scene):
    """Draw digits one after the other, and long before a cue for one."""
    config = scene.config
    hidden = config.video_frames - config.clip_frames
    start = config.video_frames - ANSWER_FRAMES
    frames = start + scene.draw.permutation(ANSWER_FRAMES)[:, : scene.items]
    cue = scene.draw.integers((1,), start - config.cue_distance + 1)
    corner = tf.zeros((scene.count, 1, 2), tf.int32)
    # Frames before the clip are negative here, and shown nowhere.
    return _cued(
        scene,
        (corner, scene.shown(cue - hidden)),
        (tf.repeat(corner, scene.items, 1), scene.shown(frames - hidden)),
    )


def mixture(scene: Scene):
    """Draw the ability of each clip, all but `long`."""
    drawn = scene.draw.integers((), len(MIXED))
    clips, labels = zip(*(draw(scene) for draw in MIXED.values()), strict=True)
    chosen = [
        tf.gather(tf.stack(parts, 1), drawn, axis=1, batch_dims=1)
        for parts in (clips, labels)
    ]
    return chosen[0], chosen[1]


MIXED: dict[str, Callable] = {
    "appearance": appearance,
    "motion": motion,
    "far_space": far_space,
    "far_time": far_time,
    "far_both": far_both,
    "two_hops": two_hops,
}
SCENES: dict[str, Callable] = {**MIXED, "long": long, "all": mixture}


def rgb(colours):
    """Look colours up, `(..., 3)`."""
    return tf.gather(tf.constant(COLOURS, tf.float32), colours)
