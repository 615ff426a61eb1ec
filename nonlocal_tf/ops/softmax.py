"""Gaussian and embedded Gaussian: f(x_i, x_j) = exp(theta_i . phi_j).

With C(x) = sum_j f the operation is a softmax over the positions j (paper,
section 3.2), so both functions share this module: the Gaussian passes x itself
for theta and phi.

Rows of the affinity do not depend on each other. Where the whole matrix would
be large, some rows at a time are made, used and forgotten, and the gradient
makes them again: memory O(rows m), and one matrix product more than the six of
the plain value and gradient.
"""

import functools
from collections.abc import Callable
from typing import Literal, get_args

import keras
from keras import ops

from nonlocal_tf.choices import unknown
from nonlocal_tf.ops.precision import HALF_PRECISION, at_least_float32
from nonlocal_tf.ops.rows import first_rows
from nonlocal_tf.typing import Tensor

SoftmaxMethod = Literal["auto", "plain", "chunked", "flash"]
SOFTMAX_METHODS = get_args(SoftmaxMethod)
# So many affinities, 10 MB in float32, stay in the last cache of a CPU.
CHUNK_ELEMENTS = 2_500_000
# Fewer rows make slow matrix products, more rows only more memory.
FEWEST_ROWS, MOST_ROWS = 196, 1568
# An example alone; with a batch, its examples share the rows.
FEWEST_ROWS_AN_EXAMPLE = 32
FLASH_WIDEST = 128


def softmax_affinity(theta: Tensor, phi: Tensor, scale: float = 1.0) -> Tensor:
    """Weights softmax_j(scale * theta_i . phi_j), each row summing to one.

    Args:
        theta: queries, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`.
        scale: factor on the logits; the paper uses 1, its code d ** -0.5.

    Returns:
        `(batch, n, m)`, float32 or wider.
    """
    theta, phi = at_least_float32(theta), at_least_float32(phi)
    logits = ops.matmul(theta * scale, ops.swapaxes(phi, 1, 2))  # (b, n, m)
    if logits.shape[-1] == 1:
        return 0 * logits + 1  # as Keras' softmax, without its warning
    return ops.softmax(logits, axis=-1)


def softmax(
    theta: Tensor,
    phi: Tensor,
    g: Tensor,
    scale: float = 1.0,
    method: SoftmaxMethod = "auto",
) -> Tensor:
    """y_i = sum_j softmax_j(scale * theta_i . phi_j) g_j.

    Args:
        theta: queries, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`.
        g: values, `(batch, m, c)`.
        scale: factor on the logits.
        method: all take O(n m (d + c)) time, and none approximates. `"plain"`
            makes the affinity matrix, O(n m) memory. `"chunked"` makes some
            rows of it at a time, O(rows m) memory, and makes them again for
            the gradient, seven matrix products a training step instead of
            six; on TensorFlow it has no second derivative. `"flash"` is
            cuDNN's fused kernel, which rounds the weights to the inputs' half
            precision: Keras on JAX with an NVIDIA GPU, d = c a multiple of 8
            up to 128. `"auto"` takes flash where it can, else plain up to 2.5
            million affinities an example, else chunks.

    Returns:
        `(batch, n, c)` in the dtype of `g`; float32 or wider inside.

    Raises:
        ValueError: the method is not one of those above, or is `"flash"` where
            there is none.

    Reference:
        Wang et al., Non-local Neural Networks, CVPR 2018, section 3.2,
        equations 2 and 3. The fused kernel: Dao et al., FlashAttention,
        NeurIPS 2022.
    """
    if method not in SOFTMAX_METHODS:
        raise ValueError(unknown("method", method, SOFTMAX_METHODS))
    if method == "auto":
        method = _best_method(theta, phi, g)
    if method == "flash":
        return _flash(theta, phi, g, scale)
    dtype = g.dtype
    theta, phi, g = (at_least_float32(x) for x in (theta, phi, g))
    if method == "plain":
        y = ops.matmul(softmax_affinity(theta, phi, scale), g)
    else:
        y = chunked(theta * scale, phi, g, rows_a_chunk(theta, phi))
    return ops.cast(y, dtype)


def _best_method(theta: Tensor, phi: Tensor, g: Tensor) -> SoftmaxMethod:
    if _flash_fits(theta, phi, g):
        return "flash"
    n, m = theta.shape[1], phi.shape[1]
    if not (isinstance(n, int) and isinstance(m, int)):
        # TensorFlow learns the sizes when it runs, and of a small matrix makes
        # one chunk. JAX knows all sizes whenever it computes anything.
        return "plain" if keras.backend.backend() == "jax" else "chunked"
    return "chunked" if n * m > CHUNK_ELEMENTS else "plain"


def _flash_fits(theta: Tensor, phi: Tensor, g: Tensor) -> bool:
    """Whether the fused kernel is there, allowed, and as exact as ours."""
    d, dtype = theta.shape[-1], keras.backend.standardize_dtype(theta.dtype)
    return (
        keras.backend.backend() == "jax"
        and dtype in HALF_PRECISION
        and dtype == phi.dtype == g.dtype
        and d == g.shape[-1]
        and d % 8 == 0
        and d <= FLASH_WIDEST
        # Asked for "gpu", JAX raises where there is none.
        and any("gpu" in x for x in keras.distribution.list_devices())
        and _flash_runs(d, dtype)
    )


