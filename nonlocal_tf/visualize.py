"""Where a position looks: the affinities of a non-local block, and pictures.

A block relates cells of its feature maps. A cell stands for a box of pixels,
and a `Look` carries the grid that says which.
"""

import dataclasses

import keras
import numpy as np
from keras import ops

from nonlocal_tf.choices import unknown
from nonlocal_tf.layers.nonlocal_block import NonLocalBlock

GAP_PX = 6
LETTER_PX = 6
CAPTION_PX = 22
BACKGROUND = (18, 18, 24)
HEAT = (255, 140, 0)
QUERY = (255, 255, 255)
FAINT = 0.05
TEXT = (225, 225, 230)

Cell = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Look:
    """What one cell of a block looks at.

    Attributes:
        block: name of the block's layer.
        query: (time, y, x) of the cell that looks, in cells.
        weights: `(time, height, width)`, how much it takes from each cell.
        cell: (frames, pixels, pixels) that one cell stands for.
    """

    block: str
    query: Cell
    weights: np.ndarray
    cell: tuple[float, float, float]

    def strongest(self, count: int) -> list[Cell]:
        """The cells that are looked at most, strongest first."""
        order = np.argsort(-self.weights, axis=None, kind="stable")[:count]
        times, ys, xs = np.unravel_index(order, self.weights.shape)
        return [
            (int(t), int(y), int(x))
            for t, y, x in zip(times, ys, xs, strict=True)
        ]

    def middle(self, at: Cell) -> Cell:
        """(frame, y, x) in pixels of the middle of a cell."""
        frame, y, x = (
            int((i + 0.5) * side) for i, side in zip(at, self.cell, strict=True)
        )
        return frame, y, x


def nonlocal_blocks(model: keras.Model) -> dict[str, NonLocalBlock]:
    """The model's non-local blocks by name, from input to output."""
    return {
        layer.name: layer
        for layer in model.layers
        if isinstance(layer, NonLocalBlock)
    }


