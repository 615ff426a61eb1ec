"""Bounds on what reading one video file may take.

A file of some kilobytes may hold frames of gigabytes, or millions of them, and
a server may send a byte a second for ever. The bounds are far above what
people film, and settings: `--set data.max_pixels=40000000`.
"""

import dataclasses

from ..io.user_error import UserError
from ..recipes.schema import DataConfig
from .sources import VideoError


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bounds of a video file; a file beyond one of them is a bad video.

    Attributes:
        max_pixels: of a frame.
        max_frames: of a file.
        max_seconds: that decoding a file from one end to the other may take.

    Raises:
        UserError: one of them is not above 0.
    """

    max_pixels: int = DataConfig.max_pixels
    max_frames: int = DataConfig.max_frames
    max_seconds: float = DataConfig.max_seconds

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise UserError(
                    f"Expected {field.name} above 0. Received: {value}"
                )

    @classmethod
    def of(cls, data: DataConfig | None) -> "Limits":
        """The bounds that a recipe's settings say."""
        if data is None:
            return cls()
        return cls(data.max_pixels, data.max_frames, data.max_seconds)

    def check_size(self, width: int, height: int) -> None:
        """Raises a VideoError for frames that are too large."""
        if width * height > self.max_pixels:
            raise VideoError(
                f"its frames of {width} x {height} have more than "
                f"max_pixels={self.max_pixels}"
            )

    def check_count(self, frames: int) -> None:
        """Raises a VideoError for too many frames."""
        if frames > self.max_frames:
            raise VideoError(
                f"it has more frames than max_frames={self.max_frames}"
            )
