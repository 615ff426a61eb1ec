"""Softmax form in chunks of rows of the affinity matrix, and its weights.

Rows of the affinity matrix are independent. `chunked` computes, uses and
discards a chunk of rows at a time, and computes it again for the gradient:
memory O(rows m), and one matrix product more than the six of the plain value
and gradient. `stored` keeps the weights of the value, one matrix, and takes the
gradient in chunks: six products, and a third of the plain form's matrices.

FlashAttention's gradient computes the weights again from row maxima and sums
that the value kept. On a CPU with AVX-512 a training step on TensorFlow took 1
to 4 % longer that way, on JAX as long or up to 4 % less: a fused softmax costs
no more than a subtraction and an exponential.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from nonlocal_tf.ops._gradient import custom_gradient
from nonlocal_tf.ops._rows import row_offsets
from nonlocal_tf.ops._visible_keys import visible_keys
from nonlocal_tf.typing import Tensor

# Chunk size (elements, 10 MB in float32) that fits in the last-level cache.
CHUNK_ELEMENTS = 2_500_000
# Fewer rows make slow matrix products, more rows only cost memory. The minimum
# is that of the batch; its examples share the rows.
MIN_ROWS, MAX_ROWS = 196, 1568
MIN_ROWS_PER_EXAMPLE = 32


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


def chunk_rows(theta: Tensor, phi: Tensor) -> int | Tensor:
    """Number of rows in a chunk of about `CHUNK_ELEMENTS`, at most n.

    Returns:
        An integer, or an int32 tensor where a size is unknown.
    """
    batch, n, _ = ops.shape(theta)
    m = ops.shape(phi)[1]
    if keras.backend.backend() == "jax":
        batch = _checked_jax_batch(batch, n, m)
    is_static = all(isinstance(size, int) for size in (batch, n, m))
    minimum, maximum = (min, max) if is_static else (ops.minimum, ops.maximum)
    batch = maximum(batch, 1)
    # batch * m may exceed int32.
    rows = minimum(CHUNK_ELEMENTS // batch // m, MAX_ROWS)
    rows = maximum(rows, maximum(MIN_ROWS // batch, MIN_ROWS_PER_EXAMPLE))
    chunks = (n + rows - 1) // rows
    return (n + chunks - 1) // chunks  # chunks of about equal size


def _checked_jax_batch(batch: Any, n: Any, m: Any) -> int:
    """Return the batch, or 1 for the symbol that an export has for it.

    Raises:
        ValueError: n or m is a symbol; the rows are part of a shape.
    """
    if not (isinstance(n, int) and isinstance(m, int)):
        raise ValueError(
            "method='chunked' exports unknown numbers of positions on "
            "TensorFlow only; on JAX use method='plain', or inputs of known "
            f"size. Received: {n} queries, {m} keys"
        )
    return batch if isinstance(batch, int) else 1


def chunked(
    theta: Tensor,
    phi: Tensor,
    g: Tensor,
    rows: int | Tensor,
    *,
    mask: Tensor | None = None,
    steps: int | Tensor | None = None,
) -> Tensor:
    """Compute the softmax form `rows` queries at a time; theta is scaled.

    Args:
        theta: queries times the scale, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`.
        g: values, `(batch, m, c)`.
        rows: from 1 to n; it need not divide n.
        mask: booleans, `(batch, m)`, True for the keys that count. Others
            must be finite. Queries without a key get equal weights.
        steps: number of groups of queries and keys in time, for causality.

    Returns:
        `(batch, n, c)`.
    """

    def weights(
        theta: Tensor, phi: Tensor, first: Tensor, rows: int | Tensor
    ) -> Tensor:
        """Compute the weights of `rows` queries from `first` on."""
        n, m = ops.shape(theta)[1], ops.shape(phi)[1]
        visible = visible_keys(mask, steps, n, m, first, rows)
        return attention_weights(_rows(theta, first, rows), phi, visible)

    @custom_gradient
    def value(theta: Tensor, phi: Tensor, g: Tensor) -> tuple[Tensor, Callable]:
        y = _chunked_value(theta, phi, g, rows, weights)

        def gradient(dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            return _chunked_gradient(theta, phi, g, y, dy, rows, weights)

        return y, gradient

    return value(theta, phi, g)


def stored(
    theta: Tensor,
    phi: Tensor,
    g: Tensor,
    rows: int | Tensor,
    *,
    mask: Tensor | None = None,
    steps: int | Tensor | None = None,
) -> Tensor:
    """Compute the softmax form, and its gradient `rows` queries at a time.

    Args:
        theta: as for `chunked`, as are all others.
        phi: keys.
        g: values.
        rows: of a chunk of the gradient.
        mask: keys that count.
        steps: number of groups of queries and keys in time.

    Returns:
        `(batch, n, c)`.
    """
    n, m = ops.shape(theta)[1], ops.shape(phi)[1]

    @custom_gradient
    def value(theta: Tensor, phi: Tensor, g: Tensor) -> tuple[Tensor, Callable]:
        visible = visible_keys(mask, steps, n, m)
        matrix = attention_weights(theta, phi, visible)
        y = ops.matmul(matrix, g)

        def weights(
            theta: Tensor, phi: Tensor, first: Tensor, rows: int | Tensor
        ) -> Tensor:
            return _rows(matrix, first, rows)

        def gradient(dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            return _chunked_gradient(theta, phi, g, y, dy, rows, weights)

        return y, gradient

    return value(theta, phi, g)


def _chunked_value(
    theta: Tensor,
    phi: Tensor,
    g: Tensor,
    rows: int | Tensor,
    weights: Callable,
) -> Tensor:
    batch, n, _ = ops.shape(theta)
    channels = g.shape[-1]

    def chunk(_: Tensor, carry: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        start, y = carry
        first = _first_row(start, n - rows)
        y_ = ops.matmul(weights(theta, phi, first, rows), g)
        y = _write_rows(y, n, first, y_)
        return _wait_for(start + rows, y), y

    start = _loop_start()
    y = ops.zeros((batch * n, channels), g.dtype)
    y = ops.fori_loop(0, (n + rows - 1) // rows, chunk, (start, y))[1]
    return ops.reshape(y, (batch, n, channels))


def _chunked_gradient(
    theta: Tensor,
    phi: Tensor,
    g: Tensor,
    y: Tensor,
    dy: Tensor,
    rows: int | Tensor,
    weights: Callable,
) -> tuple[Tensor, Tensor, Tensor]:
    batch, n, width = ops.shape(theta)
    if not isinstance(rows, int):
        # Of sizes again: XLA wants a number that the graph of the gradient
        # computes from shapes alone.
        rows = chunk_rows(theta, phi)
    mean = ops.sum(y * dy, axis=-1, keepdims=True)  # of dy . g by the weights

    def chunk(_: Tensor, carry: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        start, dtheta, dphi, dg = carry
        first = _first_row(start, n - rows)
        theta_, dy_, mean_ = (_rows(x, first, rows) for x in (theta, dy, mean))
        weights_ = weights(theta, phi, first, rows)  # (b, rows, m)
        dweights = ops.matmul(dy_, ops.swapaxes(g, 1, 2))
        dlogits = weights_ * (dweights - mean_)
        dtheta = _write_rows(dtheta, n, first, ops.matmul(dlogits, phi))
        # Where rows do not divide n, the last chunk begins before `start`. The
        # rows it repeats may be written again but must not be added again.
        new = ops.arange(rows, dtype="int32") >= start - first
        new = ops.reshape(ops.cast(new, g.dtype), (1, -1, 1))
        dphi = dphi + ops.matmul(ops.swapaxes(dlogits, 1, 2), theta_ * new)
        dg = dg + ops.matmul(ops.swapaxes(weights_, 1, 2), dy_ * new)
        return _wait_for(start + rows, dtheta, dphi, dg), dtheta, dphi, dg

    start = _loop_start()
    dtheta = ops.zeros((batch * n, width), theta.dtype)
    carry = (start, dtheta, ops.zeros_like(phi), ops.zeros_like(g))
    carry = ops.fori_loop(0, (n + rows - 1) // rows, chunk, carry)
    _, dtheta, dphi, dg = carry
    return ops.reshape(dtheta, (batch, n, width)), dphi, dg


def _loop_start() -> int | Tensor:
    """Return row 0 as an integer on PyTorch, whose loops are Python's.

    A tensor as an index would wait for the GPU in each chunk, and Keras could
    not infer shapes without computing.
    """
    is_torch = keras.backend.backend() == "torch"
    return 0 if is_torch else ops.zeros((), "int32")


def _first_row(start: int | Tensor, last: int | Tensor) -> int | Tensor:
    is_static = isinstance(start, int) and isinstance(last, int)
    return min(start, last) if is_static else ops.minimum(start, last)


def _rows(x: Tensor, first: Tensor, rows: int | Tensor) -> Tensor:
    batch, _, width = ops.shape(x)
    return ops.slice(x, (0, first, 0), (batch, rows, width))


def _write_rows(
    flat: Tensor, n: int | Tensor, first: Tensor, values: Tensor
) -> Tensor:
    """Write `(batch, rows, c)` into each example, beginning at row `first`.

    `flat` is `(batch * n, c)`. On TensorFlow `slice_update` is an XLA operation
    that a model server may lack; it also took 40 MB more in a training step of
    12,544 x 3,136.
    """
    batch, rows, width = ops.shape(values)
    index = row_offsets(batch, n) + first + ops.arange(rows, dtype="int32")
    values = ops.reshape(values, (-1, width))
    return ops.scatter_update(flat, ops.reshape(index, (-1, 1)), values)


def _wait_for(number: int | Tensor, *results: Tensor) -> int | Tensor:
    """Return `number`, made to depend on the results.

    TensorFlow runs up to ten iterations of a loop in parallel, with ten chunks
    in memory, unless each depends on the one before.
    """
    if isinstance(number, int):
        return number
    for x in results:
        element = ops.sum(x[:1, :1])
        number = number + ops.minimum(ops.cast(element > 3e38, "int32"), 0)
    return number
