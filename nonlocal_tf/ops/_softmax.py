"""Gaussian and embedded Gaussian: f(x_i, x_j) = exp(theta_i . phi_j).

With C(x) = sum_j f the operation is a softmax over the positions j (paper,
section 3.2). Both functions share this module: the Gaussian passes x itself as
theta and phi.

Masked keys have zero content, logits of the lowest number and so weights of
exactly zero. A query without a key has uniform weights until the end, where
zeros replace them.
"""

import functools
from typing import Literal, get_args

import keras
from keras import ops

from nonlocal_tf.choices import unknown
from nonlocal_tf.ops._chunked_softmax import (
    CHUNK_ELEMENTS,
    attention_weights,
    chunk_rows,
    chunked,
)
from nonlocal_tf.ops._precision import HALF_PRECISION, at_least_float32
from nonlocal_tf.ops._visible_keys import (
    check_steps,
    checked_mask,
    count_visible_keys,
    visible_keys,
    zero_masked,
)
from nonlocal_tf.typing import Tensor

SoftmaxMethod = Literal["auto", "plain", "chunked", "flash"]
SOFTMAX_METHODS = get_args(SoftmaxMethod)
FLASH_MAX_CHANNELS = 128


def softmax_affinity(
    theta: Tensor,
    phi: Tensor,
    scale: float = 1.0,
    *,
    mask: Tensor | None = None,
    steps: int | Tensor | None = None,
) -> Tensor:
    """Compute softmax_j(scale * theta_i . phi_j); each row sums to one.

    Args:
        theta: queries, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`.
        scale: factor on the logits; 1 in the paper, d ** -0.5 in its code.
        mask: as for `softmax`. A query without a key has weights zero.
        steps: as for `softmax`.

    Returns:
        `(batch, n, m)`, float32 or wider.

    Raises:
        ValueError: `mask` or `steps` does not fit the sizes.
    """
    mask, n, m = _check(theta, phi, mask, steps)
    theta, phi = at_least_float32(theta), at_least_float32(phi)
    phi = zero_masked(phi, mask)
    visible = visible_keys(mask, steps, n, m)
    weights = attention_weights(theta * scale, phi, visible)
    return _zero_without_keys(weights, mask, steps, n, m)


def softmax(
    theta: Tensor,
    phi: Tensor,
    g: Tensor,
    scale: float = 1.0,
    method: SoftmaxMethod = "auto",
    *,
    mask: Tensor | None = None,
    steps: int | Tensor | None = None,
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
            up to 128, without mask and steps. `"auto"` chooses flash where
            supported, else plain up to 2.5 million affinities per example,
            else chunked.
        mask: booleans, `(batch, m)`, True for the keys that count. Others
            have weight zero whatever they hold, NaN included. A query without
            a key gives zeros.
        steps: for causality, the number of groups of consecutive positions
            (frames) that both queries and keys consist of; a query sees keys
            of its own group and of earlier ones. It divides n and m. An
            integer, or a scalar tensor.

    Returns:
        `(batch, n, c)` in the dtype of `g`; computed in float32 or wider.

    Raises:
        ValueError: unknown method, `"flash"` where unsupported, or `mask` or
            `steps` does not fit the sizes.

    Reference:
        Wang et al., Non-local Neural Networks, CVPR 2018, section 3.2,
        equations 2 and 3. The fused kernel: Dao et al., FlashAttention,
        NeurIPS 2022.
    """
    if method not in SOFTMAX_METHODS:
        raise ValueError(unknown("method", method, SOFTMAX_METHODS))
    mask, n, m = _check(theta, phi, mask, steps)
    sees_all = mask is None and steps is None
    if method == "flash" and not sees_all:
        raise ValueError(
            "method='flash' has no `mask` and no `steps`. Use method='auto', "
            "'chunked' or 'plain' with them."
        )
    if method == "auto":
        method = choose_method(theta, phi, g, sees_all)
    if method == "flash":
        return _flash(theta, phi, g, scale)
    dtype = g.dtype
    theta, phi, g = (at_least_float32(x) for x in (theta, phi, g))
    phi, g = zero_masked(phi, mask), zero_masked(g, mask)
    if method == "plain":
        visible = visible_keys(mask, steps, n, m)
        y = ops.matmul(attention_weights(theta * scale, phi, visible), g)
    else:
        rows = chunk_rows(theta, phi)
        y = chunked(theta * scale, phi, g, rows, mask=mask, steps=steps)
    y = _zero_without_keys(y, mask, steps, n, m)
    return ops.cast(y, dtype)


def _check(
    theta: Tensor,
    phi: Tensor,
    mask: Tensor | None,
    steps: int | Tensor | None,
) -> tuple[Tensor | None, int | Tensor, int | Tensor]:
    """Check mask and steps; return the mask as booleans, n and m."""
    n, m = ops.shape(theta)[1], ops.shape(phi)[1]
    check_steps(steps, n, m)
    return checked_mask(mask, phi), n, m


def _zero_without_keys(
    x: Tensor,
    mask: Tensor | None,
    steps: int | Tensor | None,
    n: int | Tensor,
    m: int | Tensor,
) -> Tensor:
    """Replace the rows of `(batch, n, c)` of queries that see no key."""
    if mask is None:  # a query sees its own group
        return x
    has_keys = count_visible_keys(mask, steps, n, m) > 0
    return ops.where(ops.expand_dims(has_keys, 2), x, ops.zeros_like(x))


def choose_method(
    theta: Tensor, phi: Tensor, g: Tensor, sees_all: bool = True
) -> SoftmaxMethod:
    """Choose the fastest method for these shapes, dtypes and devices.

    Args:
        theta: queries, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`.
        g: values, `(batch, m, c)`.
        sees_all: there is no mask and no causality.
    """
    if sees_all and _supports_flash(theta, phi, g):
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
