"""Convolution over time, height and width, in the fastest exact form.

A kernel of size 1 along an axis needs no convolution along it. A 1 x 1 x 1
kernel is a matrix product and a 1 x k x k kernel a two-dimensional convolution
of all frames at once. Both are as fast as the equal three-dimensional
convolution where that is well implemented (oneDNN), and several times as fast
where it is not. Kernels with a temporal extent stay three-dimensional.

Kernels always have all axes, `(time, height, width, in, out)`. A kernel with
fewer `in` than the input has channels is that of a grouped convolution.
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
    """Convolve with the same zero padding at both ends of each axis.

    Keras' `padding="same"` pads strided convolutions unevenly, the odd zero at
    the end. The paper's networks, and thus their weights, pad evenly.

    Args:
        x: `(batch, time, height, width, in)` or `(batch, height, width, in)`.
        kernel: `(kt, kh, kw, in, out)` or `(kh, kw, in, out)`; for a grouped
            convolution `in / groups` instead of `in`.
        strides: stride along each axis.
        padding: zeros at each end of each axis.
        bias: `(out,)` or None.
        activation: function applied to the result, or None.
        method: `"plain"` always convolves over all axes of `x`. `"auto"` uses a
            matrix product for 1 x 1 x 1 kernels without strides, a
            two-dimensional convolution for 1 x k x k kernels, and one
            convolution per group.

    Returns:
        `(batch, [time,] height, width, out)`, each axis of size
        `(size + 2 * padding - k) // stride + 1`.

    Raises:
        ValueError: unknown method, or the kernel's channels do not divide
            those of `x` into groups.
    """
    if method not in CONVOLUTION_METHODS:
        raise ValueError(unknown("method", method, CONVOLUTION_METHODS))
    groups = _groups(x.shape[-1], kernel.shape)

    def finish(y: Tensor) -> Tensor:
        # Before any reshape: TensorFlow fuses a bias and a ReLU only with the
        # operation directly before them.
        y = y if bias is None else ops.add(y, bias)
        return y if activation is None else activation(y)

    strides, padding = tuple(strides), tuple(padding)
    size = tuple(kernel.shape[:-2])
    is_auto = method == "auto"
    if is_auto and groups > 1:
        return finish(_grouped(x, kernel, strides, padding, groups))
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


def _grouped(
    x: Tensor,
    kernel: Tensor,
    strides: Sequence[int],
    padding: Sequence[int],
    groups: int,
) -> Tensor:
    """Convolve each group on its own and concatenate the results.

    Keras compiles TensorFlow's grouped convolution with XLA, as its gradient is
    not always implemented on CPUs. On a CPU that takes about a hundred times as
    long as this and compiles again for every input size.
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
    """Apply a 1 x 1 x 1 kernel as a matrix product over channels."""
    fan_in, fan_out = kernel.shape[-2:]
    sizes = ops.shape(x)[:-1]
    # Flattened: one matrix product instead of one per row of each frame.
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
    """Apply a 1 x k x k kernel to all frames as one batch of images."""
    batch, time, *sizes, channels = ops.shape(x)
    images = ops.reshape(x, (batch * time, *sizes, channels))
    # reshape, as the gradient of indexing scatters into a tensor of zeros.
    kernel = ops.reshape(kernel, tuple(kernel.shape[1:]))
    y = finish(_padded(images, kernel, strides, padding))
    return ops.reshape(y, (batch, time, *ops.shape(y)[1:]))


def _padded(
    x: Tensor, kernel: Tensor, strides: Sequence[int], padding: Sequence[int]
) -> Tensor:
    sizes, window = x.shape[1:-1], kernel.shape[:-2]
    # In bfloat16 on CPUs, TensorFlow's gradient of a kernel larger than its
    # input is not finite; explicit padding makes the input large enough.
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
    """Compute the number of window positions along each axis.

    Args:
        sizes: size of the input along each axis; None where unknown.
        window: size of the kernel or pooling window.
        strides: stride along each axis.
        padding: padding at each end of each axis.

    Returns:
        A count for each axis; None where the size is unknown.

    Raises:
        ValueError: the window is larger than the padded input.
    """
    counts = tuple(
        None if size is None else (size + 2 * p - k) // stride + 1
        for size, k, stride, p in zip(
            sizes, window, strides, padding, strict=True
        )
    )
    if any(count is not None and count < 1 for count in counts):
        raise ValueError(
            f"Expected an input at least as large as the window {window}, "
            f"with padding {padding} at each end. Received: sizes={sizes}"
        )
    return counts


def same_padding(
    sizes: Sequence[int | None],
    window: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[int],
) -> bool:
    """Return True if Keras' "same" equals this padding, which saves a copy.

    Args:
        sizes: size of the input along each axis; None where unknown.
        window: size of the kernel or pooling window.
        strides: stride along each axis.
        padding: padding at each end of each axis.
    """
    for size, k, stride, p in zip(sizes, window, strides, padding, strict=True):
        if stride == 1:
            added = k - 1
        elif size is None:
            return False
        else:  # beyond the last window, which starts inside the input
            added = max((-(-size // stride) - 1) * stride + k - size, 0)
        if added != 2 * p:
            return False
    return any(padding)
