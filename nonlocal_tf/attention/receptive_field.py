"""Receptive fields and centers, in input pixels, of the cells of a feature map.

Each layer between a network's input and the map is a window with a size, a
stride and paddings. Composing the windows gives the first and the last pixel of
a cell's receptive field; the cell's center is the middle of both. Centers are
rarely at (i + 0.5) * stride: Keras' "same" pads strided convolutions more at
the end than at the start, and pools without padding drop pixels.
"""

import dataclasses
import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import layers

from nonlocal_tf.layers.convolution import Conv2D, Conv3D
from nonlocal_tf.layers.pooling import MaxPool
from nonlocal_tf.models.flattening import LayerCall
from nonlocal_tf.typing import Tensor

OWN_LAYERS = (Conv2D, Conv3D, MaxPool)  # with one padding per axis
POOLS = (
    MaxPool,
    layers.MaxPooling2D,
    layers.MaxPooling3D,
    layers.AveragePooling2D,
    layers.AveragePooling3D,
)
CONVOLUTIONS = (
    layers.Conv2D,
    layers.Conv3D,
    layers.DepthwiseConv2D,
    layers.SeparableConv2D,
)
PADDINGS = (layers.ZeroPadding2D, layers.ZeroPadding3D)
CROPPINGS = (layers.Cropping2D, layers.Cropping3D)
# Operations of keras.ops that may move positions and keep the shape.
MOVES = ("Flip", "Moveaxis", "Roll", "Rot90", "Swapaxes", "Transpose")


@dataclasses.dataclass(frozen=True)
class Window:
    """Kernel or pooling window of a layer along one axis.

    Attributes:
        size: number of cells it covers, including dilation.
        stride: from one window to the next.
        pad_before: zeros before the axis; negative for cropping.
        pad_after: zeros behind it; negative for cropping.
    """

    size: int = 1
    stride: int = 1
    pad_before: int = 0
    pad_after: int = 0


@dataclasses.dataclass(frozen=True)
class FeatureAxis:
    """One axis of a feature map, measured in pixels of the input.

    Positions are in pixels; pixel p covers p to p + 1. Non-local blocks before
    the map, with which receptive fields are unbounded, do not count.

    Attributes:
        size: number of cells.
        stride: pixels from one cell to the next.
        low: first pixel of the receptive field of cell 0; negative in the
            padding.
        high: last pixel of the receptive field of cell 0.
    """

    size: int
    stride: int = 1
    low: int = 0
    high: int = 0

    @property
    def first_center(self) -> float:
        """Position of the center of cell 0."""
        return (self.low + self.high + 1) / 2

    @property
    def field_px(self) -> int:
        """Size of the receptive field in pixels, including padding."""
        return self.high - self.low + 1

    def center(self, cell: int) -> float:
        """Return the position of the center of a cell."""
        return self.first_center + cell * self.stride

    def nearest_cell(self, position: float) -> int:
        """Return the cell whose center is nearest to a position."""
        cell = math.floor((position - self.first_center) / self.stride + 0.5)
        return min(max(cell, 0), self.size - 1)

    def apply(self, window: Window) -> "FeatureAxis":
        """Return the axis behind a layer with such windows."""
        padded = self.size + window.pad_before + window.pad_after
        reach = window.size - 1 - window.pad_before
        return FeatureAxis(
            size=(padded - window.size) // window.stride + 1,
            stride=self.stride * window.stride,
            low=self.low - self.stride * window.pad_before,
            high=self.high + self.stride * reach,
        )


def feature_axes(
    features: Tensor, pixels: Tensor, sizes: Sequence[int]
) -> tuple[FeatureAxis, ...]:
    """Compute receptive fields of a feature map of a functional model.

    Args:
        features: `KerasTensor` of the map, such as
            `model.get_layer(name).input`.
        pixels: `KerasTensor` of the input, such as `model.inputs[0]`.
        sizes: of the input, without batch and channels.

    Returns:
        A `FeatureAxis` for each axis between batch and channels.

    Raises:
        ValueError: a layer between the two is unsupported, or `features`
            depends on another input than `pixels`.

    Example:

    >>> import nonlocal_tf as nl
    >>> from nonlocal_tf.attention import receptive_field
    >>> model = nl.create_model("c2d_nl1_small")
    >>> features = model.get_layer("stage2_nonlocal").input
    >>> *_, x = receptive_field.feature_axes(
    ...     features, model.inputs[0], (8, 32, 32)
    ... )
    >>> x.size, x.stride, x.center(0), x.field_px
    (8, 4, 3.5, 19)
    """
    computed = {id(pixels): tuple(FeatureAxis(size) for size in sizes)}
    stack = [features]
    while stack:
        tensor = stack[-1]
        operation, node, _ = tensor._keras_history
        inputs = operation._inbound_nodes[node].input_tensors
        missing = [x for x in inputs if id(x) not in computed]
        if id(tensor) in computed:
            stack.pop()
        elif missing:
            stack += missing
        elif not inputs:
            raise ValueError(
                "Expected a feature map that depends on the pixels alone. "
                f"Received: one that also depends on {operation.name!r}"
            )
        else:
            axes = [computed[id(x)] for x in inputs]
            computed[id(tensor)] = _apply(operation, inputs, tensor, axes)
    return computed[id(features)]


