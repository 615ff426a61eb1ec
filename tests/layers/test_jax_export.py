"""SavedModels that Keras exports from JAX."""

import keras
import numpy as np
import pytest

from nonlocal_tf.layers import PAIRWISE
from tests import harness
from tests.harness import normal
from tests.layers.blocks import active_block

pytestmark = [
    pytest.mark.skipif(
        keras.backend.backend() != "jax", reason="JAX has symbols for sizes"
    ),
    # Of Keras' calls of jax2tf.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def exported(folder, input_shape, **options):
    """Return a model with a block, and the SavedModel of it."""
    import tensorflow as tf

    inputs = keras.Input(input_shape)
    block = active_block(**options)
    model = keras.Model(inputs, block(inputs))
    harness.randomise(block)
    model.export(folder, verbose=False)
    return model, tf.saved_model.load(folder)


def check_equal(model, saved, shape):
    x = normal(shape)
    y = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(saved.serve(x), y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pairwise", sorted(PAIRWISE))
def test_block_of_unknown_batch(pairwise, tmp_path, monkeypatch):
    harness.small_chunks(monkeypatch)  # as for 2,048 positions and more
    shape = (8, 9, 4)
    model, saved = exported(tmp_path, shape, pairwise=pairwise, subsample=2)
    check_equal(model, saved, (3, *shape))


def test_block_of_unknown_sizes(tmp_path):
    shape = (None, None, 4)
    model, saved = exported(tmp_path, shape, pairwise="embedded_gaussian")
    check_equal(model, saved, (2, 3, 5, 4))


@pytest.mark.parametrize(
    ("pairwise", "rank"),
    [
        ("embedded_gaussian", 4),
        ("embedded_gaussian", 5),
        pytest.param("concatenation", 4, marks=pytest.mark.slow),
    ],
)
def test_pooled_block_of_unknown_sizes(pairwise, rank, tmp_path):
    shape = (*(None,) * (rank - 2), 6)
    model, saved = exported(
        tmp_path,
        shape,
        pairwise=pairwise,
        position="sine",
        subsample=2,
    )
    check_equal(model, saved, (2, *(4, 5, 7)[: rank - 2], 6))  # a remainder


def test_chunks_of_unknown_sizes_are_an_error(tmp_path):
    chunked = PAIRWISE["gaussian"](method="chunked")
    with pytest.raises(ValueError, match="'chunked' exports unknown numbers"):
        exported(tmp_path, (None, 4), pairwise=chunked)
