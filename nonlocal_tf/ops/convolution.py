"""Convolutions over time, height and width, in the fastest exact form.

A kernel that does not look along an axis needs no convolution along it. A
1 x 1 x 1 kernel is a matrix product and a 1 x k x k kernel a two-dimensional
convolution of all frames at once. Both are as fast as the three-dimensional
convolution they equal where that is well made (oneDNN), and several times as
fast where it is not. A kernel that looks along time stays three-dimensional.

Kernels are always given in full, `(time, height, width, in, out)`; one of fewer
`in` than there are channels is one of groups.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

from keras import ops

from nonlocal_tf.choices import unknown
from nonlocal_tf.typing import Shape, Tensor

ConvolutionMethod = Literal["auto", "plain"]
CONVOLUTION_METHODS = get_args(ConvolutionMethod)


def convolution(
    x: Tensor,
    kernel: Tensor,
    strides: Sequence[int],
    padding: Sequence[int],
    bias: Tensor | None = None,
    activation: Callable | None = None,
    method: ConvolutionMethod = "auto",
) -> Tensor:
    """A convolution with the same zero padding at both ends of each axis.

    Keras' `padding="same"` puts the odd zero of a strided convolution at the
    end; the networks of the paper do not, and their weights are at home on
    that other grid.

    Args:
        x: `(batch, time, height, width, in)` or `(batch, height, width, in)`.
        kernel: `(kt, kh, kw, in, out)` or `(kh, kw, in, out)`, or, in groups,
            `in / groups` for `in`: each group of `out / groups` outputs is of
            that many channels alone, in order.
        strides: a stride an axis.
        padding: zeros at each end, an axis.
        bias: `(out,)`, added to the result, or None.
        activation: function of the result, or None.
        method: `"plain"` is the convolution of as many axes as `x` has.
            `"auto"` is a matrix product for 1 x 1 x 1 kernels without strides
            and a two-dimensional convolution for 1 x k x k kernels, for each
            group by itself.

    Returns:
        `(batch, [time,] height, width, out)`, each axis of size
        `(size + 2 * padding - k) // stride + 1`.

    Raises:
        ValueError: the method is not one of those above, or the channels are
            not those of groups of the kernel.
    """
    if method not in CONVOLUTION_METHODS:
        raise ValueError(unknown("method", method, CONVOLUTION_METHODS))
    groups = _groups(x.shape[-1], kernel.shape)

    def finish(y: Tensor) -> Tensor:
        # On y as it was computed: TensorFlow joins a bias and a ReLU with the
        # operation right before them, and no reshape may come between.
        y = y if bias is None else ops.add(y, bias)
        return y if activation is None else activation(y)

    strides, padding = tuple(strides), tuple(padding)
    size = tuple(kernel.shape[:-2])
    is_auto = method == "auto"
    if is_auto and groups > 1:
        return finish(_each_group(x, kernel, strides, padding, groups))
    if is_auto and math.prod(size + strides) == 1 and not any(padding):
        return _product(x, kernel, finish)
    if is_auto and len(size) == 3:
        if (size[0], strides[0], padding[0]) == (1, 1, 0):
            return _each_frame(x, kernel, strides[1:], padding[1:], finish)
    return finish(_padded(x, kernel, strides, padding))


def _groups(channels: int, kernel_shape: Shape) -> int:
    fan_in, fan_out = kernel_shape[-2:]
    if channels % fan_in or fan_out % (channels // fan_in):
        raise ValueError(
            "Expected a kernel (..., in / groups, out) whose `in / groups` "
            "divides the channels into groups that divide `out`. Received: "
            f"channels={channels}, kernel of shape {tuple(kernel_shape)}"
        )
    return channels // fan_in


def _each_group(
    x: Tensor,
    kernel: Tensor,
    strides: Sequence[int],
    padding: Sequence[int],
    groups: int,
) -> Tensor:
    """Each group by itself, side by side.

    The operation for all groups Keras compiles by XLA, as TensorFlow on a CPU
    does not always have its gradient. There that takes about a hundred times
    as long as this, and each size of the input is compiled anew.
    """
    parts = zip(
        ops.split(x, groups, axis=-1),
        ops.split(kernel, groups, axis=-1),
        strict=True,
    )
    return ops.concatenate(
        [convolution(part, k, strides, padding) for part, k in parts], axis=-1
    )


def _product(x: Tensor, kernel: Tensor, finish: Callable) -> Tensor:
    """A kernel of one position: the channels of each position, mixed."""
    fan_in, fan_out = kernel.shape[-2:]
    sizes = ops.shape(x)[:-1]
    # On rows: one matrix product instead of one for each line of each frame.
    rows = ops.reshape(x, (-1, fan_in))
    y = finish(ops.matmul(rows, ops.reshape(kernel, (fan_in, fan_out))))
    return ops.reshape(y, (*sizes, fan_out))


def _each_frame(
    x: Tensor,
    kernel: Tensor,
    strides: Sequence[int],
    padding: Sequence[int],
    finish: Callable,
) -> Tensor:
    """A kernel of one frame: all frames are images of one batch."""
    batch, time, *sizes, channels = ops.shape(x)
    images = ops.reshape(x, (batch * time, *sizes, channels))
    # Reshaped, as the gradient of an index would make zeros all around it.
    kernel = ops.reshape(kernel, tuple(kernel.shape[1:]))
    y = finish(_padded(images, kernel, strides, padding))
    return ops.reshape(y, (batch, time, *ops.shape(y)[1:]))


def _padded(
    x: Tensor, kernel: Tensor, strides: Sequence[int], padding: Sequence[int]
) -> Tensor:
    sizes, window = x.shape[1:-1], kernel.shape[:-2]
    # In bfloat16 on CPUs, TensorFlow's gradient of a kernel that is larger
    # than what it is applied to is not finite; padding makes that large enough.
    is_large = all(
        size is None or size >= k for size, k in zip(sizes, window, strict=True)
    )
    if is_large and same_padding(sizes, window, strides, padding):
        return ops.conv(x, kernel, strides, "same", "channels_last")
    if any(padding):
        x = ops.pad(x, [(0, 0), *((p, p) for p in padding), (0, 0)])
    return ops.conv(x, kernel, strides, "valid", "channels_last")


def output_sizes(
    sizes: Sequence[int | None],
    window: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[int],
) -> Shape:
    """How many places a window has along each axis; None where unknown.

    Args:
        sizes: of the input, an axis; None where unknown.
        window: size of the kernel or box, an axis.
        strides: a stride an axis.
        padding: what is added at each end, an axis.

    Raises:
        ValueError: the window is larger than the padded input.
    """
    places = tuple(
        None if size is None else (size + 2 * p - k) // stride + 1
        for size, k, stride, p in zip(
            sizes, window, strides, padding, strict=True
        )
    )
    if any(count is not None and count < 1 for count in places):
        raise ValueError(
            f"Expected an input at least as large as the window {window}, "
            f"with {padding} added at each end. Received: sizes={sizes}"
        )
    return places


def same_padding(
    sizes: Sequence[int | None],
    window: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[int],
) -> bool:
    """Whether Keras' "same" happens to be this padding; it needs no copy.

    Args:
        sizes: of the input, an axis; None where unknown.
        window: size of the kernel or box, an axis.
        strides: a stride an axis.
        padding: what is added at each end, an axis.
    """
    for size, k, stride, p in zip(sizes, window, strides, padding, strict=True):
        if stride == 1:
            added = k - 1
        elif size is None:
            return False
        else:  # what the last window, which starts inside, still needs
            added = max((-(-size // stride) - 1) * stride + k - size, 0)
        if added != 2 * p:
            return False
    return any(padding)
