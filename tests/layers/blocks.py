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
# JAX compiles whole networks piece by piece, for minutes.
full_on_jax = (
    pytest.mark.full
    if keras.backend.backend() == "jax"
    else pytest.mark.usefixtures()
)


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
