"""Generated digit clips whose classification needs long-range attention.

Frame 0 of a clip shows a patch in one of six colours. Then four digits appear,
each in its own frame, position and colour, one of them in the colour of the
patch. The label is the class of that digit. A network has to relate two distant
positions in space and time by their content, which one non-local block does; a
network that pools local features detects the digits, but not which of them has
the colour of the patch.

The handwriting is scikit-learn's copy of the UCI digits (1797 images of 8x8,
10 classes). Images are split before clips are generated, so test clips share no
handwriting with training clips.
"""

import tensorflow as tf

from .datasets import register_dataset
from .generated import Draws, GeneratedDataset, place
from .handwriting import DIGIT_PX

FRAMES = 8
FRAME_PX = 32
FRAME = (FRAME_PX, FRAME_PX)
FLASH_PX = 16
DIGITS_PER_CLIP = 4
NOISE_STD = 8.0  # of 255
COLOURS = {
    "red": (255, 64, 64),
    "green": (64, 255, 64),
    "blue": (80, 80, 255),
    "yellow": (255, 255, 64),
    "magenta": (255, 64, 255),
    "cyan": (64, 255, 255),
}
DIGITS = tuple(str(digit) for digit in range(10))


@register_dataset("digits_recall")
class DigitsRecall(GeneratedDataset):
    """Clips `(8, 32, 32, 3)`; the class of the digit in the patch's colour."""

    description = "which of 4 handwritten digits has the colour of the flash"
    classes = DIGITS
    element_shape = (FRAMES, FRAME_PX, FRAME_PX, 3)

    def make(self, handwriting, count, seed):
        # b clips, d digits. Digit 0 is the target; its index reveals nothing,
        # because frames, positions and colours are drawn at random.
        draw = Draws(seed, count)
        digits = draw.permutation(len(DIGITS))[:, :DIGITS_PER_CLIP]
        colours = draw.permutation(len(COLOURS))[:, :DIGITS_PER_CLIP]
        frames = 1 + draw.permutation(FRAMES - 1)[:, :DIGITS_PER_CLIP]
        slack_px = FRAME_PX - DIGIT_PX
        corners = draw.corners(DIGITS_PER_CLIP, slack_px)  # (b, d, 2)
        flash_corner = draw.corners(1, FRAME_PX - FLASH_PX)  # (b, 1, 2)

        images = handwriting.pick(digits, draw.uniform(DIGITS_PER_CLIP))
        rgb = tf.gather(_palette(), colours)  # (b, d, 3)
        clips = tf.einsum(
            "bdhw,bdt,bdc->bthwc",
            place(images, corners, *FRAME),
            tf.one_hot(frames, FRAMES),
            rgb,
        )
        flash = place(
            tf.ones((count, 1, FLASH_PX, FLASH_PX)), flash_corner, *FRAME
        )  # (b, 1, h, w)
        first = tf.einsum("bdhw,bdc->bdhwc", flash, rgb[:, :1])
        clips += tf.pad(first, [[0, 0], [0, FRAMES - 1], *[[0, 0]] * 3])
        query = corners[:, 0] + DIGIT_PX // 2
        target = flash_corner[:, 0] + FLASH_PX // 2
        return {
            "pixels": draw.noisy(clips, NOISE_STD),
            "label": digits[:, 0],
            "query": tf.concat([frames[:, :1], query], 1),
            "target": tf.concat([tf.zeros_like(frames[:, :1]), target], 1),
        }


@register_dataset("digits_frames")
class DigitsFrames(GeneratedDataset):
    """Images `(32, 32, 3)` of one digit; 60 classes of digit and colour.

    The image network is trained on it before it is inflated. Colour is part of
    the class so that features keep it.
    """

    description = "one handwritten digit a frame: its class and its colour"
    classes = tuple(
        f"{colour} {digit}" for digit in DIGITS for colour in COLOURS
    )
    element_shape = (FRAME_PX, FRAME_PX, 3)

    def make(self, handwriting, count, seed):
        draw = Draws(seed, count)
        digits = draw.permutation(len(DIGITS))[:, :1]  # (b, 1)
        colours = draw.permutation(len(COLOURS))[:, :1]
        images = handwriting.pick(digits, draw.uniform(1))
        frames = tf.einsum(
            "bdhw,bdc->bhwc",
            place(images, draw.corners(1, FRAME_PX - DIGIT_PX), *FRAME),
            tf.gather(_palette(), colours),
        )
        return {
            "pixels": draw.noisy(frames, NOISE_STD),
            "label": (digits * len(COLOURS) + colours)[:, 0],
        }


def _palette():
    return tf.constant(list(COLOURS.values()), tf.float32)
