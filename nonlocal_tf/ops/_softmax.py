"""Gaussian and embedded Gaussian: f(x_i, x_j) = exp(theta_i . phi_j).

With C(x) = sum_j f the operation is a softmax over the positions j (paper,
section 3.2). Both functions share this module: the Gaussian passes x itself as
theta and phi.

Rows of the affinity matrix are independent. Where the whole matrix would be
large, a chunk of rows is computed, used and discarded at a time, and computed
again for the gradient: memory O(rows m), and one matrix product more than the
six of the plain value and gradient.
"""

import functools
from collections.abc import Callable
from typing import Literal, get_args

import keras
from keras import ops

from nonlocal_tf.choices import unknown
from nonlocal_tf.ops._precision import HALF_PRECISION, at_least_float32
from nonlocal_tf.ops._rows import row_offsets
from nonlocal_tf.typing import Tensor

SoftmaxMethod = Literal["auto", "plain", "chunked", "flash"]
SOFTMAX_METHODS = get_args(SoftmaxMethod)
# Chunk size (elements, 10 MB in float32) that fits in the last-level cache.
CHUNK_ELEMENTS = 2_500_000
# Fewer rows make slow matrix products, more rows only cost memory. The minimum
# is that of the batch; its examples share the rows.
MIN_ROWS, MAX_ROWS = 196, 1568
MIN_ROWS_PER_EXAMPLE = 32
FLASH_MAX_CHANNELS = 128


def softmax_affinity(theta: Tensor, phi: Tensor, scale: float = 1.0) -> Tensor:
    """Compute softmax_j(scale * theta_i . phi_j); each row sums to one.

    Args:
        theta: queries, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`.
        scale: factor on the logits; 1 in the paper, d ** -0.5 in its code.

    Returns:
        `(batch, n, m)`, float32 or wider.
    """
    theta, phi = at_least_float32(theta), at_least_float32(phi)
    logits = ops.matmul(theta * scale, ops.swapaxes(phi, 1, 2))  # (b, n, m)
    if logits.shape[-1] == 1:
        return 0 * logits + 1  # Keras' softmax gives the same and warns
    return ops.softmax(logits, axis=-1)


def softmax(
    theta: Tensor,
    phi: Tensor,
    g: Tensor,
    scale: float = 1.0,
    method: SoftmaxMethod = "auto",
) -> Tensor:
    """Compute y_i = sum_j softmax_j(scale * theta_i . phi_j) g_j.

    Args:
        theta: queries, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`.
        g: values, `(batch, m, c)`.
        scale: factor on the logits.
        method: all take O(n m (d + c)) time and are exact. `"plain"` builds
            the affinity matrix, O(n m) memory. `"chunked"` builds a chunk of
            its rows at a time, O(rows m) memory, and builds them again for the
            gradient: seven matrix products per training step instead of six;
            on TensorFlow it has no second derivative. `"flash"` is cuDNN's
            fused kernel, which rounds the weights to the inputs' half
            precision: Keras on JAX with an NVIDIA GPU, d = c a multiple of 8
            up to 128. `"auto"` chooses flash where supported, else plain up to
            2.5 million affinities per example, else chunked.

    Returns:
        `(batch, n, c)` in the dtype of `g`; computed in float32 or wider.

    Raises:
        ValueError: unknown method, or `"flash"` where unsupported.

    Reference:
        Wang et al., Non-local Neural Networks, CVPR 2018, section 3.2,
        equations 2 and 3. The fused kernel: Dao et al., FlashAttention,
        NeurIPS 2022.
    """
    if method not in SOFTMAX_METHODS:
        raise ValueError(unknown("method", method, SOFTMAX_METHODS))
    if method == "auto":
        method = choose_method(theta, phi, g)
    if method == "flash":
        return _flash(theta, phi, g, scale)
    dtype = g.dtype
    theta, phi, g = (at_least_float32(x) for x in (theta, phi, g))
    if method == "plain":
        y = ops.matmul(softmax_affinity(theta, phi, scale), g)
    else:
        y = chunked(theta * scale, phi, g, chunk_rows(theta, phi))
    return ops.cast(y, dtype)


def choose_method(theta: Tensor, phi: Tensor, g: Tensor) -> SoftmaxMethod:
    """Choose the fastest method for these shapes, dtypes and devices."""
    if _supports_flash(theta, phi, g):
        return "flash"
    n, m = theta.shape[1], phi.shape[1]
    if not (isinstance(n, int) and isinstance(m, int)):
        # TensorFlow graphs learn the sizes when they run; a small matrix is
        # then a single chunk. JAX knows all sizes when it computes.
        return "plain" if keras.backend.backend() == "jax" else "chunked"
    return "chunked" if n * m > CHUNK_ELEMENTS else "plain"


def _supports_flash(theta: Tensor, phi: Tensor, g: Tensor) -> bool:
    """Return True if the fused kernel exists and is as exact as the others."""
    d, dtype = theta.shape[-1], keras.backend.standardize_dtype(theta.dtype)
    return (
        keras.backend.backend() == "jax"
        and dtype in HALF_PRECISION
        and dtype == phi.dtype == g.dtype
        and d == g.shape[-1]
        and d % 8 == 0
        and d <= FLASH_MAX_CHANNELS
        # list_devices("gpu") raises on JAX without a GPU.
        and any("gpu" in x for x in keras.distribution.list_devices())
        and _flash_works(d, dtype)
    )


