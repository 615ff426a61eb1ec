"""Encodings of positions that theta and phi see beside the features."""

import functools
import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import keras
import numpy as np
from keras import initializers, layers, ops

from nonlocal_tf.choices import unknown
from nonlocal_tf.typing import Shape, Tensor

Position = Literal["sine", "learned"]
POSITIONS = get_args(Position)
# Names of the axes of a feature map, by their number.
AXIS_NAMES = {
    1: ("positions",),
    2: ("height", "width"),
    3: ("time", "height", "width"),
}
# The longest wavelength of the sines is 2 pi times this many positions.
MAX_PERIOD = 10_000


@keras.saving.register_keras_serializable("nonlocal_tf")
class PositionEncoding(layers.Layer):
    """Encode the position of each element of a feature map in its channels.

    The encoding of a position is the sum of those of its time, row and column:

    - `"sine"`: sines and cosines of each axis' index, of wavelengths from 2 pi
      to 20,000 pi. The channels are dealt to the axes in turn, two by two.
      Sizes may be unknown, and may differ between calls.
    - `"learned"`: a row of a table per axis, `(size, channels)`, initialized
      by normal numbers of standard deviation 0.02. Sizes are those of `build`.

    Args:
        kind: `"sine"` or `"learned"`.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        x: `(batch, [time, height, width], channels)`, of rank 3 to 5.

        pool_size: size of windows along each axis, to average the encodings
            of the positions in each; incomplete windows at the end are left
            out. Default: no windows.

    Returns:
        The encoding, without the batch: `([time, height, width], channels)`,
        in the compute dtype.

    Raises:
        ValueError: an unknown kind; for `"learned"` an unknown or another size
            than that of `build`; for `"sine"` fewer than two channels per axis.

    Reference:
        Vaswani et al., Attention Is All You Need, NeurIPS 2017, section 3.5.
    """

    def __init__(self, kind: Position = "sine", **kwargs: Any):
        super().__init__(**kwargs)
        if kind not in POSITIONS:
            raise ValueError(unknown("position", kind, POSITIONS))
        self.kind = kind

    def build(self, input_shape: Shape) -> None:
        _, *sizes, channels = input_shape
        if self.kind == "sine":
            if channels < 2 * len(sizes):
                raise ValueError(
                    f"Expected at least {2 * len(sizes)} channels, two for "
                    "each axis, for position='sine'. "
                    f"Received: shape={tuple(input_shape)}"
                )
            return
        if None in sizes:
            raise ValueError(
                "position='learned' needs known sizes, as it has a table for "
                "each axis; position='sine' takes any. Received: "
                f"shape={tuple(input_shape)}"
            )
        self.tables = [
            self.add_weight(
                name=name,
                shape=(size, channels),
                initializer=initializers.RandomNormal(stddev=0.02),
            )
            for name, size in zip(AXIS_NAMES[len(sizes)], sizes, strict=True)
        ]

    def call(self, x: Tensor, pool_size: Sequence[int] | None = None) -> Tensor:
        sizes, channels = ops.shape(x)[1:-1], x.shape[-1]
        if self.kind == "sine":
            rows = sine_rows(sizes, channels, _wide(self.compute_dtype))
        else:
            self._check_sizes(tuple(x.shape))
            rows = [ops.convert_to_tensor(table) for table in self.tables]
        parts = []
        for axis, row in enumerate(rows):
            if pool_size is not None:
                row = _window_averages(row, sizes[axis], pool_size[axis])
            shape = [1] * len(sizes)
            shape[axis] = -1
            parts.append(ops.reshape(row, (*shape, channels)))
        return ops.cast(functools.reduce(ops.add, parts), self.compute_dtype)

    def _check_sizes(self, shape: Shape) -> None:
        sizes = tuple(table.shape[0] for table in self.tables)
        pairs = zip(shape[1:-1], sizes, strict=True)
        if any(size not in (None, built) for size, built in pairs):
            raise ValueError(
                f"Expected sizes of {sizes}, those of the tables of "
                f"position='learned'. Received: shape={shape}"
            )

    def compute_output_shape(
        self, input_shape: Shape, pool_size: Sequence[int] | None = None
    ) -> Shape:
        _, *sizes, channels = input_shape
        pool_size = (1,) * len(sizes) if pool_size is None else pool_size
        pairs = zip(sizes, pool_size, strict=True)
        return (*(s if s is None else s // p for s, p in pairs), channels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kind": self.kind}


def sine_rows(
    sizes: Sequence[int | Tensor], channels: int, dtype: str = "float32"
) -> list[Tensor]:
    """Compute sines and cosines of the indices along each axis.

    Channels 2 k and 2 k + 1 have the sine and the cosine of the index along
    axis k mod a, of a axes, times 10,000 ** (-(k // a) / w), with w
    wavelengths per axis. The other axes have zeros there.

    Args:
        sizes: number of positions along each axis.
        channels: number of channels.
        dtype: dtype of the results, float32 or wider.

    Returns:
        For each axis `(size, channels)`.
    """
    axes = len(sizes)
    pair = [channel // 2 for channel in range(channels)]
    wavelengths = math.ceil((pair[-1] + 1) / axes)
    # Arrays: Keras rounds lists of numbers to float32 before a cast.
    rate = np.array(
        [MAX_PERIOD ** (-(k // axes) / wavelengths) for k in pair], dtype
    )
    # cos(z) = sin(z + pi / 2)
    phase = np.array(
        [math.pi / 2 * (channel % 2) for channel in range(channels)], dtype
    )
    rows = []
    for axis, size in enumerate(sizes):
        own = np.array([k % axes == axis for k in pair], dtype)
        index = ops.cast(ops.arange(size, dtype="int32"), dtype)
        angle = ops.expand_dims(index, 1) * ops.convert_to_tensor(rate)
        sines = ops.sin(angle + ops.convert_to_tensor(phase))
        rows.append(ops.convert_to_tensor(own) * sines)
    return rows


def _window_averages(row: Tensor, size: int | Tensor, window: int) -> Tensor:
    """Average `(size, channels)` over windows, `(size // window, channels)`."""
    if window == 1:
        return row
    count, channels = size // window, row.shape[-1]
    row = ops.reshape(row[: count * window], (count, window, channels))
    return ops.mean(row, axis=1)


def _wide(dtype: str) -> str:
    return "float64" if dtype == "float64" else "float32"
