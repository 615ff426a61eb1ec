"""Settings of the generated clips of `abilities`."""

import dataclasses
import math
import numbers

from nonlocal_tf.choices import is_positive_integer, unknown

from ..io.user_error import UserError

# What each one takes, and what is known of its bounds, is in `abilities`.
ABILITIES = (
    "appearance",
    "motion",
    "far_space",
    "far_time",
    "far_both",
    "two_hops",
    "long",
    "all",
)
FRAMES, LONG_FRAMES = 8, 128
# Frames that are for a cue, one after the other.
ANSWERS = 3
# The digits of a clip of `long` are among so many last frames.
ANSWER_FRAMES = 16
MIN_PX = 8  # of the handwriting itself
# Numbers per clip; a block of 64 clips of more takes several GB of memory.
MAX_CLIP_ELEMENTS = 2**22


@dataclasses.dataclass(frozen=True)
class AbilityConfig:
    """Ability that a clip of `abilities` takes, and its difficulty.

    Attributes:
        ability: one of `ABILITIES`.
        classes: number of classes, 2 to 4.
        digits: digits in a clip, each in a colour of its own, up to 4 and a
            multiple of `classes`; None for as many as classes.
        frames: frames per clip; None for 8, for `long` 128. Fewer of `long`
            are the last ones of a video of 128.
        size: height and width of digits and cues, in pixels. Frames are two
            such cells high, and three and `distance` wide; one cell for `long`.
        distance: pixels between a cue and its answer, in `far_space`,
            `far_both` and `two_hops`; frames of all but `long` are wider by it.
        frame_distance: frames between a cue and its answer, in `far_time`,
            `far_both` and `two_hops`; None for 5, for `long` 100.
        noise: standard deviation of the noise of pixels, of 255.
        distractors: scrambled digits per clip, which mean nothing, where
            neither cue nor digit is; none in `motion`.

    Raises:
        UserError: an invalid value.
    """

    ability: str = "appearance"
    classes: int = 2
    digits: int | None = None
    frames: int | None = None
    size: int = MIN_PX
    distance: int = 16
    frame_distance: int | None = None
    noise: float = 8.0
    distractors: int = 0

    def __post_init__(self):
        if self.ability not in ABILITIES:
            raise UserError(unknown("ability", self.ability, ABILITIES))
        for name in (
            "digits",
            "frames",
            "size",
            "distance",
            "frame_distance",
        ):
            value = getattr(self, name)
            if value is not None and not is_positive_integer(value):
                raise UserError(
                    f"Expected {name} as an integer above 0. Received: {value}"
                )
        if not (is_positive_integer(self.classes) and 2 <= self.classes <= 4):
            raise UserError(
                f"Expected classes from 2 to 4. Received: {self.classes}"
            )
        if self.digit_count % self.classes or self.digit_count > 4:
            raise UserError(
                f"Expected digits as a multiple of classes={self.classes}, up "
                f"to 4. Received: {self.digits}"
            )
        if self.size < MIN_PX:
            raise UserError(
                f"Expected size as {MIN_PX} pixels or more, the size of the "
                f"handwriting. Received: {self.size}"
            )
        if not (_is_finite(self.noise) and self.noise >= 0):
            raise UserError(
                f"Expected noise as a number from 0. Received: {self.noise!r}"
            )
        if self.distractors != 0 and not is_positive_integer(self.distractors):
            raise UserError(
                "Expected distractors as an integer from 0. Received: "
                f"{self.distractors!r}"
            )
        self._check_frames()
        self._check_extent()

    def _check_extent(self):
        height, width = self.frame_px
        elements = self.clip_frames * height * width * 3
        if elements > MAX_CLIP_ELEMENTS:
            raise UserError(
                f"Expected clips of at most {MAX_CLIP_ELEMENTS} numbers: give "
                "smaller frames, size or distance. Received: "
                f"{self.clip_frames} frames of {height}x{width} pixels, "
                f"{elements} numbers"
            )
        places = self.clip_frames * self.cells[0] * self.cells[1]
        if self.distractors > places:
            raise UserError(
                f"Expected at most {places} distractors, one for each place. "
                f"Received: {self.distractors}"
            )

    def _check_frames(self):
        if self.ability in ("motion", "all"):
            if self.clip_frames % self.size or self.size % 3 == 0:
                raise UserError(
                    "Expected frames as a multiple of size, and size as no "
                    "multiple of 3: a moving pattern is in each of its phases "
                    "equally often then. Received: "
                    f"frames={self.clip_frames}, size={self.size}"
                )
        if self.least_frames > self.video_frames:
            raise UserError(
                f"Expected at least {self.least_frames} frames for "
                f"frame_distance={self.cue_distance} in {self.ability!r}. "
                f"Received: {self.video_frames}"
            )
        if self.ability == "long" and self.clip_frames < ANSWER_FRAMES:
            raise UserError(
                f"Expected at least {ANSWER_FRAMES} frames for 'long', those "
                f"with the digits. Received: {self.clip_frames}"
            )

    @property
    def clip_frames(self) -> int:
        """Frames per clip."""
        default = LONG_FRAMES if self.ability == "long" else FRAMES
        return self.frames or default

    @property
    def digit_count(self) -> int:
        """Digits in a clip, and colours."""
        return self.digits or self.classes

    @property
    def video_frames(self) -> int:
        """Frames of the video whose last ones are the clip."""
        shortest = LONG_FRAMES if self.ability == "long" else 0
        return max(self.clip_frames, shortest)

    @property
    def cue_distance(self) -> int:
        """Frames from a cue to the nearest frame that it is for."""
        return self.frame_distance or (100 if self.ability == "long" else 5)

    @property
    def least_frames(self) -> int:
        """Frames of the shortest video with such distances."""
        if self.ability in ("appearance", "motion", "far_space"):
            return 1
        is_long = self.ability == "long"
        return self.cue_distance + (ANSWER_FRAMES if is_long else ANSWERS)

    @property
    def frame_px(self) -> tuple[int, int]:
        """Height and width of frames."""
        if self.ability == "long":
            return self.size, self.size
        return 2 * self.size, 3 * self.size + self.distance

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of places of the size of a digit."""
        height, width = self.frame_px
        return height // self.size, width // self.size


def _is_finite(value: object) -> bool:
    return isinstance(value, numbers.Real) and math.isfinite(value)
