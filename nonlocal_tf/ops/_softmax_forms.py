"""Forms of the softmax: all weights, kept weights, chunks of weights.

`plain` differentiates the matrix of weights automatically. `stored` keeps the
weights of the value, one matrix, and takes the gradient in chunks: as many
matrix products, six with those of the value, and a third of the memory.
`chunked` computes, uses and discards a chunk of rows at a time, and computes it
again for the gradient: memory O(rows m), and one product more.

Causal forms take spans of queries with the keys that they see.
"""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from nonlocal_tf.ops._causal_spans import Span, causal_spans
from nonlocal_tf.ops._chunked_softmax import (
    chunked_gradient,
    chunked_value,
    slice_rows,
)
from nonlocal_tf.ops._gradient import custom_gradient
from nonlocal_tf.typing import Tensor


def attention_weights(
    theta: Tensor, phi: Tensor, visible: Tensor | None = None
) -> Tensor:
    """Compute softmax_j(theta_i . phi_j) over the visible keys.

    Args:
        theta: queries times the scale, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`; finite where they are masked.
        visible: booleans that broadcast to `(batch, n, m)`; None for all.

    Returns:
        `(batch, n, m)`; zeros where not visible, but equal weights in a row
        without a visible key.
    """
    logits = ops.matmul(theta, ops.swapaxes(phi, 1, 2))  # (b, n, m)
    if logits.shape[-1] == 1:
        return 0 * logits + 1  # Keras' softmax gives the same and warns
    if visible is not None:
        # Not -inf, with which a row without a key, and its gradient, are NaN.
        dtype = keras.backend.standardize_dtype(logits.dtype)
        lowest = ops.convert_to_tensor(np.finfo(dtype).min, dtype)
        logits = ops.where(visible, logits, lowest)
    return ops.softmax(logits, axis=-1)


def plain(
    theta: Tensor,
    phi: Tensor,
    g: Tensor,
    *,
    mask: Tensor | None = None,
    steps: int | Tensor | None = None,
) -> Tensor:
    """Compute the softmax form by the matrix of weights, one of each span.

    Args:
        theta: as for `chunked`, as are all others.
        phi: keys.
        g: values.
        mask: keys that count.
        steps: number of groups of queries and keys in time.

    Returns:
        `(batch, n, c)`.
    """
    spans = _spans(theta, phi, steps)
    return _weighted_sums(_matrices(theta, phi, spans, mask), g, spans)


def stored(
    theta: Tensor,
    phi: Tensor,
    g: Tensor,
    *,
    mask: Tensor | None = None,
    steps: int | Tensor | None = None,
) -> Tensor:
    """Compute the softmax form, and its gradient a chunk of rows at a time.

    Args:
        theta: as for `chunked`, as are all others.
        phi: keys.
        g: values.
        mask: keys that count.
        steps: number of groups of queries and keys in time.

    Returns:
        `(batch, n, c)`.
    """

    @custom_gradient
    def value(theta: Tensor, phi: Tensor, g: Tensor) -> tuple[Tensor, Callable]:
        spans = _spans(theta, phi, steps)
        matrices = _matrices(theta, phi, spans, mask)
        y = _weighted_sums(matrices, g, spans)

        def weights(
            index: int, keys: Tensor, first: Tensor, rows: int | Tensor
        ) -> Tensor:
            return slice_rows(matrices[index], first - spans[index].first, rows)

        def gradient(dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            return chunked_gradient(theta, phi, g, y, dy, spans, weights)

        return y, gradient

    return value(theta, phi, g)


def chunked(
    theta: Tensor,
    phi: Tensor,
    g: Tensor,
    *,
    mask: Tensor | None = None,
    steps: int | Tensor | None = None,
) -> Tensor:
    """Compute the softmax form a chunk of rows at a time; theta is scaled.

    Args:
        theta: queries times the scale, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`.
        g: values, `(batch, m, c)`.
        mask: booleans, `(batch, m)`, True for the keys that count. Others
            must be finite. Queries without a key get equal weights.
        steps: number of groups of queries and keys in time, for causality.
            With it all inputs must be finite.

    Returns:
        `(batch, n, c)`.
    """

    @custom_gradient
    def value(theta: Tensor, phi: Tensor, g: Tensor) -> tuple[Tensor, Callable]:
        spans = _spans(theta, phi, steps)

        def weights(
            index: int, keys: Tensor, first: Tensor, rows: int | Tensor
        ) -> Tensor:
            visible = spans[index].visible_keys(mask, first, rows)
            queries = slice_rows(theta, first, rows)
            return attention_weights(queries, keys, visible)

        y = chunked_value(theta, phi, g, spans, weights)

        def gradient(dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            return chunked_gradient(theta, phi, g, y, dy, spans, weights)

        return y, gradient

    return value(theta, phi, g)


def _spans(
    theta: Tensor, phi: Tensor, steps: int | Tensor | None
) -> list[Span]:
    return causal_spans(steps, ops.shape(theta)[1], ops.shape(phi)[1])


def _matrices(
    theta: Tensor, phi: Tensor, spans: list[Span], mask: Tensor | None
) -> list[Tensor]:
    """Compute the weights of each span."""
    return [
        attention_weights(
            span.queries_of(theta), span.keys_of(phi), span.visible_keys(mask)
        )
        for span in spans
    ]


def _weighted_sums(
    matrices: list[Tensor], g: Tensor, spans: list[Span]
) -> Tensor:
    sums = [
        ops.matmul(matrix, span.keys_of(g))
        for matrix, span in zip(matrices, spans, strict=True)
    ]
    return sums[0] if len(sums) == 1 else ops.concatenate(sums, axis=1)