def strides_and_first_centers(
    features: Tensor, pixels: Tensor, axes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Tabulate strides and first centers for inputs of any size.

    The first center depends on the input size modulo the stride alone, since
    the padding of "same" does in each layer.

    Args:
        features: see `feature_axes`.
        pixels: see `feature_axes`.
        axes: number of axes between batch and channels.

    Returns:
        Strides, int `(axes,)`, and first centers, float
        `(axes, largest stride)`: column `size % stride` holds that of an
        axis of `size` pixels.

    Raises:
        ValueError: see `feature_axes`.
    """
    unit = feature_axes(features, pixels, [1] * axes)
    strides = [axis.stride for axis in unit]
    by_remainder = [
        feature_axes(features, pixels, [size] * axes)
        for size in range(max(strides))
    ]
    first_centers = [
        [axis.first_center for axis in row] for row in by_remainder
    ]
    return np.array(strides), np.array(first_centers).T


def _apply(
    operation: keras.Operation,
    inputs: Sequence[Tensor],
    output: Tensor,
    input_axes: Sequence[tuple[FeatureAxis, ...]],
) -> tuple[FeatureAxis, ...]:
    """Return the axes of an operation's output."""
    if len(input_axes) > 1:
        return _merge(operation, input_axes)
    (axes,) = input_axes
    frame_axes = 0
    if isinstance(operation, LayerCall):
        operation, frame_axes = operation.layer, operation.frame_axes
    if isinstance(operation, keras.Model):  # a network as a layer
        sizes = [axis.size for axis in axes]
        inner = feature_axes(operation.outputs[0], operation.inputs[0], sizes)
        return tuple(_compose(*pair) for pair in zip(axes, inner, strict=True))
    windows = _windows(operation, [axis.size for axis in axes[frame_axes:]])
    if windows is not None:
        windows = [Window()] * frame_axes + windows
        pairs = zip(axes, windows, strict=True)
        return tuple(axis.apply(window) for axis, window in pairs)
    if output.shape[:-1] != inputs[0].shape[:-1] or _moves(operation):
        raise ValueError(
            "Expected convolutions, pools, paddings and layers that keep sizes "
            "and places between the pixels and the feature map. Received: "
            f"{operation.name!r}, a {type(operation).__name__}, which makes "
            f"{tuple(output.shape)} of {tuple(inputs[0].shape)}"
        )
    return axes


def _moves(operation: keras.Operation) -> bool:
    """Return True if positions change their places, as of square images."""
    while isinstance(operation, layers.TimeDistributed):
        operation = operation.layer
    if isinstance(operation, layers.Permute):
        return list(operation.dims) != sorted(operation.dims)
    is_layer = isinstance(operation, keras.Layer)
    return not is_layer and type(operation).__name__ in MOVES


def _compose(outer: FeatureAxis, inner: FeatureAxis) -> FeatureAxis:
    """Measure an axis of a nested model in pixels of the outer input."""
    return FeatureAxis(
        size=inner.size,
        stride=outer.stride * inner.stride,
        low=outer.low + outer.stride * inner.low,
        high=outer.high + outer.stride * inner.high,
    )


def _merge(
    operation: keras.Operation, input_axes: Sequence[tuple[FeatureAxis, ...]]
) -> tuple[FeatureAxis, ...]:
    """Unite the receptive fields of the inputs of a sum or concatenation."""
    grids = [[(axis.size, axis.stride) for axis in axes] for axes in input_axes]
    if any(grid != grids[0] for grid in grids):
        raise ValueError(
            "Expected layers that join feature maps to join those with cells "
            f"of one size. Received: {operation.name!r}, of (cells, stride) "
            + " and ".join(map(str, grids))
        )
    return tuple(
        dataclasses.replace(
            parts[0],
            low=min(axis.low for axis in parts),
            high=max(axis.high for axis in parts),
        )
        for parts in zip(*input_axes, strict=True)
    )


def _windows(
    layer: keras.Operation, sizes: Sequence[int]
) -> list[Window] | None:
    """Return a layer's window on each axis; None for pointwise layers."""
    if isinstance(layer, layers.TimeDistributed):
        inner = _windows(layer.layer, sizes[1:])
        return None if inner is None else [Window(), *inner]
    if isinstance(layer, PADDINGS):
        return [Window(pad_before=b, pad_after=a) for b, a in layer.padding]
    if isinstance(layer, CROPPINGS):
        return [Window(pad_before=-b, pad_after=-a) for b, a in layer.cropping]
    if isinstance(layer, POOLS):
        shape = zip(layer.pool_size, layer.strides, strict=True)
    elif isinstance(layer, CONVOLUTIONS):
        dilated = zip(layer.kernel_size, layer.dilation_rate, strict=True)
        reach = [(kernel - 1) * by + 1 for kernel, by in dilated]
        shape = zip(reach, layer.strides, strict=True)
    else:
        return None
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise ValueError(
            f"Expected channels last. Received: {layer.name!r} with "
            f"data_format={layer.data_format!r}"
        )
    paddings = list(layer.padding) if isinstance(layer, OWN_LAYERS) else None
    if paddings is None:
        paddings = [layer.padding] * len(sizes)
    return [
        Window(window, stride, *_padding(padding, size, window, stride))
        for (window, stride), size, padding in zip(
            shape, sizes, paddings, strict=True
        )
    ]


def _padding(
    padding: int | str, size: int, window: int, stride: int
) -> tuple[int, int]:
    """Return the number of zeros before and behind an axis."""
    if isinstance(padding, int):
        return padding, padding
    if padding == "valid":
        return 0, 0
    # "same": what the last window, which starts inside, lacks; an odd one goes
    # to the end.
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2
