"""Summary of a model as a table of its stages, like the paper's table 1."""

import itertools
import re
from collections.abc import Sequence

import keras
from keras import layers

from nonlocal_tf.layers.nonlocal_block import NonLocalBlock
from nonlocal_tf.layers.pooling import MaxPool
from nonlocal_tf.models import flops
from nonlocal_tf.models.flops import (
    CONVOLUTIONS,
    DEPTHWISE,
    SEPARABLE,
    TRANSPOSED,
    Cost,
)

STAGE_LAYER = re.compile(r"(?P<stage>res\d)_block(?P<block>\d+)_(?P<part>\w+)")
NORM_OR_RELU = re.compile(r"_(bn|affine|relu)$")
HEADER = ("layer", "kernels", "output", "parameters", "multiply-adds")


def summary(model: keras.Model, shape: tuple[int, ...] | None = None) -> str:
    """Format a table of a model's stages.

    The table has the kernels, output shapes, parameters and multiply-adds of
    each stage, like table 1 of the paper. Sizes are those of the authors' code:
    the paper prints pools of 3x3x3 and 3x1x1 instead of 2x3x3 and 2x1x1, and
    outputs of 56 x 56 instead of 55 x 55.

    Args:
        model: as for `nonlocal_tf.cost`. Layers of models inside it are rows.
        shape: as for `nonlocal_tf.cost`.

    Returns:
        The table as text. `nonlocal_tf.cost` defines the counts.

    Raises:
        ValueError: see `nonlocal_tf.cost`.

    Example:

    >>> import nonlocal_tf as nl
    >>> table = nl.summary(nl.create_model("c2d_small"))
    >>> table.splitlines()[1].split()
    ['layer', 'kernels', 'output', 'parameters', 'multiply-adds']
    """
    rows: list[tuple[str, ...]] = [HEADER]
    calls = flops.call_costs(flops.flatten(model, shape))
    for name, group in itertools.groupby(
        calls, key=lambda pair: _row_name(pair[0].layer)
    ):
        members, costs = zip(*group, strict=True)
        kernels = _kernels([call.layer for call in members])
        if kernels:
            output = keras.tree.flatten(members[-1].output)[0].shape[1:]
            size = " x ".join(map(str, output))
            counts = _counts(sum(costs, Cost()))
            rows.append((name, kernels[0], size, *counts))
            rows += [("", line, "", "", "") for line in kernels[1:]]
    total = flops.total_cost(model, calls)
    rows.append(("total", "", "", *_counts(total)))
    return f"{model.name}\n{_aligned(rows)}"


def _row_name(layer: keras.Layer) -> str:
    """Name of the stage, or of the layer before a normalization or ReLU."""
    match = STAGE_LAYER.fullmatch(layer.name)
    return match["stage"] if match else NORM_OR_RELU.sub("", layer.name)


def _kernels(members: list[keras.Layer]) -> list[str]:
    """Describe the layers of a row; one line per run of equal blocks."""
    if not STAGE_LAYER.fullmatch(members[0].name):
        return [text for layer in members if (text := _describe(layer))]
    blocks = itertools.groupby(members, key=lambda x: _match(x)["block"])
    lines = []
    for line, equal in itertools.groupby(
        (_describe_block(list(layers_)) for _, layers_ in blocks)
    ):
        count = len(list(equal))
        lines.append(f"{line} x {count}" if count > 1 else line)
    return lines


def _match(layer: keras.Layer) -> re.Match:
    return STAGE_LAYER.fullmatch(layer.name)  # type: ignore[return-value]


def _describe_block(members: list[keras.Layer]) -> str:
    convs = [
        _describe(layer)
        for layer in members
        if isinstance(layer, CONVOLUTIONS)
        and _match(layer)["part"] != "shortcut"
    ]
    blocks = [m for m in members if isinstance(m, NonLocalBlock)]
    return " + ".join([f"[{'; '.join(convs)}]", *map(_describe, blocks)])


def _describe(layer: keras.Layer) -> str:
    """Describe a layer; empty for one without kernel or window."""
    if isinstance(layer, (*CONVOLUTIONS, *SEPARABLE, *TRANSPOSED)):
        text = f"{_by(layer.kernel_size)}, {layer.filters}"
        return text + _strides(layer.strides)
    if isinstance(layer, DEPTHWISE):
        text = f"{_by(layer.kernel_size)}, depthwise"
        return text + _strides(layer.strides)
    if isinstance(layer, MaxPool):
        return f"{_by(layer.pool_size)} max" + _strides(layer.strides)
    if isinstance(layer, (layers.AveragePooling2D, layers.AveragePooling3D)):
        return f"{_by(layer.pool_size)} average" + _strides(layer.strides)
    if type(layer).__name__.startswith("GlobalAverage"):
        return "global average"
    if type(layer).__name__.startswith("GlobalMax"):
        return "global max"
    if isinstance(layer, layers.Dense):
        return f"dense, {layer.units}"
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
