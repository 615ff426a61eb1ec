"""The architecture of a model as the paper prints it (table 1)."""

import itertools
import re
from collections.abc import Sequence

import keras
from keras import layers

from nonlocal_tf.complexity import CONVOLUTIONS, Cost, layer_cost, layer_shapes
from nonlocal_tf.layers.nonlocal_block import NonLocalBlock
from nonlocal_tf.layers.pooling import MaxPool

IN_A_STAGE = re.compile(r"(?P<stage>res\d)_block(?P<block>\d+)_(?P<part>\w+)")
AFTER_A_LAYER = re.compile(r"_(bn|affine|relu)$")
HEADER = ("layer", "kernels", "output", "parameters", "multiply-adds")


def summary(model: keras.Model, shape: tuple[int, ...] | None = None) -> str:
    """A table of a model's stages: kernels, outputs, parameters, multiply-adds.

    Args:
        model: a functional model on clips or images.
        shape: of one clip or image. Default: the model's own, which has to be
            known for it.

    Sizes and windows are those of the authors' code. The table in the paper
    prints other pools, 3x3x3 and 3x1x1 instead of 2x3x3 and 2x1x1, and rounds
    the 55 x 55 that they leave to 56 x 56.

    Returns:
        Lines of text. Parameters are all that training changes; multiply-adds
        are those for one clip or image. `nonlocal_tf.complexity` says how both
        are counted.

    Raises:
        ValueError: the shape is not known.
    """
    rows: list[tuple[str, ...]] = [HEADER]
    total = Cost()
    for name, group in itertools.groupby(
        layer_shapes(model, shape), key=lambda shaped: _row_of(shaped[0])
    ):
        members = list(group)
        cost = sum((layer_cost(one, size) for one, size, _ in members), Cost())
        total += cost
        described = _kernels([layer for layer, *_ in members])
        if described:
            first, *more = described
            output = " x ".join(map(str, members[-1][2]))
            rows.append((name, first, output, *_counts(cost)))
            rows += [("", line, "", "", "") for line in more]
    rows.append(("in all", "", "", *_counts(total)))
    return f"{model.name}\n{_aligned(rows)}"


def _row_of(layer: keras.Layer) -> str:
    """Name of the row: a stage, or a layer with what only normalises it."""
    match = IN_A_STAGE.fullmatch(layer.name)
    return match["stage"] if match else AFTER_A_LAYER.sub("", layer.name)


def _kernels(members: list[keras.Layer]) -> list[str]:
    """What a row's layers do; a line for each run of equal blocks."""
    if not IN_A_STAGE.fullmatch(members[0].name):
        return [text for layer in members if (text := _describe(layer))]
    blocks = itertools.groupby(members, key=lambda one: _part(one)["block"])
    lines = []
    for line, equal in itertools.groupby(
        (_describe_block(list(layers_)) for _, layers_ in blocks)
    ):
        count = len(list(equal))
        lines.append(f"{line} x {count}" if count > 1 else line)
    return lines


def _part(layer: keras.Layer) -> re.Match:
    return IN_A_STAGE.fullmatch(layer.name)  # type: ignore[return-value]


def _describe_block(members: list[keras.Layer]) -> str:
    convs = [
        _describe(layer)
        for layer in members
        if isinstance(layer, CONVOLUTIONS)
        and _part(layer)["part"] != "shortcut"
    ]
    blocks = [m for m in members if isinstance(m, NonLocalBlock)]
    return " + ".join([f"[{'; '.join(convs)}]", *map(_describe, blocks)])


def _describe(layer: keras.Layer) -> str:
    """A layer in a few words; nothing for one without kernel or window."""
    if isinstance(layer, CONVOLUTIONS):
        text = f"{_by(layer.kernel_size)}, {layer.filters}"
        return text + _strides(layer.strides)
    if isinstance(layer, MaxPool):
        return f"{_by(layer.pool_size)} max" + _strides(layer.strides)
    if isinstance(layer, (layers.AveragePooling2D, layers.AveragePooling3D)):
        return f"{_by(layer.pool_size)} average" + _strides(layer.strides)
    if type(layer).__name__.startswith("GlobalAverage"):
        return "average of all"
    if type(layer).__name__.startswith("GlobalMax"):
        return "maximum of all"
    if isinstance(layer, layers.Dense):
        return f"linear, {layer.units}"
    if isinstance(layer, NonLocalBlock):
        kind = type(layer.pairwise).__name__
        return f"non-local, {layer.g.units} ({kind})"
    return ""


def _by(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))


def _strides(strides: Sequence[int]) -> str:
    return f", stride {_by(strides)}" if max(strides) > 1 else ""


def _counts(cost: Cost) -> tuple[str, str]:
    adds = cost.multiply_adds
    text = f"{adds / 1e9:.2f} G" if adds >= 1e8 else f"{adds / 1e6:.2f} M"
    return (
        f"{cost.parameters:,}" if cost.parameters else "",
        text if adds else "",
    )


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if index < 3 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
