"""Max-pooling layer over time, height and width."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from nonlocal_tf.layers.data_format import check_channels_last
from nonlocal_tf.ops import max_pool, output_sizes
from nonlocal_tf.typing import Shape, Tensor


@keras.saving.register_keras_serializable("nonlocal_tf")
class MaxPool(layers.Layer):
    """Max pooling with the same padding at both ends of each axis.

    Computed by `nonlocal_tf.ops.max_pool`; several times faster than
    `keras.layers.MaxPooling3D` on CPUs.

    Args:
        pool_size: size of the window, `(time, height, width)` for clips,
            `(height, width)` for images.
        strides: stride along each axis. Default: `pool_size`.
        padding: padding at each end of each axis; it is never the maximum.
            Default: 0.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        x: `(batch, [time,] height, width, channels)`.

    Returns:
        The pooled feature map, each axis of size
        `(size + 2 * padding - pool_size) // strides + 1`.

    Raises:
        ValueError: an argument does not have an integer per axis of the input,
            or the input is smaller than the window.

    Example:

    >>> import keras
    >>> from nonlocal_tf.layers import MaxPool
    >>> x = keras.ops.ones((2, 8, 112, 112, 6))
    >>> tuple(MaxPool((2, 3, 3), strides=(2, 2, 2))(x).shape)
    (2, 4, 55, 55, 6)
    """

    def __init__(
        self,
        pool_size: Sequence[int],
        strides: Sequence[int] | None = None,
        padding: Sequence[int] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        for name, value in (
            ("pool_size", pool_size),
            ("strides", strides or pool_size),
            ("padding", padding or ()),
        ):
            minimum = 0 if name == "padding" else 1
            if not isinstance(value, (tuple, list)) or not all(
                isinstance(n, int) and n >= minimum for n in value
            ):
                raise ValueError(
                    f"Expected `{name}` to have an integer of at least "
                    f"{minimum} per axis. Received: {name}={value!r}"
                )
        self.pool_size = tuple(pool_size)
        self.strides = tuple(strides or pool_size)
        self.padding = tuple(padding or (0,) * len(self.pool_size))
        if not len(self.pool_size) == len(self.strides) == len(self.padding):
            raise ValueError(
                "Expected `pool_size`, `strides` and `padding` of the same "
                f"length. Received: pool_size={pool_size!r}, "
                f"strides={strides!r}, padding={padding!r}"
            )
        if any(
            2 * padded > size
            for padded, size in zip(self.padding, self.pool_size, strict=True)
        ):
            raise ValueError(
                "Expected `padding` to be at most half of `pool_size`, else a "
                f"window may be empty. Received: pool_size={self.pool_size}, "
                f"padding={self.padding}"
            )
        self.input_spec = layers.InputSpec(ndim=len(self.pool_size) + 2)

    def build(self, input_shape: Shape) -> None:
        check_channels_last()

    def call(self, x: Tensor) -> Tensor:
        return max_pool(x, self.pool_size, self.strides, self.padding)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, *sizes, channels = input_shape
        output = output_sizes(sizes, self.pool_size, self.strides, self.padding)
        return (batch, *output, channels)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
        }