@functools.lru_cache
def _flash_runs(d: int, dtype: str) -> bool:
    """Asks Keras, which asks cuDNN and the GPU's generation."""
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
            flash_attention=True,  # the default falls back to the matrix
        )
    except (ImportError, RuntimeError, ValueError) as error:
        raise ValueError(
            "method='flash' needs Keras on JAX with an NVIDIA GPU of the "
            "Ampere generation or newer, and half precision; "
            "method='auto' takes it where it can. Received: "
            f"backend={keras.backend.backend()!r}, "
            f"dtype={keras.backend.standardize_dtype(theta.dtype)!r}"
        ) from error
    return ops.squeeze(y, 2)


def rows_a_chunk(theta: Tensor, phi: Tensor) -> int | Tensor:
    """Rows of a chunk of about `CHUNK_ELEMENTS`, at most n.

    Returns:
        An integer, or where a size is unknown an int32 tensor.
    """
    batch, n, _ = ops.shape(theta)
    m = ops.shape(phi)[1]
    known = all(isinstance(size, int) for size in (batch, n, m))
    at_most, at_least = (min, max) if known else (ops.minimum, ops.maximum)
    batch = at_least(batch, 1)
    # batch * m may be beyond int32.
    rows = at_most(CHUNK_ELEMENTS // batch // m, MOST_ROWS)
    rows = at_least(
        rows, at_least(FEWEST_ROWS // batch, FEWEST_ROWS_AN_EXAMPLE)
    )
    chunks = (n + rows - 1) // rows
    return (n + chunks - 1) // chunks  # chunks of about equal size


def chunked(
    theta: Tensor, phi: Tensor, g: Tensor, rows: int | Tensor
) -> Tensor:
    """The softmax form with `rows` queries at a time; theta is scaled.

    Args:
        theta: queries times the scale, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`.
        g: values, `(batch, m, c)`.
        rows: an integer from 1 to n; it need not divide n.

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
        at = ops.minimum(start, n - rows)
        weights = softmax_affinity(_rows(theta, at, rows), phi)
        y = _write_rows(y, n, at, ops.matmul(weights, g))
        return _after(start + rows, y), y

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
        at = ops.minimum(start, n - rows)
        theta_, dy_, mean_ = (_rows(x, at, rows) for x in (theta, dy, mean))
        weights = softmax_affinity(theta_, phi)  # (b, rows, m)
        dweights = ops.matmul(dy_, ops.swapaxes(g, 1, 2))
        dlogits = weights * (dweights - mean_)
        dtheta = _write_rows(dtheta, n, at, ops.matmul(dlogits, phi))
        # The last chunk begins before its start where rows do not divide n.
        # What it repeats is written again, and must not be added again.
        new = ops.arange(rows, dtype="int32") >= start - at
        new = ops.reshape(ops.cast(new, g.dtype), (1, -1, 1))
        dphi = dphi + ops.matmul(ops.swapaxes(dlogits, 1, 2), theta_ * new)
        dg = dg + ops.matmul(ops.swapaxes(weights, 1, 2), dy_ * new)
        return _after(start + rows, dtheta, dphi, dg), dtheta, dphi, dg

    start = ops.zeros((), "int32")
    dtheta = ops.zeros((batch * n, width), theta.dtype)
    carry = (start, dtheta, ops.zeros_like(phi), ops.zeros_like(g))
    _, dtheta, *others = ops.fori_loop(0, (n + rows - 1) // rows, chunk, carry)
    return ops.reshape(dtheta, (batch, n, width)), *others


def _rows(x: Tensor, at: Tensor, rows: int | Tensor) -> Tensor:
    batch, _, width = ops.shape(x)
    return ops.slice(x, (0, at, 0), (batch, rows, width))


def _write_rows(
    flat: Tensor, n: int | Tensor, at: Tensor, values: Tensor
) -> Tensor:
    """Writes `(batch, rows, c)` from row `at` of each example on.

    `flat` is `(batch * n, c)`. Not by `slice_update`: on TensorFlow that is an
    operation of XLA, which a server of exported models need not have; it also
    took 40 MB more at a training step of 12,544 x 3,136.
    """
    batch, rows, width = ops.shape(values)
    where = first_rows(batch, n) + at + ops.arange(rows, dtype="int32")
    values = ops.reshape(values, (-1, width))
    return ops.scatter_update(flat, ops.reshape(where, (-1, 1)), values)


def _after(number: Tensor, *results: Tensor) -> Tensor:
    """`number`, once the results are there.

    TensorFlow runs up to ten turns of a loop at once, with ten chunks in
    memory, unless a turn waits for the one before.
    """
    for x in results:
        one = ops.sum(x[:1, :1])
        number = number + ops.minimum(ops.cast(one > 3e38, "int32"), 0)
    return number
