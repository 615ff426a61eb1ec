"""Which pixels the cells of a feature map stand for.

Layers are followed from a network's input to the map. What windows do to an
axis is arithmetic: a cell sees the pixels from the first of its first to the
last of its last window, and stands for the middle of them. Networks shift that
middle: Keras' "same" pads a strided convolution more at the end than at the
start, pools without padding leave pixels out, and so a cell is rarely where
the size of the map divided by that of the clip would have it.
"""

import dataclasses
import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import layers

from nonlocal_tf.layers.convolution import Conv2D, Conv3D
from nonlocal_tf.layers.pooling import MaxPool
from nonlocal_tf.typing import Tensor

OURS = (Conv2D, Conv3D, MaxPool)  # whose padding is a number an axis
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


@dataclasses.dataclass(frozen=True)
class Window:
    """What a layer looks at along one axis.

    Attributes:
        size: of the kernel or box, with its dilation.
        stride: from one window to the next.
        before: zeros before the axis; fewer than none are cut off.
        after: zeros behind it.
    """

    size: int = 1
    stride: int = 1
    before: int = 0
    after: int = 0


@dataclasses.dataclass(frozen=True)
class Axis:
    """The cells of a feature map along one axis of the input.

    Places are numbers on a ruler on which pixel p reaches from p to p + 1.

    Attributes:
        size: how many cells.
        stride: pixels from one cell to the next.
        low: the first pixel that cell 0 sees; before the edge, below 0.
        high: the last one that it sees. Non-local blocks, through which cells
            see everything, do not count.
    """

    size: int
    stride: int = 1
    low: int = 0
    high: int = 0

    @property
    def first(self) -> float:
        """Where the middle of cell 0 is."""
        return (self.low + self.high + 1) / 2

    @property
    def field(self) -> int:
        """Pixels that a cell sees (its receptive field), without edges."""
        return self.high - self.low + 1

    def centre(self, cell: int) -> float:
        """Where the middle of a cell is."""
        return self.first + cell * self.stride

    def cell_at(self, place: float) -> int:
        """The cell whose middle is nearest to a place."""
        cell = math.floor((place - self.first) / self.stride + 0.5)
        return min(max(cell, 0), self.size - 1)

    def through(self, window: Window) -> "Axis":
        """The cells behind a layer with such windows."""
        padded = self.size + window.before + window.after
        return Axis(
            size=(padded - window.size) // window.stride + 1,
            stride=self.stride * window.stride,
            low=self.low - self.stride * window.before,
            high=self.high + self.stride * (window.size - 1 - window.before),
        )


def cells(
    tensor: Tensor, source: Tensor, sizes: Sequence[int]
) -> tuple[Axis, ...]:
    """The cells of a feature map in a network.

    Args:
        tensor: the map's `KerasTensor`, such as `model.get_layer(name).input`.
        source: that of the pixels, such as `model.inputs[0]`.
        sizes: of the pixels, without batch and channels.

    Returns:
        An `Axis` for each axis between the batch and the channels.

    Raises:
        ValueError: a layer between them moves cells in a way that is not
            known, or the map does not come from `source` alone.

    Example:

    >>> import nonlocal_tf as nl
    >>> from nonlocal_tf.attention import receptive_field
    >>> model = nl.create_model("c2d_nl1_small")
    >>> block = model.get_layer("stage2_nonlocal")
    >>> *_, x = receptive_field.cells(block.input, model.inputs[0], (8, 32, 32))
    >>> x.size, x.stride, x.centre(0), x.field
    (8, 4, 3.5, 19)
    """
    known = {id(source): tuple(Axis(size) for size in sizes)}
    waiting = [tensor]
    while waiting:
        here = waiting[-1]
        operation, number, _ = here._keras_history
        inputs = operation._inbound_nodes[number].input_tensors
        unknown = [one for one in inputs if id(one) not in known]
        if id(here) in known:
            waiting.pop()
        elif unknown:
            waiting += unknown
        elif not inputs:
            raise ValueError(
                "Expected a feature map of the one input with the pixels. "
                f"Received: one that also depends on {operation.name!r}"
            )
        else:
            before = [known[id(one)] for one in inputs]
            known[id(here)] = _behind(operation, inputs, here, before)
    return known[id(tensor)]


