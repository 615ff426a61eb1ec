"""Value and gradient of a softmax form in chunks of rows of its matrix.

Rows of the affinity matrix are independent, so a chunk of queries needs its own
rows of weights alone. Chunks run one after another.

FlashAttention's gradient computes the weights again from row maxima and sums
that the value kept. On a CPU with AVX-512 a training step on TensorFlow took 1
to 4 % longer that way, on JAX as long or up to 4 % less: a fused softmax costs
no more than a subtraction and an exponential.
"""

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from nonlocal_tf.ops._causal_spans import Span
from nonlocal_tf.ops._rows import row_offsets
from nonlocal_tf.typing import Tensor

# Chunk size (elements, 10 MB in float32) that fits in the last-level cache.
CHUNK_ELEMENTS = 2_500_000
# Fewer rows make slow matrix products, more rows only cost memory. The minimum
# is that of the batch; its examples share the rows.
MIN_ROWS, MAX_ROWS = 196, 1568
MIN_ROWS_PER_EXAMPLE = 32


def chunk_rows(
    batch: int | Tensor, n: int | Tensor, m: int | Tensor
) -> int | Tensor:
    """Number of rows in a chunk of about `CHUNK_ELEMENTS`, at most n.

    Args:
        batch: number of examples.
        n: number of queries.
        m: number of keys.

    Returns:
        An integer, or an int32 tensor where a size is unknown.
    """
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


def chunked_value(
    theta: Tensor, phi: Tensor, g: Tensor, spans: list[Span], weights: Callable
) -> Tensor:
    """Compute weights times g.

    Args:
        theta: queries, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`.
        g: values, `(batch, m, c)`.
        spans: consecutive spans of all queries.
        weights: function of a span's index, its keys, the first of some
            consecutive queries and their number, to weights
            `(batch, queries, keys)`.

    Returns:
        `(batch, n, c)`.
    """
    batch, n, _ = ops.shape(theta)
    channels = g.shape[-1]
    carry = _loop_start(), ops.zeros((batch * n, channels), g.dtype)
    for index, span in enumerate(spans):
        keys = span.keys_of(phi), span.keys_of(g)
        rows = _span_rows(theta, phi, span)
        weights_ = functools.partial(weights, index, keys[0])
        carry = _span_value(n, keys[1], span, rows, weights_, carry)
    return ops.reshape(carry[1], (batch, n, channels))


def _span_value(
    n: int | Tensor,
    g: Tensor,
    span: Span,
    rows: int | Tensor,
    weights: Callable,
    carry: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor]:
    """Write the outputs of a span's queries.

    Args:
        n: number of all queries.
        g: values of the span.
        span: span.
        rows: of a chunk.
        weights: function of the first row and the number of rows.
        carry: first row, and the outputs of all queries.

    Returns:
        The carry of the next span.
    """

    def chunk(_: Tensor, carry: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        start, y = carry
        first = _first_row(start, span.end - rows)
        y_ = ops.matmul(weights(first, rows), g)
        y = _write_rows(y, n, first, y_)
        return _wait_for(start + rows, y), y

    return _for_chunks(span, rows, chunk, carry)


def chunked_gradient(
    theta: Tensor,
    phi: Tensor,
    g: Tensor,
    y: Tensor,
    dy: Tensor,
    spans: list[Span],
    weights: Callable,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the gradients by theta, phi and g.

    Args:
        theta: queries, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`.
        g: values, `(batch, m, c)`.
        y: value, `(batch, n, c)`.
        dy: gradient by the value.
        spans: as for `chunked_value`.
        weights: as for `chunked_value`.
    """
    batch, n, width = ops.shape(theta)
    mean = ops.sum(y * dy, axis=-1, keepdims=True)  # of dy . g by the weights
    queries = theta, dy, mean
    start, dtheta = _loop_start(), ops.zeros((batch * n, width), theta.dtype)
    dphi, dg = ops.zeros_like(phi[:, :0]), ops.zeros_like(g[:, :0])
    for index, span in enumerate(spans):
        keys = span.keys_of(phi), span.keys_of(g)
        dphi, dg = _extend(dphi, keys[0]), _extend(dg, keys[1])
        rows = _span_rows(theta, phi, span)
        weights_ = functools.partial(weights, index, keys[0])
        carry = start, dtheta, dphi, dg
        start, dtheta, dphi, dg = _span_gradient(
            queries, keys, span, rows, weights_, carry
        )
    return ops.reshape(dtheta, (batch, n, width)), dphi, dg


def _span_gradient(
    queries: tuple[Tensor, ...],
    keys: tuple[Tensor, ...],
    span: Span,
    rows: int | Tensor,
    weights: Callable,
    carry: tuple[Tensor, ...],
) -> tuple[Tensor, ...]:
    """Write or add the gradients of a span.

    Args:
        queries: theta, dy, and the mean of dy . g by the weights, of all.
        keys: phi and g of the span.
        span: span.
        rows: of a chunk.
        weights: function of the first row and the number of rows.
        carry: first row, dtheta of all queries, dphi and dg of the keys.

    Returns:
        The carry of the next span.
    """
    n = ops.shape(queries[0])[1]
    phi, g = keys

    def chunk(_: Tensor, carry: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        start, dtheta, dphi, dg = carry
        first = _first_row(start, span.end - rows)
        theta, dy, mean = (slice_rows(x, first, rows) for x in queries)
        weights_ = weights(first, rows)  # (b, rows, keys)
        dweights = ops.matmul(dy, ops.swapaxes(g, 1, 2))
        dlogits = weights_ * (dweights - mean)
        dtheta = _write_rows(dtheta, n, first, ops.matmul(dlogits, phi))
        # Where rows do not divide a span, its last chunk begins before
        # `start`. The rows it repeats may be written again but must not be
        # added again.
        new = ops.arange(rows, dtype="int32") >= start - first
        new = ops.reshape(ops.cast(new, g.dtype), (1, -1, 1))
        dphi = dphi + ops.matmul(ops.swapaxes(dlogits, 1, 2), theta * new)
        dg = dg + ops.matmul(ops.swapaxes(weights_, 1, 2), dy * new)
        return _wait_for(start + rows, dtheta, dphi, dg), dtheta, dphi, dg

    return _for_chunks(span, rows, chunk, carry)


def _span_rows(theta: Tensor, phi: Tensor, span: Span) -> int | Tensor:
    """Return the rows of a span's chunks.

    From shapes alone, for value and gradient: XLA wants a number that the graph
    of each of them knows.
    """
    keys = ops.shape(phi)[1] if span.keys is None else span.keys
    return chunk_rows(ops.shape(theta)[0], span.end - span.first, keys)


def _for_chunks(
    span: Span, rows: int | Tensor, chunk: Callable, carry: tuple
) -> tuple:
    """Run the chunks of a span; the carry begins with the first row."""
    chunks = (span.end - span.first + rows - 1) // rows
    is_one = isinstance(chunks, int) and chunks == 1
    start, *results = (
        chunk(0, carry) if is_one else ops.fori_loop(0, chunks, chunk, carry)
    )
    return _first_row(start, span.end), *results  # of the next span


def _extend(x: Tensor, like: Tensor) -> Tensor:
    """Append zeros along axis 1 up to the length of another tensor."""
    zeros = ops.zeros_like(like[:, ops.shape(x)[1] :])
    return ops.concatenate([x, zeros], axis=1)


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


def slice_rows(x: Tensor, first: Tensor, rows: int | Tensor) -> Tensor:
    """Slice consecutive rows of `(batch, n, c)`."""
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