def affinity(
    model: keras.Model,
    clip,
    query: tuple[int, int, int],
    block: str | None = None,
) -> Look:
    """Where the cell at a pixel looks.

    Args:
        model: a functional model on clips.
        clip: one clip as the model takes it, without the batch,
            `(time, height, width, channels)`; pixels go through
            `nonlocal_tf.preprocess.normalize` first.
        query: (frame, y, x) in pixels of the clip.
        block: name of a non-local block. Default: the last one.

    Returns:
        A `Look`. Weights of the Gaussian functions sum to one; those of the
        dot product may be negative.

    Raises:
        ValueError: the model has no such block, or the query is outside the
            clip.

    Example:

    >>> import numpy as np, nonlocal_tf as nl
    >>> model = nl.create_model("c2d_nl1_small")
    >>> look = nl.affinity(model, np.zeros((8, 32, 32, 3)), query=(5, 9, 20))
    >>> look.query, look.weights.shape
    ((5, 2, 5), (8, 8, 8))
    """
    blocks = nonlocal_blocks(model)
    if not blocks:
        raise ValueError(f"Model {model.name!r} has no non-local block.")
    name = list(blocks)[-1] if block is None else block
    if name not in blocks:
        raise ValueError(unknown("non-local block", name, blocks))
    layer = blocks[name]
    if len(layer.input.shape) != 5:
        raise ValueError(
            "Expected a block on clips, (batch, time, height, width, channels)"
            f". Received: {name!r} on {tuple(layer.input.shape)}"
        )
    if len(clip.shape) != 4:
        raise ValueError(
            "Expected one clip, (time, height, width, channels). "
            f"Received: shape={tuple(clip.shape)}"
        )
    size = tuple(clip.shape[:3])
    if not all(0 <= q < s for q, s in zip(query, size, strict=True)):
        raise ValueError(
            "Expected `query` to be (frame, y, x) inside a clip of size "
            f"{size}. Received: query={query}"
        )
    features_of = keras.Model(model.input, layer.input)
    clip = ops.expand_dims(ops.convert_to_tensor(clip, "float32"), 0)
    features = features_of(clip, training=False)
    grid = tuple(features.shape[1:4])  # (t, h, w)
    cell = tuple(s / g for s, g in zip(size, grid, strict=True))
    t, y, x = (int(q // c) for q, c in zip(query, cell, strict=True))
    at = (t, y, x)
    flat = int(np.ravel_multi_index(at, grid))
    weights = layer.affinity(features, queries=[flat])[0, 0]  # (keys,)
    weights = _on_grid(ops.convert_to_numpy(weights), layer, at, grid)
    return Look(name, at, weights, cell)


def _on_grid(weights: np.ndarray, layer: NonLocalBlock, at: Cell, grid: Cell):
    """Weights of keys as weights of cells, `(time, height, width)`.

    The weight of a pooled key is shared evenly by the cells that it was pooled
    from; cells that the query cannot look at have none.
    """
    pool = layer.pool_size
    begin, end = [0, 0, 0], list(grid)
    if layer.axes == "space":
        begin[0], end[0] = at[0], at[0] + 1
    elif layer.axes == "time":
        begin[1:], end[1:] = at[1:], [at[1] + 1, at[2] + 1]
    elif layer.temporal_group_size:
        begin[0] = at[0] - at[0] % layer.temporal_group_size
        end[0] = begin[0] + layer.temporal_group_size
    keys = [(e - b) // p for b, e, p in zip(begin, end, pool, strict=True)]
    seen = weights.reshape(keys) / np.prod(pool)
    for axis, size in enumerate(pool):
        seen = seen.repeat(size, axis)
    cells = np.zeros(grid, weights.dtype)
    cells[
        tuple(
            slice(b, b + size)
            for b, size in zip(begin, seen.shape, strict=True)
        )
    ] = seen
    return cells


def strip(frames: np.ndarray, look: Look, arrows: int = 3, zoom: int = 5):
    """Draws a clip's frames in a row and where a cell of it looks.

    The cell that looks is outlined in white. What it looks at glows, arrows
    lead to the strongest cells, with their weights, and below each frame is
    the sum of the weights at its time.

    Args:
        frames: uint8 RGB, `(time, height, width, 3)`.
        look: from `affinity`, on the same clip.
        arrows: how many, at the most; cells with less than a twentieth of the
            strongest get none.
        zoom: screen pixels a pixel.

    Returns:
        A `PIL.Image.Image`; it has `save`.

    Raises:
        ImportError: Pillow is not installed (extra `viz`).
    """
    Image, ImageDraw = pillow()
    time, height, width, _ = frames.shape
    layout = _Layout(height * zoom, width * zoom, zoom, look.cell)
    picture = Image.new(
        "RGB",
        (
            time * (layout.width + GAP_PX) + GAP_PX,
            layout.height + CAPTION_PX + 2 * GAP_PX,
        ),
        BACKGROUND,
    )
    draw = ImageDraw.Draw(picture)
    glow = _upsample(look, frames.shape)
    for index, frame in enumerate(frames):
        blended = _glow(frame, glow[index])
        tile = Image.fromarray(blended).resize(
            (layout.width, layout.height), Image.Resampling.NEAREST
        )
        picture.paste(tile, layout.corner(index))
        share = look.weights[int(index // look.cell[0])].sum()
        caption = f"frame {index}: sum {share:.2f}"
        x, y = layout.corner(index)
        draw.text((x, y + layout.height + GAP_PX), caption, fill=TEXT)
    for target in look.strongest(arrows):
        if look.weights[target] >= FAINT * look.weights.max() > 0:
            _arrow(draw, layout, look, target)
    draw.rectangle(layout.box(look.query), outline=QUERY, width=3)
    return picture


def sheet(pictures, captions, columns: int = 6):
    """Draws pictures of one size in rows, with lines of text below each.

    Args:
        pictures: uint8 RGB, each `(height, width, 3)`.
        captions: the lines of each; letters that Pillow's own font lacks
            become question marks.
        columns: pictures a row.

    Returns:
        A `PIL.Image.Image`; it has `save`.

    Raises:
        ImportError: Pillow is not installed (extra `viz`).
    """
    Image, ImageDraw = pillow()
    height, width = pictures[0].shape[:2]
    lines = max(len(caption) for caption in captions)
    step = height + lines * CAPTION_PX + GAP_PX
    rows = -(-len(pictures) // columns)
    size = (columns * (width + GAP_PX) + GAP_PX, rows * step + GAP_PX)
    picture = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(picture)
    for place, (tile, caption) in enumerate(
        zip(pictures, captions, strict=True)
    ):
        x = place % columns * (width + GAP_PX) + GAP_PX
        y = place // columns * step + GAP_PX
        picture.paste(Image.fromarray(tile), (x, y))
        for number, text in enumerate(caption):
            below = y + height + number * CAPTION_PX
            known = text.encode("ascii", "replace").decode()
            draw.text((x, below), known[: width // LETTER_PX], fill=TEXT)
    return picture


def pillow():
    """Pillow's modules for pictures and for drawing, `(Image, ImageDraw)`.

    Raises:
        ImportError: it is not installed (extra `viz`).
    """
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise ImportError(
            "Pictures need Pillow (extra viz). Install it with: "
            "pip install pillow"
        ) from error
    return Image, ImageDraw


@dataclasses.dataclass(frozen=True)
class _Layout:
    """Where frames and cells are on the picture."""

    height: int
    width: int
    zoom: int
    cell: tuple[float, float, float]

    def corner(self, frame: int) -> tuple[int, int]:
        return GAP_PX + frame * (self.width + GAP_PX), GAP_PX

    def box(self, at: Cell) -> tuple[float, ...]:
        """(left, top, right, bottom) of a cell, in its first frame."""
        x, y = self.corner(int(at[0] * self.cell[0]))
        cell_h, cell_w = (side * self.zoom for side in self.cell[1:])
        left, top = x + at[2] * cell_w, y + at[1] * cell_h
        return left, top, left + cell_w - 1, top + cell_h - 1

    def centre(self, at: Cell) -> np.ndarray:
        left, top, right, bottom = self.box(at)
        return np.array([(left + right) / 2, (top + bottom) / 2])


def _upsample(look: Look, shape) -> np.ndarray:
    """The weights a pixel, `(time, height, width)`, the largest being one."""
    pixels = np.clip(look.weights, 0, None)
    for axis in range(3):
        index = np.arange(shape[axis]) // look.cell[axis]
        pixels = np.take(pixels, index.astype(int), axis=axis)
    return pixels / max(pixels.max(), np.finfo("float32").tiny)


def _glow(frame: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Mixes the heat colour into a frame, at most six tenths of it."""
    share = 0.6 * np.sqrt(share)[..., None]  # the root lifts the faint ones
    mixed = (1 - share) * frame + share * np.array(HEAT)
    return mixed.round().astype("uint8")


def _arrow(draw, layout: _Layout, look: Look, target: Cell) -> None:
    """An arrow from the query to a target cell, its weight written below."""
    left, _, _, bottom = layout.box(target)
    draw.rectangle(layout.box(target), outline=HEAT, width=2)
    start, end = layout.centre(look.query), layout.centre(target)
    length = float(np.hypot(*(end - start)))
    if length > 0:
        along = (end - start) / length
        across = np.array([-along[1], along[0]])
        back = end - 12 * along
        head = (end, back + 6 * across, back - 6 * across)
        draw.line([*start, *back], fill=HEAT, width=3)
        draw.polygon([tuple(point) for point in head], fill=HEAT)
    label, corner = f"{look.weights[target]:.2f}", (left, bottom + 2)
    draw.rectangle(draw.textbbox(corner, label), fill=BACKGROUND)
    draw.text(corner, label, fill=TEXT)
