"""What the tests of the non-local block share."""

import keras
import pytest

from nonlocal_tf.layers import PAIRWISE, NonLocalBlock

CLIPS = (2, 4, 5, 3, 6)
# A layout knows nothing of the function; JAX, which compiles each operation of
# each shape, checks one of them on all layouts.
ON_LAYOUTS = (
    sorted(PAIRWISE)
    if keras.backend.backend() == "tensorflow"
    else ["embedded_gaussian"]
)
on_layouts = pytest.mark.parametrize("pairwise", ON_LAYOUTS, indirect=True)
tensorflow_only = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="a format of TensorFlow's"
)


def full_on_jax(test):
    """Marks a test of whole networks, which JAX compiles for minutes."""
    is_jax = keras.backend.backend() == "jax"
    return pytest.mark.full(test) if is_jax else test


def active_block(pairwise, **options):
    """A block without normalisation that acts from the start."""
    return NonLocalBlock(
        pairwise, norm="none", out_initializer="he_normal", **options
    )


def array(weight):
    return keras.ops.convert_to_numpy(weight)


def dense(x, layer):
    kernel, bias = (w.astype("float64") for w in layer.get_weights())
    return x @ kernel + bias
