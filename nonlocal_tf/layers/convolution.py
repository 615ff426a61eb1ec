"""Convolution layers with the same padding at both ends of each axis."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers

from nonlocal_tf.layers.data_format import check_channels_last
from nonlocal_tf.ops import convolution, output_sizes
from nonlocal_tf.typing import Shape, Tensor


class _Symmetric:
    """Mixin of `Conv2D` and `Conv3D`; Keras' layers set these attributes."""

    rank: int
    filters: int
    groups: int
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation_rate: tuple[int, ...]
    data_format: str
    use_bias: bool
    activation: Callable
    kernel: Any
    bias: Any

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: int | Sequence[int] | None = None,
        **kwargs: Any,
    ):
        super().__init__(  # type: ignore[call-arg]
            filters, kernel_size, strides, "valid", **kwargs
        )
        if padding is None:
            if any(k % 2 == 0 for k in self.kernel_size):
                raise ValueError(
                    "A kernel of even size needs `padding`, the zeros at "
                    "each end of each axis. "
                    f"Received: kernel_size={self.kernel_size}"
                )
            padding = tuple(k // 2 for k in self.kernel_size)
        elif isinstance(padding, int):
            padding = (padding,) * self.rank
        if len(padding) != self.rank or any(p < 0 for p in padding):
            raise ValueError(
                f"Expected `padding` to be {self.rank} integers of at least "
                "0. "
                f"Received: padding={padding!r}"
            )
        check_channels_last(self.data_format)
        if any(d != 1 for d in self.dilation_rate):
            raise ValueError(
                "Expected no dilation. "
                f"Received: dilation_rate={self.dilation_rate}"
            )
        self.padding = tuple(padding)

    def call(self, x: Tensor) -> Tensor:
        return convolution(
            x,
            self.kernel,
            self.strides,
            self.padding,
            self.bias if self.use_bias else None,
            self.activation,
        )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, *sizes, _ = input_shape
        output = output_sizes(
            sizes, self.kernel_size, self.strides, self.padding
        )
        return (batch, *output, self.filters)


@keras.saving.register_keras_serializable("nonlocal_tf")
class Conv3D(_Symmetric, layers.Conv3D):
    """`keras.layers.Conv3D` with symmetric padding, and faster.

    Computes the exact convolution by `nonlocal_tf.ops.convolution`. The kernel
    is stored with all axes, `(time, height, width, in / groups, out)`.

    Args:
        filters: number of output channels.
        kernel_size: `(time, height, width)`, or one integer for all.
        strides: `(time, height, width)`, or one integer for all.
        padding: zeros at each end of each axis, one integer for all or one
            per axis. Default: `kernel_size // 2`, which keeps the size without
            strides.
        **kwargs: as for `keras.layers.Conv3D`; dilation is unsupported.

    Call arguments:
        x: `(batch, time, height, width, channels)`.

    Returns:
        `(batch, time', height', width', filters)`, each axis of size
        `(size + 2 * padding - kernel_size) // strides + 1`.

    Raises:
        ValueError: the input is smaller than the kernel, or an argument is
            invalid.

    Example:

    >>> import keras
    >>> from nonlocal_tf.layers import Conv3D
    >>> x = keras.ops.ones((2, 8, 14, 14, 6))
    >>> tuple(Conv3D(5, (3, 3, 3), strides=(1, 2, 2))(x).shape)
    (2, 8, 7, 7, 5)
    """


@keras.saving.register_keras_serializable("nonlocal_tf")
class Conv2D(_Symmetric, layers.Conv2D):
    """`keras.layers.Conv2D` with symmetric padding: `Conv3D` for images.

    Args:
        filters: number of output channels.
        kernel_size: `(height, width)`, or one integer for both.
        strides: `(height, width)`, or one integer for both.
        padding: zeros at each end of each axis, one integer for all or one
            per axis. Default: `kernel_size // 2`, which keeps the size without
            strides.
        **kwargs: as for `keras.layers.Conv2D`; dilation is unsupported.

    Call arguments:
        x: `(batch, height, width, channels)`.

    Returns:
        `(batch, height', width', filters)`, each axis of size
        `(size + 2 * padding - kernel_size) // strides + 1`.

    Raises:
        ValueError: the input is smaller than the kernel, or an argument is
            invalid.
    """
