"""Models with masks and causal blocks: folded, exported, drawn."""

import keras
import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf.attention import block_attention
from tests import harness
from tests.harness import normal
from tests.layers.blocks import tensorflow_only

SHAPE = (2, 4, 5, 3, 6)
MASK = np.random.default_rng(0).random(SHAPE[:-1]) < 0.6


def padded():
    x = normal(SHAPE)
    x[~MASK] = 0
    return x


def implicit_model(**options):
    """Build a model whose block takes the mask of a layer before it."""
    inputs = keras.Input(SHAPE[1:])
    y = keras.layers.Masking()(inputs)
    y = nl.NonLocalBlock(gamma_init=1.0, name="block", **options)(y)
    model = keras.Model(inputs, keras.layers.ReLU(name="relu")(y))
    harness.randomise(model)
    return model


def explicit_model(**options):
    """Build a model whose second input is the mask of its block."""
    inputs = keras.Input(SHAPE[1:])
    mask = keras.Input(SHAPE[1:-1], dtype="bool")
    block = nl.NonLocalBlock(gamma_init=1.0, name="block", **options)
    model = keras.Model([inputs, mask], block(inputs, mask=mask))
    harness.randomise(model)
    return model


@pytest.mark.parametrize("options", [{}, {"causal": True, "subsample": 2}])
@pytest.mark.parametrize(
    ("make", "inputs"),
    [(implicit_model, padded()), (explicit_model, [normal(SHAPE), MASK])],
)
def test_folded_model_keeps_masks_and_causality(
    make, inputs, options, tmp_path
):
    model = make(**options)
    folded = nl.fold(model)
    assert folded.get_layer("block").norm == "none"
    # The same sums, scaled before instead of after.
    np.testing.assert_allclose(
        *(keras.ops.convert_to_numpy(m(inputs)) for m in (folded, model)),
        rtol=1e-5,
        atol=1e-5,
    )
    harness.check_saving(folded, inputs, tmp_path)


@pytest.mark.parametrize("options", [{}, {"causal": True}])
def test_masked_cells_have_no_attention(options):
    model, clip = implicit_model(**options), padded()[0]
    query = tuple(int(i) for i in np.argwhere(MASK[0])[-1])
    attention = nl.attention_map(model, clip, query=query)
    np.testing.assert_array_equal(attention.weights[~MASK[0]], 0)
    np.testing.assert_allclose(attention.weights.sum(), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "queries"), [({}, 60), ({"causal": True}, 10)]
)
def test_attention_takes_memory_of_few_queries(options, queries, monkeypatch):
    model = implicit_model(**options)
    maps = block_attention.BlockAttention(model, padded()[0])
    expected = maps.most_concentrated()
    # For 10 queries with keys of their own: 60 cells of 6 channels each.
    monkeypatch.setattr(block_attention, "CHUNK_ELEMENTS", 60 * 6 * 10)
    block, counts = model.get_layer("block"), []
    affinity = block.affinity

    def counted(x, queries, **options):
        counts.append(len(queries))
        return affinity(x, queries, **options)

    monkeypatch.setattr(block, "affinity", counted)
    assert maps.most_concentrated().query == expected.query
    assert max(counts) == queries


@tensorflow_only
@pytest.mark.parametrize("options", [{}, {"causal": True, "subsample": 2}])
def test_exported_model_keeps_masks_and_causality(options, tmp_path):
    import tensorflow as tf

    model, x = implicit_model(**options), padded()
    model.export(tmp_path / "model", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "model")
    # The same operations, some of them fused.
    np.testing.assert_allclose(loaded.serve(x), model(x), rtol=1e-5, atol=1e-5)
