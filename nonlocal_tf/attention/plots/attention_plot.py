"""Attention maps drawn on the frames of a clip, as an image or a video.

Style "arrows" is that of the paper's figure 3: arrows lead from the query cell
to the cells with the largest attention weights. Style "heat" overlays a heat
map on each frame.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from nonlocal_tf.attention.attention_map import AttentionMap, Cell
from nonlocal_tf.attention.plots import heat_map
from nonlocal_tf.attention.plots.fonts import (
    pillow,
    shortened,
    text_width,
    write,
)
from nonlocal_tf.attention.plots.frame_layout import (
    FONT_PX,
    GAP_PX,
    LINE_PX,
    FrameLayout,
)
from nonlocal_tf.attention.plots.image_grid import BACKGROUND, TEXT
from nonlocal_tf.attention.plots.markers import (
    ARROW,
    QUERY,
    THICK_PX,
    THIN_PX,
    Markers,
)
from nonlocal_tf.choices import unknown
from nonlocal_tf.typing import PILDraw, PILImage

STYLES = ("arrows", "heat")
WIDTH_PX = 1800
COLOR_BAR_PX = (150, 20)
GRAY = 110  # level of the frame below the color bar


def draw_clip(
    frames: np.ndarray,
    attention: AttentionMap,
    arrows: int = 20,
    style: str = "arrows",
    names: Sequence[str] | None = None,
    width_px: int = WIDTH_PX,
) -> PILImage:
    """Draw an attention map on all frames of a clip, in rows of one image.

    The query cell is outlined in white. The caption of a frame has the sum of
    the attention weights at its time; a legend is at the bottom.

    Args:
        frames: uint8 RGB, `(time, height, width, 3)`.
        attention: attention map, positioned in pixels of these frames.
        arrows: maximum number of arrows with `style="arrows"`. Cells with
            less than a twentieth of the largest weight get none.
        style: "arrows" or "heat".
        names: captions of the frames, cut to the frame's width. Default:
            "frame 0", "frame 1" and so on.
        width_px: maximum width of the image, 420 or more.

    Returns:
        A `PIL.Image.Image`; save it with its `save`.

    Raises:
        ImportError: Pillow is not installed (extra `viz`).
        ValueError: the style is unknown, or an array has a wrong shape or
            dtype.
    """
    _check(style, frames, attention)
    names = names or [f"frame {n}" for n in range(len(frames))]
    layout = FrameLayout.all_frames(frames.shape, names, width_px)
    return _draw(layout, frames, attention, arrows, style, names)


def draw_video(
    frames: np.ndarray,
    attention: AttentionMap,
    arrows: int = 20,
    style: str = "heat",
    names: Sequence[str] | None = None,
) -> Iterator[PILImage]:
    """Draw an attention map on each frame of a clip, one image per frame.

    The query cell is outlined in its own frame and marked by its corners in
    the others. An image has the arrows to its own frame.

    Args:
        frames: see `draw_clip`.
        attention: see `draw_clip`.
        arrows: maximum number of arrows in all frames together.
        style: "arrows" or "heat".
        names: see `draw_clip`.

    Yields:
        `PIL.Image.Image`, all of one size.

    Raises:
        ImportError: Pillow is not installed (extra `viz`).
        ValueError: the style is unknown, or an array has a wrong shape or
            dtype.
    """
    _check(style, frames, attention)
    names = names or [f"frame {n}" for n in range(len(frames))]
    for number in range(len(frames)):
        layout = FrameLayout.single_frame(frames.shape, names, number)
        yield _draw(layout, frames, attention, arrows, style, names)


def _check(style: str, frames: np.ndarray, attention: AttentionMap) -> None:
    if style not in STYLES:
        raise ValueError(unknown("style", style, STYLES))
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise ValueError(
            "Expected uint8 RGB frames, (time, height, width, 3). "
            f"Received: {frames.dtype} {frames.shape}"
        )
    if attention.weights.ndim != 3:
        raise ValueError(
            "Expected weights of cells, (time, height, width). "
            f"Received: shape={attention.weights.shape}"
        )


def _draw(
    layout: FrameLayout,
    frames: np.ndarray,
    attention: AttentionMap,
    arrows: int,
    style: str,
    names: Sequence[str],
) -> PILImage:
    """Draw the frames of a layout, with markers and text."""
    Image, ImageDraw = pillow()
    attention = layout.to_image_scale(attention)
    image = Image.new("RGB", layout.image_size, BACKGROUND)
    for number in layout.frames:
        frame = _overlay(frames[number], number, attention, layout, style)
        image.paste(Image.fromarray(frame), layout.corner(number))
    targets = attention.salient_cells(arrows) if style == "arrows" else []
    image = _add_markers(image, layout, len(frames), attention, targets)
    draw = ImageDraw.Draw(image)
    _draw_captions(draw, layout, attention, names)
    _draw_legend(image, draw, layout, attention, style, targets)
    return image


def _overlay(
    frame: np.ndarray,
    number: int,
    attention: AttentionMap,
    layout: FrameLayout,
    style: str,
) -> np.ndarray:
    """Resize a frame and overlay its weights, uint8 `(height, width, 3)`."""
    Image, _ = pillow()
    methods = Image.Resampling
    method = methods.NEAREST if min(layout.scale) >= 3 else methods.BICUBIC
    size = (layout.width, layout.height)
    resized = np.asarray(Image.fromarray(frame).resize(size, method))
    largest = max(attention.weights.max(), np.finfo("float32").tiny)
    weights = attention.frame_weights(number, layout.height, layout.width)
    if style == "heat":
        return heat_map.overlay_heat_map(resized, weights / largest)
    return heat_map.overlay_color(resized, weights / largest, ARROW)


def _add_markers(
    image: PILImage,
    layout: FrameLayout,
    frames: int,
    attention: AttentionMap,
    targets: Sequence[Cell],
) -> PILImage:
    """Outline the query and draw arrows to the targets."""

    def frame_of(cell: Cell) -> int:
        return min(attention.center_pixel(cell)[0], frames - 1)

    markers, query_frame = Markers(layout, attention), frame_of(attention.query)
    for target in reversed(targets):  # the strongest on top
        if frame_of(target) in layout.frames:
            markers.draw_arrow(query_frame, frame_of(target), target)
    markers.draw_query(query_frame, full=query_frame in layout.frames)
    return markers.composite(image)


def _draw_captions(
    draw: PILDraw,
    layout: FrameLayout,
    attention: AttentionMap,
    names: Sequence[str],
) -> None:
    """Write each frame's name and the sum of the weights at its time."""
    for number in layout.frames:
        x, y = layout.corner(number)
        y += layout.height + LINE_PX // 2 + 2
        time = attention.nearest_time(number)
        total = float(attention.weights[time].sum())
        digits = f"{total:.2f}" if abs(total) < 1000 else f"{total:.3g}"
        text, available = f"sum {digits}", layout.width
        if text_width(text, FONT_PX) > layout.width:
            text = shortened(digits, layout.width, FONT_PX)
        if layout.caption_lines == 1:
            available -= round(text_width(text, FONT_PX)) + 2 * GAP_PX
        name = shortened(names[number], available, FONT_PX)
        _write(draw, (x, y), name, "lm")
        if layout.caption_lines == 1:
            _write(draw, (x + layout.width - GAP_PX, y), text, "rm")
        else:
            _write(draw, (x, y + LINE_PX), text, "lm")


