"""Gaussian and embedded Gaussian: f(x_i, x_j) = exp(theta_i . phi_j).

With C(x) = sum_j f the operation is a softmax over the positions j (paper,
section 3.2). Both functions share this module: the Gaussian passes x itself as
theta and phi.

Masked keys have zero content, logits of the lowest number and so weights of
exactly zero. A query without a key has uniform weights until the end, where
zeros replace them.
"""

import functools
import math
import numbers
from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

import keras
from keras import ops

from nonlocal_tf.choices import unknown
from nonlocal_tf.ops._chunked_softmax import CHUNK_ELEMENTS
from nonlocal_tf.ops._nonfinite import finite_inputs
from nonlocal_tf.ops._precision import HALF_PRECISION, at_least_float32
from nonlocal_tf.ops._softmax_forms import (
    attention_weights,
    chunked,
    plain,
    stored,
)
from nonlocal_tf.ops._visible_keys import (
    check_steps,
    checked_mask,
    count_visible_keys,
    visible_keys,
    zero_masked,
)
from nonlocal_tf.typing import Tensor

SoftmaxMethod = Literal["auto", "plain", "stored", "chunked", "flash"]
SOFTMAX_METHODS = get_args(SoftmaxMethod)
MethodChoice: TypeAlias = tuple[SoftmaxMethod, bool | Tensor]
FLASH_MAX_CHANNELS = 128
SOFTMAX_BUDGET_MB = 256
# Matrices of a batch that a training step holds at once: weights, and for the
# plain form their gradient and that of the logits.
PLAIN_MATRICES, STORED_MATRICES = 3, 1
# Unknown batches are up to this size where the plain form then fits.
USUAL_BATCH = 64


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
    budget_mb: float = SOFTMAX_BUDGET_MB,
    training: bool | None = None,
) -> Tensor:
    """Compute y_i = sum_j softmax_j(scale * theta_i . phi_j) g_j.

    Args:
        theta: queries, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`.
        g: values, `(batch, m, c)`.
        scale: factor on the logits.
        method: all take O(n m (d + c)) time and are exact. `"plain"` builds
            the affinity matrix, three of its size in a training step.
            `"stored"` keeps one for the gradient, which it takes in chunks of
            rows. `"chunked"` builds a chunk at a time, O(rows m) memory, and
            builds them again for the gradient: seven matrix products per
            training step instead of six. Both have no second derivative on
            TensorFlow and PyTorch. `"flash"` is cuDNN's fused kernel, which
            rounds the weights to the inputs' half precision: Keras on JAX with
            an NVIDIA GPU, d = c a multiple of 8 up to 128, without mask and
            steps. `"auto"` chooses flash where supported, else by `budget_mb`.
        mask: booleans, `(batch, m)`, True for the keys that count. Others
            have weight zero whatever they hold, NaN included. A query without
            a key gives zeros.
        steps: for causality, the number of groups of consecutive positions
            (frames) that both queries and keys consist of; a query sees keys
            of its own group and of earlier ones. It divides n and m. An
            integer, or a scalar tensor. Where it, n and m are known, up to 8
            spans of whole groups are computed with the keys that they see, 56
            % of all pairs; else all pairs. Queries that are not finite, or see
            keys or values that are not, give NaN; later positions do not
            matter, whatever they hold.
        budget_mb: memory, in MB, that `"auto"` lets the matrices of the whole
            batch take; 0 for the least memory. Up to 2.5 million affinities
            per example it takes plain where three matrices fit; else stored
            where one fits, else chunked; `mask` and `steps` do not change the
            choice. With the default and float32, for a
            batch of 1, 2 and 8:

            | n x m | 1 | 2 | 8 |
            |---|---|---|---|
            | 784 x 784, 3,136 x 784 | plain | plain | plain |
            | 3,136 x 3,136 | stored | stored | chunked |
            | 12,544 x 3,136 | stored | chunked | chunked |

            On JAX, whose chunks are faster, stored takes the place of plain
            and chunked that of stored. Where TensorFlow learns sizes when a
            graph runs, the graph chooses if `training` is True, and takes
            plain if a batch of 64 would fit.
        training: False where no gradient follows; `"auto"` then takes chunked
            above 2.5 million affinities per example, plain below. So it does
            with None in graphs of unknown sizes.

    Returns:
        `(batch, n, c)` in the dtype of `g`; computed in float32 or wider.

    Raises:
        ValueError: unknown method, `"flash"` where unsupported, `mask` or
            `steps` does not fit the sizes, or a negative `budget_mb`.

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
    check_budget(budget_mb)
    if method == "auto" and sees_all and _supports_flash(theta, phi, g):
        method = "flash"
    if method == "flash":
        return _flash(theta, phi, g, scale)
    dtype = g.dtype
    theta, phi, g = (at_least_float32(x) for x in (theta, phi, g))
    phi, g = zero_masked(phi, mask), zero_masked(g, mask)
    theta = theta * scale
    (theta, phi, g), nan = finite_inputs(theta, phi, g, steps)

    def compute(method: SoftmaxMethod) -> Tensor:
        form = {"plain": plain, "stored": stored, "chunked": chunked}[method]
        return form(theta, phi, g, mask=mask, steps=steps)

    if method == "auto":
        choices = method_choices(theta, phi, budget_mb, training)
        y = _first_that_holds(choices, compute)
    else:
        y = compute(method)
    y = y if nan is None else y + nan
    y = _zero_without_keys(y, mask, steps, n, m)
    return ops.cast(y, dtype)


def check_budget(budget_mb: float) -> None:
    """Check a memory budget in MB.

    Raises:
        ValueError: it is not a finite number of at least 0.
    """
    is_number = isinstance(budget_mb, numbers.Real)
    is_number = is_number and not isinstance(budget_mb, bool)
    if not (is_number and 0 <= budget_mb < math.inf):
        raise ValueError(
            "Expected `budget_mb` to be a number of MB of at least 0. "
            f"Received: budget_mb={budget_mb!r}"
        )


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


def method_choices(
    theta: Tensor,
    phi: Tensor,
    budget_mb: float = SOFTMAX_BUDGET_MB,
    training: bool | None = None,
) -> list[MethodChoice]:
    """List methods with a condition for each; the first that holds is taken.

    Args:
        theta: queries, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`.
        budget_mb: memory for the matrices of the batch.
        training: as for `softmax`.

    Returns:
        Pairs of a method and a bool, which is a tensor where a TensorFlow
        graph learns sizes when it runs. The last is True.
    """
    batch, n, _ = ops.shape(theta)
    m = ops.shape(phi)[1]
    positions_known = isinstance(n, int) and isinstance(m, int)
    is_small = positions_known and n * m <= CHUNK_ELEMENTS
    is_jax = keras.backend.backend() == "jax"
    if is_jax and not positions_known:  # known when JAX computes
        return [("plain", True)]
    batch_known = isinstance(batch, int)
    all_known = positions_known and batch_known
    if training is False or (not all_known and (is_jax or not training)):
        # No choice in graphs that may be exported: LiteRT has no such
        # operation. A small matrix is a single chunk.
        return [("plain" if is_small else "chunked", True)]
    if is_small and not batch_known:
        # Spare the graph a choice among three forms that it hardly needs.
        plain_mb = PLAIN_MATRICES * _matrix_mb(USUAL_BATCH, n, m, theta)
        if plain_mb <= budget_mb:
            return [("plain", True)]
    matrix_mb = _matrix_mb(batch, n, m, theta)
    choices: list[MethodChoice] = [
        ("plain", PLAIN_MATRICES * matrix_mb <= budget_mb),
        ("stored", STORED_MATRICES * matrix_mb <= budget_mb),
        ("chunked", True),
    ]
    # XLA fuses what lies between the products of a chunk.
    omitted = (0 if is_small else 1) + (1 if is_jax else 0)
    return choices[omitted:]


def _matrix_mb(
    batch: int | Tensor, n: int | Tensor, m: int | Tensor, theta: Tensor
) -> float | Tensor:
    """Size of the affinity matrices of a batch, in MB."""
    dtype = keras.backend.standardize_dtype(theta.dtype)
    mb = (8 if dtype == "float64" else 4) / 1e6
    for size in (batch, n, m):  # products of sizes exceed int32
        mb = mb * (size if isinstance(size, int) else ops.cast(size, "float32"))
    return mb


def _first_that_holds(
    choices: list[MethodChoice],
    compute: Callable[[SoftmaxMethod], Tensor],
) -> Tensor:
    """Compute the first method whose condition holds; so do later ones then."""
    if all(isinstance(holds, bool) for _, holds in choices):
        return compute(next(method for method, holds in choices if holds))
    # One operation: TensorFlow has no gradient of nested conditions whose
    # branches have gradients of their own.
    index = sum(1 - ops.cast(holds, "int32") for _, holds in choices)
    forms = [functools.partial(compute, method) for method, _ in choices]
    return ops.switch(index, forms)


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
