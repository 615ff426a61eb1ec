"""Helpers of the tests of the non-local block."""

import inspect
import types

import keras
import numpy as np
import pytest

from nonlocal_tf.layers import PAIRWISE, NonLocalBlock
from tests import harness
from tests.ops import loops

CLIPS = (2, 4, 5, 3, 6)
array = harness.array
# Of blocks that are compared with loops in float64. JAX has a switch for
# float64; PyTorch takes it, and Keras multiplies matrices in float32 there.
DTYPE, TOLERANCE = {
    "tensorflow": ("float64", 1e-12),
    "jax": ("float32", 2e-5),
    "torch": ("float64", 2e-5),
}[keras.backend.backend()]
tensorflow_only = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="specific to TensorFlow, or independent of the backend",
)
# Names of the pairwise functions that take masks and causality.
MASKABLE = sorted(
    name
    for name, layer in PAIRWISE.items()
    if {"mask", "steps"} <= set(inspect.signature(layer.call).parameters)
)


def full_on_jax(test):
    """Mark a test as full on JAX, which compiles for minutes."""
    is_jax = keras.backend.backend() == "jax"
    return pytest.mark.full(test) if is_jax else test


def active_block(pairwise, **options):
    """Build a block without normalization that is not the identity."""
    return NonLocalBlock(
        pairwise, norm="none", out_initializer="he_normal", **options
    )


def concatenation_f(block, theta, phi):
    """Compute f(i, j) of a block with the concatenation by loops."""
    (w_f,) = block.pairwise.get_weights()
    return loops.concatenation_f(theta, phi, w_f[:, 0].astype("float64"))


def global_context_f(block, theta, phi):
    """Compute f(i, j) of a block with the global context by loops."""
    (w_f,) = block.pairwise.get_weights()
    return loops.global_context_f(theta, phi, w_f[:, 0].astype("float64"))


# f(block, theta, phi) of each pairwise function by loops, before it is
# normalized, and whether it is normalized by its sum or by the number of keys.
PAIRWISE_LOOPS = {
    "gaussian": (lambda block, *rows: loops.gaussian_f(*rows), True),
    "embedded_gaussian": (lambda block, *rows: loops.gaussian_f(*rows), True),
    "dot_product": (lambda block, *rows: loops.dot_product_f(*rows), False),
    "concatenation": (concatenation_f, False),
    "efficient": (lambda block, *rows: loops.efficient_f(*rows), True),
    "global_context": (global_context_f, True),
}


def embed_by_loops(block, x):
    """Return theta and phi of positions `(..., channels)`, in float64."""
    if not block.pairwise.embeds:
        return x, x
    return dense(x, block.theta), dense(x, block.phi)


def attend_by_loops(block, pairwise, theta, phi, g):
    """Compute y of one example with the block's pairwise function."""
    if pairwise not in PAIRWISE_LOOPS:
        raise KeyError(
            f"Expected a definition of {pairwise!r} by loops to compare with. "
            "Add one to PAIRWISE_LOOPS in tests/layers/blocks.py."
        )
    f, sums_to_one = PAIRWISE_LOOPS[pairwise]
    parts = zip(
        *(np.split(np.asarray(x), block.heads, -1) for x in (theta, phi, g)),
        strict=True,
    )
    values = [
        loops.nonlocal_loop(f(one_head(block, i), *rows), values, sums_to_one)
        for i, (*rows, values) in enumerate(parts)
    ]
    return np.concatenate(values, -1)


def one_head(block, head):
    """Return a stand-in for a block with the pairwise weights of one head."""
    weights = [w[:, head : head + 1] for w in block.pairwise.get_weights()]
    return types.SimpleNamespace(
        pairwise=types.SimpleNamespace(get_weights=lambda: weights)
    )


def dense(x, layer):
    kernel, bias = (w.astype("float64") for w in layer.get_weights())
    return x @ kernel + bias