def grids(
    tensor: Tensor, source: Tensor, axes: int
) -> tuple[np.ndarray, np.ndarray]:
    """The cells of a feature map for pixels of any size, as numbers.

    Where the first cell is depends on the size alone modulo the stride: what
    "same" adds to an axis does so in each layer.

    Args:
        tensor: as of `cells`.
        source: as of `cells`.
        axes: between the batch and the channels.

    Returns:
        Strides, int `(axes,)`, and the places of first cells, float
        `(axes, largest stride)`: on an axis of some size, that at
        `size % stride`.

    Raises:
        ValueError: as of `cells`.
    """
    strides = [axis.stride for axis in cells(tensor, source, [1] * axes)]
    found = [
        cells(tensor, source, [size] * axes) for size in range(max(strides))
    ]
    first = np.array([[axis.first for axis in grid] for grid in found])
    return np.array(strides), first.T


def _behind(
    operation: keras.Operation,
    inputs: Sequence[Tensor],
    output: Tensor,
    before: Sequence[tuple[Axis, ...]],
) -> tuple[Axis, ...]:
    """The cells of an operation's output, from those of its inputs."""
    if len(before) > 1:
        return _merged(operation, before)
    (axes,) = before
    if isinstance(operation, keras.Model):  # a network as a layer
        sizes = [axis.size for axis in axes]
        inner = cells(operation.outputs[0], operation.inputs[0], sizes)
        return tuple(_joined(*pair) for pair in zip(axes, inner, strict=True))
    windows = _windows(operation, [axis.size for axis in axes])
    if windows is not None:
        pairs = zip(axes, windows, strict=True)
        return tuple(axis.through(window) for axis, window in pairs)
    if output.shape[:-1] != inputs[0].shape[:-1]:
        raise ValueError(
            "Expected convolutions, pools, paddings and layers that keep the "
            "size between the pixels and the cells. Received: "
            f"{operation.name!r}, a {type(operation).__name__}, which makes "
            f"{tuple(output.shape)} of {tuple(inputs[0].shape)}"
        )
    return axes


def _joined(outer: Axis, inner: Axis) -> Axis:
    """Cells of cells."""
    return Axis(
        size=inner.size,
        stride=outer.stride * inner.stride,
        low=outer.low + outer.stride * inner.low,
        high=outer.high + outer.stride * inner.high,
    )


def _merged(
    operation: keras.Operation, before: Sequence[tuple[Axis, ...]]
) -> tuple[Axis, ...]:
    """Behind a sum and the like: a cell sees what any of its parts does."""
    grids = [[(a.size, a.stride) for a in axes] for axes in before]
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
        for parts in zip(*before, strict=True)
    )


def _windows(
    layer: keras.Operation, sizes: Sequence[int]
) -> list[Window] | None:
    """A layer's windows, an axis; None for a layer that has none."""
    if isinstance(layer, layers.TimeDistributed):
        inner = _windows(layer.layer, sizes[1:])
        return None if inner is None else [Window(), *inner]
    if isinstance(layer, PADDINGS):
        return [Window(before=b, after=a) for b, a in layer.padding]
    if isinstance(layer, CROPPINGS):
        return [Window(before=-b, after=-a) for b, a in layer.cropping]
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
    paddings = list(layer.padding) if isinstance(layer, OURS) else None
    if paddings is None:
        paddings = [layer.padding] * len(sizes)
    return [
        Window(window, stride, *_zeros(padding, size, window, stride))
        for (window, stride), size, padding in zip(
            shape, sizes, paddings, strict=True
        )
    ]


def _zeros(
    padding: int | str, size: int, window: int, stride: int
) -> tuple[int, int]:
    """Zeros at both ends of an axis."""
    if isinstance(padding, int):
        return padding, padding
    if padding == "valid":
        return 0, 0
    # "same": what the last window, which starts inside, still needs; the odd
    # one goes to the end.
    needed = max((-(-size // stride) - 1) * stride + window - size, 0)
    return needed // 2, needed - needed // 2
