"""Helpers of the tests of the non-local block."""

import keras
import pytest

from nonlocal_tf.layers import NonLocalBlock

CLIPS = (2, 4, 5, 3, 6)
tensorflow_only = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="specific to TensorFlow, or independent of the backend",
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


def array(weight):
    return keras.ops.convert_to_numpy(weight)


def dense(x, layer):
    kernel, bias = (w.astype("float64") for w in layer.get_weights())
    return x @ kernel + bias
