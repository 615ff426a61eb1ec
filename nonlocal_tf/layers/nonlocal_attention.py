"""Queries, keys and attention weights of a non-local block."""

import math
from collections.abc import Sequence

from keras import layers, ops

from nonlocal_tf.layers import attention_layout, masking
from nonlocal_tf.layers.block_shapes import BlockShapes
from nonlocal_tf.layers.heads import (
    heads_axis,
    merge_heads,
    repeat_heads,
    split_heads,
)
from nonlocal_tf.layers.position_encoding import Position, PositionEncoding
from nonlocal_tf.typing import Shape, Tensor


class NonLocalAttention(BlockShapes):
    """Base class of `NonLocalBlock` with its attention weights.

    A subclass sets the attributes below: the first two in its constructor,
    the layers in `build`.
    """

    pool_position: str
    position: Position | None
    theta: layers.Dense
    phi: layers.Dense
    g: layers.Dense
    position_encoding: PositionEncoding
    context_encoding: PositionEncoding

    def affinity(
        self,
        x: Tensor,
        queries: Sequence[int] | Tensor | None = None,
        mask: Tensor | None = None,
        context: Tensor | None = None,
        context_mask: Tensor | None = None,
    ) -> Tensor:
        """Compute the attention weights f(x_i, x_j) / C(x).

        Args:
            x: input of the block, as in `call`.
            queries: flat indices of the positions i, in the order time,
                height, width: that of (t, y, x) is
                `(t * height + y) * width + x`. Negative ones count from the
                end; values of a tensor are not checked. Default: all
                positions, which builds the whole affinity matrix.
            mask: as in `call`; masked positions attend to nothing, and nothing
                to them: their weights are zero.
            context: as in `call`; the keys are its positions then.
            context_mask: as in `call`.

        Returns:
            `(batch, queries, keys)`, with several heads `(batch, heads,
            queries, keys)`; float32 or wider. The keys are the positions that
            a query attends to, in the same order: with `subsample` the pooled
            ones, with `axes` or `temporal_group_size` those of the query's
            frame, place or group.

        Raises:
            ValueError: the queries are not a row of integers, or out of range,
                or the mask does not fit.
        """
        mask = masking.implicit_mask(x) if mask is None else mask
        x = ops.convert_to_tensor(x, self.compute_dtype)
        if context is not None:
            if context_mask is None:
                context_mask = masking.implicit_mask(context)
            context = ops.convert_to_tensor(context, self.compute_dtype)
        if not self.built:
            shape = None if context is None else tuple(context.shape)
            self.build(tuple(x.shape), shape)
        self._check_call(x, context)
        x, mask = masked_input(x, mask)
        keys, key_mask = masked_keys(x, mask, context, context_mask)
        phi = self._phi(self._keys_input(keys, key_mask), keys, key_mask)
        return self._affinity(x, phi, queries, mask, self._key_mask(key_mask))

    def _affinity(
        self,
        x: Tensor,
        phi: Tensor,
        queries: Sequence[int] | Tensor | None,
        mask: Tensor | None,
        key_mask: Tensor | None,
    ) -> Tensor:
        if queries is None:
            weights = self._row_weights(
                self._theta(x), phi, key_mask, self._steps(x)
            )
            weights = self.layout.from_rows(weights, like=x)
        else:
            n = math.prod(ops.shape(x)[1:-1])
            queries = attention_layout.flat_queries(queries, n)
            weights = self._weights_of_queries(x, phi, queries, key_mask)
        mask = masking.flat_mask(mask, queries)
        weights = masking.zero_masked(weights, mask)
        return heads_axis(weights, self.heads)

    def _weights_of_queries(
        self, x: Tensor, phi: Tensor, queries: Tensor, key_mask: Tensor | None
    ) -> Tensor:
        """Compute attention weights of queries, `(batch, k, heads * m)`."""
        batch, *sizes, channels = ops.shape(x)
        x_queries = self._with_position(x)
        x_queries = ops.reshape(x_queries, (batch, math.prod(sizes), channels))
        x_queries = ops.take(x_queries, queries, axis=1)
        theta = self.theta(x_queries) if self.pairwise.embeds else x_queries
        if self.layout.is_global and not self.causal:
            return self._row_weights(theta, phi, key_mask)
        # The keys differ between queries: each query is an example.
        phi = self.layout.keys_of_queries(phi, queries, like=x)
        mask = masking.mask_of_queries(
            key_mask, self.layout, queries, x, self._steps(x), phi
        )
        _, count, m, d = ops.shape(phi)
        weights = self._row_weights(
            ops.reshape(theta, (batch * count, 1, theta.shape[-1])),
            ops.reshape(phi, (batch * count, m, d)),
            mask,
        )
        return ops.reshape(weights, (batch, count, self.heads * m))

    def _attend(
        self,
        theta: Tensor,
        phi: Tensor,
        g: Tensor,
        mask: Tensor | None = None,
        steps: int | Tensor | None = None,
    ) -> Tensor:
        """Compute y of all rows, `(rows, n, c)`."""
        visibility = masking.visibility(
            self.pairwise.call, repeat_heads(mask, self.heads), steps
        )
        rows = (split_heads(x, self.heads) for x in (theta, phi, g))
        return merge_heads(self.pairwise(*rows, **visibility), self.heads)

    def _row_weights(
        self,
        theta: Tensor,
        phi: Tensor,
        mask: Tensor | None = None,
        steps: int | Tensor | None = None,
    ) -> Tensor:
        """Compute attention weights of rows, `(rows, n, heads * m)`."""
        visibility = masking.visibility(
            self.pairwise.affinity, repeat_heads(mask, self.heads), steps
        )
        theta, phi = (split_heads(x, self.heads) for x in (theta, phi))
        weights = self.pairwise.affinity(theta, phi, **visibility)
        return merge_heads(weights, self.heads)

    def _theta(self, x: Tensor) -> Tensor:
        rows = self.layout.to_rows(self._with_position(x))
        return self.theta(rows) if self.pairwise.embeds else rows

    def _keys_input(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Input of phi and g, pooled if `pool_position` is "before"."""
        if self.pool_position == "after":
            return x
        return masking.masked_max_pool(x, mask, self.pool_size)

    def _with_position(self, x: Tensor) -> Tensor:
        return x + self.position_encoding(x) if self.position else x

    def _phi(self, x_keys: Tensor, x: Tensor, mask: Tensor | None) -> Tensor:
        """Compute phi of `x_keys`, which `_keys_input` made of x."""
        if self.position:
            before = self.pool_position == "before"
            windows = self.pool_size if before else None
            encoding = (
                self.position_encoding
                if self.context_shape is None
                else self.context_encoding
            )
            x_keys = x_keys + encoding(x, pool_size=windows)
        phi = self.phi(x_keys) if self.pairwise.embeds else x_keys
        return self._key_rows(phi, mask)

    def _g(self, x_keys: Tensor, mask: Tensor | None) -> Tensor:
        return self._key_rows(self.g(x_keys), mask)

    def _key_rows(self, keys: Tensor, mask: Tensor | None) -> Tensor:
        if self.pool_position == "after":
            keys = masking.masked_max_pool(keys, mask, self.pool_size)
        return self.layout.to_rows(keys, self._pooled_frames)

    def _key_mask(self, mask: Tensor | None) -> Tensor | None:
        """Mask of the keys after pooling, `(rows, m)`."""
        if mask is None:
            return None
        mask = masking.pooled_mask(mask, self.pool_size)
        rows = self.layout.to_rows(
            ops.expand_dims(mask, -1), self._pooled_frames
        )
        return ops.squeeze(rows, -1)

    def _steps(self, x: Tensor) -> int | Tensor | None:
        """Number of frames of a row if the block is causal."""
        return self.layout.steps(like=x) if self.causal else None

    def _build_position(
        self, x_shape: Shape, context_shape: Shape | None
    ) -> None:
        """Build the encodings of positions, if there are any."""
        if self.position:
            self.position_encoding = self._encoding("position", x_shape)
        if self.position and context_shape:
            self.context_encoding = self._encoding(
                "context_position", context_shape
            )

    def _encoding(self, name: str, shape: Shape) -> PositionEncoding:
        encoding = PositionEncoding(
            self.position or "sine",
            dtype=self.dtype_policy,
            trainable=self.trainable,
            name=name,
        )
        encoding.build(shape)
        return encoding

    def _build_pairwise(self, embedding: int, values: int) -> None:
        """Build the pairwise function for channels of all heads."""
        if not self.trainable:
            self.pairwise.trainable = False
        theta = (None, None, embedding // self.heads)
        g = (None, None, values // self.heads)
        self.pairwise.build(theta, theta, g)


def masked_input(
    x: Tensor, mask: Tensor | None, name: str = "mask"
) -> tuple[Tensor, Tensor | None]:
    """Return x with zeros where masked, and the mask of its positions."""
    mask = masking.position_mask(mask, x, name)
    return masking.zero_masked(x, mask), mask


def masked_keys(
    x: Tensor,
    mask: Tensor | None,
    context: Tensor | None,
    context_mask: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    """Return the feature map of the keys and its mask: the context's or x's."""
    if context is not None:
        return masked_input(context, context_mask, "context_mask")
    masking.check_no_mask(context_mask)
    return x, mask