@functools.lru_cache
def _flash_works(d: int, dtype: str) -> bool:
    """Try it once: Keras checks cuDNN and the GPU's generation."""
    x = ops.zeros((1, 8, d), dtype)
    try:
        _flash(x, x, x, 1.0)
    except ValueError:
        return False
    return True


def _flash(theta: Tensor, phi: Tensor, g: Tensor, scale: float) -> Tensor:
    try:
        y = ops.dot_product_attention(
            *(ops.expand_dims(x, 2) for x in (theta, phi, g)),  # one head
            scale=scale,
            flash_attention=True,  # the default may fall back to plain
        )
    except (ImportError, RuntimeError, ValueError) as error:
        raise ValueError(
            "method='flash' needs Keras on JAX with an NVIDIA GPU of the "
            "Ampere generation or newer, and half precision; "
            "method='auto' uses it where supported. Received: "
            f"backend={keras.backend.backend()!r}, "
            f"dtype={keras.backend.standardize_dtype(theta.dtype)!r}"
        ) from error
    return ops.squeeze(y, 2)


def chunk_rows(theta: Tensor, phi: Tensor) -> int | Tensor:
    """Number of rows in a chunk of about `CHUNK_ELEMENTS`, at most n.

    Returns:
        An integer, or an int32 tensor where a size is unknown.
    """
    batch, n, _ = ops.shape(theta)
    m = ops.shape(phi)[1]
    is_static = all(isinstance(size, int) for size in (batch, n, m))
    minimum, maximum = (min, max) if is_static else (ops.minimum, ops.maximum)
    batch = maximum(batch, 1)
    # batch * m may exceed int32.
    rows = minimum(CHUNK_ELEMENTS // batch // m, MAX_ROWS)
    rows = maximum(rows, maximum(MIN_ROWS // batch, MIN_ROWS_PER_EXAMPLE))
    chunks = (n + rows - 1) // rows
    return (n + chunks - 1) // chunks  # chunks of about equal size


def chunked(
    theta: Tensor, phi: Tensor, g: Tensor, rows: int | Tensor
) -> Tensor:
    """Compute the softmax form `rows` queries at a time; theta is scaled.

    Args:
        theta: queries times the scale, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`.
        g: values, `(batch, m, c)`.
        rows: from 1 to n; it need not divide n.

    Returns:
        `(batch, n, c)`.
    """

    @ops.custom_gradient
    def value(theta: Tensor, phi: Tensor, g: Tensor) -> tuple[Tensor, Callable]:
        y = _chunked_value(theta, phi, g, rows)

        def gradient(
            dy: Tensor, upstream: Tensor | None = None
        ) -> tuple[Tensor, Tensor, Tensor]:
            dy = dy if upstream is None else upstream
            return _chunked_gradient(theta, phi, g, y, dy, rows)

        return y, gradient

    return value(theta, phi, g)


def _chunked_value(
    theta: Tensor, phi: Tensor, g: Tensor, rows: int | Tensor
) -> Tensor:
    batch, n, _ = ops.shape(theta)
    channels = g.shape[-1]

    def chunk(_: Tensor, carry: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        start, y = carry
        first = ops.minimum(start, n - rows)
        weights = softmax_affinity(_rows(theta, first, rows), phi)
        y = _write_rows(y, n, first, ops.matmul(weights, g))
        return _wait_for(start + rows, y), y

    start = ops.zeros((), "int32")
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
) -> tuple[Tensor, Tensor, Tensor]:
    batch, n, width = ops.shape(theta)
    mean = ops.sum(y * dy, axis=-1, keepdims=True)  # of dy . g by the weights

    def chunk(_: Tensor, carry: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        start, dtheta, dphi, dg = carry
        first = ops.minimum(start, n - rows)
        theta_, dy_, mean_ = (_rows(x, first, rows) for x in (theta, dy, mean))
        weights = softmax_affinity(theta_, phi)  # (b, rows, m)
        dweights = ops.matmul(dy_, ops.swapaxes(g, 1, 2))
        dlogits = weights * (dweights - mean_)
        dtheta = _write_rows(dtheta, n, first, ops.matmul(dlogits, phi))
        # Where rows do not divide n, the last chunk begins before `start`. The
        # rows it repeats may be written again but must not be added again.
        new = ops.arange(rows, dtype="int32") >= start - first
        new = ops.reshape(ops.cast(new, g.dtype), (1, -1, 1))
        dphi = dphi + ops.matmul(ops.swapaxes(dlogits, 1, 2), theta_ * new)
        dg = dg + ops.matmul(ops.swapaxes(weights, 1, 2), dy_ * new)
        return _wait_for(start + rows, dtheta, dphi, dg), dtheta, dphi, dg

    start = ops.zeros((), "int32")
    dtheta = ops.zeros((batch * n, width), theta.dtype)
    carry = (start, dtheta, ops.zeros_like(phi), ops.zeros_like(g))
    carry = ops.fori_loop(0, (n + rows - 1) // rows, chunk, carry)
    _, dtheta, dphi, dg = carry
    return ops.reshape(dtheta, (batch, n, width)), dphi, dg


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


def _wait_for(number: Tensor, *results: Tensor) -> Tensor:
    """Return `number`, made to depend on the results.

    TensorFlow runs up to ten iterations of a loop in parallel, with ten chunks
    in memory, unless each depends on the one before.
    """
    for x in results:
        element = ops.sum(x[:1, :1])
        number = number + ops.minimum(ops.cast(element > 3e38, "int32"), 0)
    return number
