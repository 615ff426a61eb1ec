"""Layout of frames, captions and legend on an image of a clip."""

import dataclasses
import math
from collections.abc import Sequence

from nonlocal_tf.attention.attention_map import AttentionMap, Cell
from nonlocal_tf.attention.plots.fonts import text_width

# Images are usually shown at about half their size.
FONT_PX, LINE_PX, GAP_PX = 22, 32, 8
MIN_SIDE_PX, MAX_HEIGHT_PX = 160, 600
VIDEO_SIDE_PX = 360
SUM_CAPTION = "  sum 00.00"  # width of what follows a frame's name
ONE_LINE_LEGEND_PX = 800  # width from which the legend fits on one line
MIN_WIDTH_PX = 420  # width of the legend on two lines


@dataclasses.dataclass(frozen=True)
class FrameLayout:
    """Frames in rows, with lines of text below each frame and a legend.

    Attributes:
        frames: numbers of the frames that are shown.
        height: height of a frame on the image.
        width: width of a frame on the image.
        columns: frames per row.
        scale: (vertical, horizontal) image pixels per pixel of a frame.
        caption_lines: lines of text below a frame.
    """

    frames: range
    height: int
    width: int
    columns: int
    scale: tuple[float, float]
    caption_lines: int

    @classmethod
    def all_frames(
        cls, shape: tuple[int, ...], names: Sequence[str], width_px: int
    ) -> "FrameLayout":
        """Lay out all frames of a clip, as large as the width allows.

        Args:
            shape: `(time, height, width, 3)` of the clip.
            names: captions of the frames.
            width_px: maximum width of the image, 420 or more.
        """
        frames, height, width, _ = shape
        available = width_px - GAP_PX
        min_px = max(MIN_SIDE_PX, MIN_SIDE_PX * width / height) + GAP_PX
        rows = math.ceil(frames / max(int(available / min_px), 1))
        columns = math.ceil(frames / rows)
        frame_px = available / columns - GAP_PX
        scale = min(frame_px / width, MAX_HEIGHT_PX / height)
        return cls._scaled(range(frames), height, width, columns, scale, names)

    @classmethod
    def single_frame(
        cls, shape: tuple[int, ...], names: Sequence[str], frame: int
    ) -> "FrameLayout":
        """Lay out one frame of a video; see `all_frames`."""
        _, height, width, _ = shape
        scale = VIDEO_SIDE_PX / min(height, width)
        frames = range(frame, frame + 1)
        return cls._scaled(frames, height, width, 1, scale, names)

    @classmethod
    def _scaled(
        cls,
        frames: range,
        height: int,
        width: int,
        columns: int,
        scale: float,
        names: Sequence[str],
    ) -> "FrameLayout":
        if scale > 3:  # visible pixels should have equal sizes
            scale = math.floor(scale)
        # Rounded down, so that the frames fit.
        drawn_height, drawn_width = (
            max(int(side * scale + 1e-6), 1) for side in (height, width)
        )
        widest = max(text_width(name + SUM_CAPTION, FONT_PX) for name in names)
        caption_lines = 1 if widest <= drawn_width else 2
        scales = drawn_height / height, drawn_width / width
        return cls(
            frames, drawn_height, drawn_width, columns, scales, caption_lines
        )

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) of the image; even, as video encoders require."""
        width = self.columns * (self.width + GAP_PX) + GAP_PX
        width = max(width, MIN_WIDTH_PX)
        rows = math.ceil(len(self.frames) / self.columns)
        legend = 1 if self.has_one_line_legend else 2
        height = rows * self._row_height + GAP_PX + legend * LINE_PX + GAP_PX
        return width + width % 2, height + height % 2

    @property
    def has_one_line_legend(self) -> bool:
        """True if the legend fits on one line."""
        return self.columns * (self.width + GAP_PX) > ONE_LINE_LEGEND_PX

    @property
    def _row_height(self) -> int:
        return self.height + GAP_PX + self.caption_lines * LINE_PX

    @property
    def legend_position(self) -> tuple[int, int]:
        """(x, y) of the legend's left end, in the middle of its line."""
        rows = math.ceil(len(self.frames) / self.columns)
        return GAP_PX, rows * self._row_height + GAP_PX + LINE_PX // 2

    def corner(self, frame: int) -> tuple[int, int]:
        """Return (x, y) of a frame's top left pixel.

        With a single frame on the image, that of any frame.
        """
        index = frame - self.frames[0] if len(self.frames) > 1 else 0
        row, column = divmod(index, self.columns)
        x = GAP_PX + column * (self.width + GAP_PX)
        return x, GAP_PX + row * self._row_height

    def to_image_scale(self, attention: AttentionMap) -> AttentionMap:
        """Scale an attention map from frames to frames on the image."""
        return attention.transform((0.0, 0.0, 0.0), (1.0, *self.scale))

    def box(
        self, frame: int, attention: AttentionMap, cell: Cell, min_px: float
    ) -> tuple[float, ...]:
        """Return (left, top, right, bottom) of a cell on the image.

        Args:
            frame: number of the frame.
            attention: scaled by `to_image_scale`.
            cell: the cell.
            min_px: minimum side of the box, for visibility.
        """
        x, y = self.corner(frame)
        top, left, bottom, right = attention.box(cell)
        grow_y = max(min_px - (bottom - top), 0) / 2
        grow_x = max(min_px - (right - left), 0) / 2
        return (
            x + min(max(left - grow_x, 0), self.width - 1),
            y + min(max(top - grow_y, 0), self.height - 1),
            x + max(min(right + grow_x, self.width), 1),
            y + max(min(bottom + grow_y, self.height), 1),
        )

    def center(
        self, frame: int, attention: AttentionMap, cell: Cell
    ) -> tuple[float, float]:
        """Return (x, y) of the center of a cell on the image."""
        x, y = self.corner(frame)
        _, cell_y, cell_x = attention.center(cell)
        return (
            x + min(max(cell_x, 0), self.width),
            y + min(max(cell_y, 0), self.height),
        )
