"""Settings of the clips and views that are taken of videos."""

import dataclasses
import sys
from typing import Final, Literal

from ..io.user_error import UserError

AUTO: Final = "auto"  # a frame stride
# Fields of `SamplingConfig` that are of training alone, beside `flip` and
# `color_jitter`.
AUGMENTATION = (
    "balanced",
    "repeats",
    "time_jitter",
    "reversal",
    "flip_pairs",
    "crop_area",
    "crop_ratio",
    "grey",
    "erase",
    "rand_augment",
    "magnitude",
)
# The largest value of settings that begin at 0.
LIMITS = {
    **dict.fromkeys(("color_jitter", "grey", "erase"), 1),
    **dict.fromkeys(("time_jitter", "reversal"), 1),
    "magnitude": 10,
    "rand_augment": 20,  # operations; a few destroy a clip
}
# Settings that change nothing without another one.
DEPENDENT = {
    "flip_pairs": "flip=true",
    "crop_ratio": "crop_area=0.4,1",
    "magnitude": "rand_augment=2",
}


@dataclasses.dataclass(frozen=True)
class SamplingConfig:
    """Length, stride, scale, crop and augmentation of clips.

    The defaults are those of the authors' code for its faster networks, 8
    frames with stride 8. The paper's clips have 32 frames with stride 2, or 128
    with stride 1.

    Attributes:
        frames: frames per clip.
        frame_stride: distance between frames of a clip; "auto" is computed
            from the lengths of the training videos (`auto_stride`) at the start
            of a run, whose recipe.json has the number.
        fps: frame rate at which strides are counted, 30 in SlowFast; None
            counts the frames of the file, as the authors' code does.
        past_end: frames after the end of a video that is shorter than the
            clip: "wrap" (from its first frame) or "clamp" (its last frame).
        min_short_side_px: smallest short side of a training clip; the
            authors' 4-GPU variant has 256 as the largest too.
        max_short_side_px: largest short side of a training clip.
        crop_px: side of the square crop.
        flip: whether half of the training clips are flipped horizontally.
        flip_pairs: classes that a flip exchanges, such as
            "turn left:turn right,wave left:wave right"; None for none.
        color_jitter: strength, from 0 to 1, of random gains and shifts of the
            color channels of a training clip.
        balanced: whether each class is trained on as often, by repeating the
            videos of rare ones.
        repeats: clips of each video in a batch, each augmented on its own, of
            a batch that is a multiple of twice as many.
        time_jitter: strength, from 0 to 1, of a random factor of the stride of
            a training clip: of 1, from half to twice the stride.
        reversal: share of training clips that are played backwards. Where
            classes differ by direction or by the order of events, a reversed
            clip is of another class than its label.
        crop_area: smallest and largest share of the frame's area that a
            training clip shows, resized to the crop; in place of a resized
            short side. None for that.
        crop_ratio: smallest and largest width / height of such a crop.
        grey: share of training clips without color.
        erase: share of training clips of which a box is noise.
        rand_augment: random operations of RandAugment on each training clip.
        magnitude: their strength, from 0 to 10.
        eval_short_side_px: short side of the centre clip of validation.
    """

    frames: int = 8
    frame_stride: int | Literal["auto"] = 8
    fps: float | None = None
    past_end: str = "wrap"
    min_short_side_px: int = 256
    max_short_side_px: int = 320
    crop_px: int = 224
    flip: bool = True
    flip_pairs: str | None = None
    color_jitter: float = 0.0
    balanced: bool = False
    repeats: int = 1
    time_jitter: float = 0.0
    reversal: float = 0.0
    crop_area: tuple[float, float] | None = None
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    grey: float = 0.0
    erase: float = 0.0
    rand_augment: int = 0
    magnitude: float = 7.0
    eval_short_side_px: int = 256

    def __post_init__(self):
        for name in ("crop_area", "crop_ratio"):  # JSON has lists
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def stride(self) -> int:
        """The frame stride as a number.

        Raises:
            UserError: it is still "auto".
        """
        if isinstance(self.frame_stride, str):
            raise UserError(
                f"sampling.frame_stride={self.frame_stride} is resolved when a "
                "run begins. Elsewhere give a number: --set "
                "sampling.frame_stride=4"
            )
        return self.frame_stride

    def check_augmentation(self) -> None:
        """Raise a ValueError for augmentation that is invalid or of no use."""
        for name, most in LIMITS.items():
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise ValueError(
                    f"Expected {name} from 0 to {most}. Received: {value}"
                )
        limits = {"crop_area": 1.0, "crop_ratio": sys.float_info.max}
        for name, limit in limits.items():
            low, high = getattr(self, name) or (1, 1)
            if not 0 < low <= high <= limit:
                raise ValueError(
                    f"Expected {name} as the smallest and the largest, above 0"
                    f"{' and at most 1' * (limit == 1)}. Received: {low}, "
                    f"{high}"
                )
        for name, needed in DEPENDENT.items():
            value = getattr(self, name)
            is_changed = value != getattr(type(self), name)
            if is_changed and not getattr(self, needed.partition("=")[0]):
                raise ValueError(
                    f"sampling.{name} goes with another setting, such as "
                    f"sampling.{needed}. Received: {name}={value}"
                )

    def check_batch(self, batch: int) -> None:
        """Raise a UserError unless all clips of a video are in one batch."""
        if self.repeats > 1 and batch % (2 * self.repeats):
            raise UserError(
                f"Expected a batch that is a multiple of {2 * self.repeats}, "
                f"twice sampling.repeats. Received: {batch}"
            )


@dataclasses.dataclass(frozen=True)
class ViewsConfig:
    """Views of a video whose scores are averaged in an evaluation.

    The defaults are those of the authors' code: 10 clips with 3 crops each. The
    paper evaluates 10 clips of whole frames: crops=0.

    Attributes:
        clips: number of clips along the video.
        crops: number of crops of each clip, along the long side: 1, 3, or 0
            for whole frames.
        short_side_px: short side to which frames are resized.
        crop_px: side of the square crops; unused for whole frames.
        starts: "authors" (at tenths of the video; the last clips wrap),
            "slowfast" (the last clip ends before the video does), "mmaction2"
            (the last clip ends with the video; its networks average over whole
            crops then) or "centre" (one clip in the centre).
        pool: pooling of the scores of views: "mean" or, for multi-label data
            sets, "max".
    """

    clips: int = 10
    crops: int = 3
    short_side_px: int = 256
    crop_px: int = 256
    starts: str = "authors"
    pool: str = "mean"
