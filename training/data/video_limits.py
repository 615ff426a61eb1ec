"""Resource limits for untrusted video files.

They stop decompression bombs, files of a few kB with gigabytes of pixels, and
servers that never finish a response. The defaults are far above real videos;
change them with `--set data.max_pixels=40000000`.
"""

import dataclasses

from ..io.user_error import UserError
from .clip_reader import VideoError
from .data_config import DataConfig


@dataclasses.dataclass(frozen=True)
class Limits:
    """Resource limits of decoding one video file.

    Attributes:
        max_pixels: pixels per frame.
        max_frames: frames per file.
        max_seconds: time to decode a whole file.

    Raises:
        UserError: a limit is not above 0.
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
        """Return the limits in the settings of a data set."""
        if data is None:
            return cls()
        return cls(data.max_pixels, data.max_frames, data.max_seconds)

    def check_size(self, width: int, height: int) -> None:
        """Raise a VideoError for frames that are too large."""
        if width * height > self.max_pixels:
            raise VideoError(
                f"its frames of {width} x {height} have more than "
                f"max_pixels={self.max_pixels}"
            )

    def check_count(self, frames: int) -> None:
        """Raise a VideoError for too many frames."""
        if frames > self.max_frames:
            raise VideoError(
                f"it has more frames than max_frames={self.max_frames}"
            )
