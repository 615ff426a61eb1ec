"""Shapes of the inputs, keys and outputs of a non-local block."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from nonlocal_tf.layers import attention_layout, masking
from nonlocal_tf.layers.attention_layout import AttentionLayout
from nonlocal_tf.layers.pairwise import Pairwise
from nonlocal_tf.typing import Shape, Tensor


class BlockShapes(layers.Layer):
    """Base class of `NonLocalBlock` with its shapes and their checks.

    A subclass sets the attributes below: the last three in `build`.
    """

    pairwise: Pairwise
    _pairwise_name: str | None
    heads: int
    subsample: int | tuple[int, ...] | None
    layout: AttentionLayout
    causal: bool
    tie_theta_phi_init: bool
    x_shape: Shape
    context_shape: Shape | None
    pool_size: tuple[int, ...]

    @property
    def pairwise_label(self) -> str:
        """Name of the pairwise function, or of its class if it is a layer."""
        return self._pairwise_name or type(self.pairwise).__name__

    def compute_mask(
        self, inputs: Tensor, previous_mask: Tensor | None
    ) -> Tensor | None:
        """Return the mask of the input, which is that of the output.

        Other layers do not take `(batch, positions)` of an image or a clip.
        """
        if previous_mask is None:
            return None
        previous_mask = masking.as_array(previous_mask)
        rank = len(previous_mask.shape)
        goes_on = masking.fits(previous_mask.shape, inputs.shape[:rank])
        return previous_mask if goes_on else None

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def compute_output_spec(
        self,
        x: Tensor,
        context: Tensor | None = None,
        mask: Tensor | None = None,
        context_mask: Tensor | None = None,
        training: bool | None = None,
        return_affinity: bool = False,
        queries: Sequence[int] | Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        self._check_call(x, context, queries, return_affinity)
        masking.check_masks(x, mask, context, context_mask)
        z = keras.KerasTensor(x.shape, dtype=self.compute_dtype)
        if not return_affinity:
            return z
        positions, keys = self.positions_and_keys(
            tuple(x.shape), None if context is None else tuple(context.shape)
        )
        rows = positions
        if queries is not None:
            indices = attention_layout.checked_queries(queries, positions)
            rows = indices.shape[0]
        dtype = "float64" if self.compute_dtype == "float64" else "float32"
        axes = (self.heads,) if self.heads > 1 else ()
        shape = (x.shape[0], *axes, rows, keys)
        return z, keras.KerasTensor(shape, dtype=dtype)

    def positions_and_keys(
        self, input_shape: Shape, context_shape: Shape | None = None
    ) -> tuple[int | Any, int | Any]:
        """Count the positions, and the keys that each attends to.

        Args:
            input_shape: with batch and channels. Sizes may be None; the counts
                are None then.
            context_shape: the same of the context, if there is one.
        """
        sizes = input_shape[1:-1]
        positions = None if None in sizes else math.prod(sizes)
        sizes = sizes if context_shape is None else context_shape[1:-1]
        _, counts = self.key_grid([0] * len(sizes), sizes)
        return positions, None if None in counts else math.prod(counts)

    def key_grid(
        self, position: Sequence[int | Tensor], sizes: Sequence
    ) -> tuple[list, list]:
        """Locate the grid of keys that a position attends to, after pooling.

        Args:
            position: index of the query along each axis, integers or scalar
                tensors.
            sizes: size of the feature map along each axis; None where unknown.

        Returns:
            The first position of the grid and the number of keys along each
            axis, as lists.
        """
        first, box = self.layout.key_box(position, sizes)
        counts = [
            size if size is None else size // pool
            for size, pool in zip(box, self.pool_size, strict=True)
        ]
        return first, counts

    @property
    def _pooled_frames(self) -> int:
        return self.pool_size[0] if len(self.pool_size) == 3 else 1

    def _check_shapes(
        self, x_shape: Shape, context_shape: Shape | None
    ) -> None:
        """Check the shapes that the block is built for.

        Raises:
            ValueError: they do not fit each other or the options.
        """
        for name, shape in (
            ("an input", x_shape),
            ("a context", context_shape),
        ):
            if shape and (len(shape) not in (3, 4, 5) or shape[-1] is None):
                raise ValueError(
                    f"Expected {name} of rank 3, 4 or 5 with known channels: "
                    "(batch, n, channels), (batch, height, width, channels) or "
                    "(batch, time, height, width, channels). A context is "
                    "given as `context=`, a mask as `mask=`. "
                    f"Received: shape={tuple(shape)}"
                )
        if not context_shape:
            return
        if not self.layout.is_global or self.causal:
            raise ValueError(
                "All positions attend to all of a context: it goes with "
                "axes='spacetime' alone, without `temporal_group_size` and "
                f"`causal`. Received: axes={self.layout.axes!r}, "
                f"temporal_group_size={self.layout.frames}, "
                f"causal={self.causal}"
            )
        is_shared = self.tie_theta_phi_init or not self.pairwise.embeds
        if is_shared and context_shape[-1] != x_shape[-1]:
            option = (
                "tie_theta_phi_init=True"
                if self.pairwise.embeds
                else f"pairwise={self.pairwise_label!r}"
            )
            raise ValueError(
                f"Expected a context of as many channels as the input for "
                f"{option}, which compares them without projections of their "
                f"own. Received: shapes {tuple(x_shape)} and "
                f"{tuple(context_shape)}"
            )

    def _check_call(
        self,
        x: Tensor,
        context: Tensor | None,
        queries: Sequence[int] | Tensor | None = None,
        return_affinity: bool = True,
    ) -> None:
        """Check the arguments of a call, whose sizes may differ from `build`'s.

        Raises:
            ValueError: they do not fit the block or each other.
        """
        if queries is not None and not return_affinity:
            raise ValueError("`queries` goes with `return_affinity=True`.")
        for name, tensor in (("an input", x), ("a context", context)):
            if tensor is not None and not hasattr(tensor, "dtype"):
                raise ValueError(
                    f"Expected {name} that is a tensor or an array. "
                    f"Received: {type(tensor).__name__}"
                )
        if (context is None) != (self.context_shape is None):
            expected = "no" if self.context_shape is None else "a"
            raise ValueError(
                f"Expected {expected} context, as in the first call, which set "
                "the shapes of the weights; a mask is given as `mask=`. "
                "Received: "
                + ("none" if context is None else f"shape={context.shape}")
            )
        _check_input("an input", x, self.x_shape)
        if context is None or self.context_shape is None:
            self._pool_size(tuple(x.shape))
            return
        _check_input("a context", context, self.context_shape)
        if not masking.fits(context.shape[:1], x.shape[:1]):
            raise ValueError(
                "Expected a context for each example of the input. Received: "
                f"shape={tuple(x.shape)}, context of {tuple(context.shape)}"
            )
        self._pool_size(tuple(context.shape))

    def _pool_size(self, keys_shape: Shape) -> tuple[int, ...]:
        """Compute the pool size along each axis, checked against the keys'."""
        size = attention_layout.pool_size(
            self.subsample, self.layout, keys_shape
        )
        if self.causal:
            masking.check_causal(size, keys_shape)
        return size


def _check_input(name: str, x: Tensor, built_shape: Shape) -> None:
    rank, channels = len(built_shape), built_shape[-1]
    if len(x.shape) != rank or x.shape[-1] != channels:
        raise ValueError(
            f"Expected {name} of rank {rank} with {channels} channels, as in "
            f"the first call. Received: shape={tuple(x.shape)}"
        )
    dtype = keras.backend.standardize_dtype(x.dtype)
    if "float" not in dtype:
        raise ValueError(
            f"Expected {name} of floating-point numbers; convert integers by "
            "keras.ops.cast or keras.layers.Rescaling. "
            f"Received: dtype={dtype}"
        )