def _draw_legend(
    image: PILImage,
    draw: PILDraw,
    layout: FrameLayout,
    attention: AttentionMap,
    style: str,
    targets: Sequence[Cell],
) -> None:
    """Explain markers and colors in the last one or two lines."""
    x: float
    x, y = layout.legend_position
    draw.rectangle((x, y - 10, x + 20, y + 10), outline=QUERY, width=3)
    cells = f", top {len(targets)} keys" if len(targets) > 1 else ""
    x_end = _write(draw, (x + 30, y), f"query{cells}", "lm")
    if layout.has_one_line_legend:
        x = x_end + 2 * LINE_PX
    else:
        y += LINE_PX
    if style == "arrows" and not targets:
        return
    x = _write(draw, (x, y), "weight", "lm") + 2 * GAP_PX
    if style == "heat":
        _draw_color_bar(image, draw, (x, y), attention)
    else:
        _draw_arrow_widths(
            draw, (x, y), [attention.weights[t] for t in targets]
        )


def _draw_color_bar(
    image: PILImage,
    draw: PILDraw,
    position: tuple[float, float],
    attention: AttentionMap,
) -> None:
    """Draw the color map from zero to the largest weight."""
    Image, _ = pillow()
    x, y = position
    x = _write(draw, (x, y), "0", "lm") + GAP_PX
    width, height = COLOR_BAR_PX
    weights = np.broadcast_to(np.linspace(0, 1, width), (height, width))
    gray = np.full((height, width, 3), GRAY, "uint8")
    bar = Image.fromarray(heat_map.overlay_heat_map(gray, weights))
    image.paste(bar, (round(x), round(y - height / 2)))
    x += width + GAP_PX
    _write(draw, (x, y), f"{max(attention.weights.max(), 0):.2g}", "lm")


def _draw_arrow_widths(
    draw: PILDraw, position: tuple[float, float], weights: Sequence[float]
) -> None:
    """Draw the thickest and the thinnest arrow beside their weights."""
    x, y = position
    extremes = [(weights[0], THICK_PX), (weights[-1], THIN_PX)]
    for weight, width in extremes[: len(weights)]:
        draw.line((x, y, x + 40, y), fill=ARROW, width=round(width))
        x = _write(draw, (x + 48, y), f"{weight:.2g}", "lm") + 2 * GAP_PX


def _write(
    draw: PILDraw, position: tuple[float, float], text: str, anchor: str
) -> float:
    """Write text and return the x at which it ends."""
    return write(draw, position, text, FONT_PX, TEXT, anchor)
