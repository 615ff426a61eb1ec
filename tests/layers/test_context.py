"""The block with keys and values of a context, compared with loops."""

import keras
import numpy as np
import pytest

from nonlocal_tf.layers import PAIRWISE, NonLocalBlock
from nonlocal_tf.ops import max_pool
from tests import harness
from tests.harness import normal
from tests.layers.blocks import (
    DTYPE,
    TOLERANCE,
    active_block,
    array,
    attend_by_loops,
    dense,
    full_on_jax,
    tensorflow_only,
)

X, BANK = (2, 3, 2, 5, 8), (2, 7, 10)
CONTEXTS = [BANK, (2, 5, 4, 10), (2, 3, 2, 4, 10)]


def built(pairwise, x_shape, context_shape, **options):
    block = active_block(pairwise, **{"bottleneck": 6, **options})
    block.build(x_shape, context_shape)
    harness.randomise(block)
    return block


def block_by_loops(block, x, context, pairwise, mask=None):
    """Compute an example from x `(n, c)` and pooled context `(m, k)`."""
    context = context if mask is None else context[mask]
    theta, phi = x, context
    if block.pairwise.embeds:
        theta, phi = dense(x, block.theta), dense(context, block.phi)
    y = attend_by_loops(block, pairwise, theta, phi, dense(context, block.g))
    return x + dense(y, block.out)


@full_on_jax
@pytest.mark.parametrize("heads", [1, 2])
def test_value_equals_the_double_loop(pairwise, heads):
    channels = 10 if PAIRWISE[pairwise].embeds else X[-1]
    shape = (*BANK[:-1], channels)
    block = built(pairwise, X, shape, heads=heads, dtype=DTYPE)
    x, bank = normal(X, dtype=DTYPE), normal(shape, seed=3, dtype=DTYPE)
    expected = [
        block_by_loops(
            block,
            clip.reshape(-1, 8).astype("float64"),
            features.astype("float64"),
            pairwise,
        )
        for clip, features in zip(x, bank, strict=True)
    ]
    z = array(block(x, context=bank))
    np.testing.assert_allclose(
        z.reshape(2, -1, 8), expected, rtol=TOLERANCE, atol=TOLERANCE
    )


@full_on_jax
@pytest.mark.parametrize("context_shape", CONTEXTS)
@pytest.mark.parametrize("x_shape", [X, (2, 4, 8)])
def test_context_of_any_rank_is_pooled_on_its_own_axes(x_shape, context_shape):
    x, context = normal(x_shape), normal(context_shape, seed=3)
    block = built("dot_product", x_shape, context_shape, subsample=2)
    pool = {3: (2,), 4: (2, 2), 5: (1, 2, 2)}[len(context_shape)]
    assert block.pool_size == pool
    pooled = array(max_pool(context, pool)).reshape(2, -1, 10)
    expected = [
        block_by_loops(
            block, *(a.astype("float64") for a in rows), "dot_product"
        )
        for rows in zip(x.reshape(2, -1, 8), pooled, strict=True)
    ]
    z = array(block(x, context=context)).reshape(2, -1, 8)
    np.testing.assert_allclose(z, expected, rtol=2e-5, atol=2e-5)


def test_context_of_x_itself_is_self_attention():
    x = normal(X)
    block = built("embedded_gaussian", X, X, subsample=2)
    own = active_block("embedded_gaussian", bottleneck=6, subsample=2)
    own.build(X)
    own.set_weights(block.get_weights())
    np.testing.assert_allclose(
        array(block(x, context=x)), array(own(x)), rtol=1e-6, atol=1e-6
    )


@full_on_jax
def test_masked_context_never_matters():
    x, bank = normal(X), normal(BANK, seed=3)
    mask = np.arange(7) < np.array([[4], [6]])
    block = built("embedded_gaussian", X, BANK)
    z = array(block(x, context=bank, context_mask=mask))
    expected = [
        block_by_loops(
            block,
            clip.reshape(-1, 8).astype("float64"),
            features.astype("float64"),
            "embedded_gaussian",
            counts,
        )
        for clip, features, counts in zip(x, bank, mask, strict=True)
    ]
    np.testing.assert_allclose(
        z.reshape(2, -1, 8), expected, rtol=2e-5, atol=2e-5
    )
    bank[~mask] = np.nan
    other = array(block(x, context=bank, context_mask=mask))
    np.testing.assert_array_equal(other, z)


@full_on_jax
def test_masks_of_keras_reach_x_and_context():
    x, bank = normal((2, 5, 8)), normal(BANK, seed=3)
    x[0, 3:], bank[1, 2:] = 0.0, 0.0
    block = built("embedded_gaussian", x.shape, BANK)
    masking = keras.layers.Masking()
    z = array(block(masking(x), context=masking(bank)))
    expected = block(
        x,
        context=bank,
        mask=(x != 0).any(-1),
        context_mask=(bank != 0).any(-1),
    )
    np.testing.assert_array_equal(z, array(expected))
    np.testing.assert_array_equal(z[0, 3:], 0.0)


@full_on_jax
@pytest.mark.parametrize("heads", [(), (3,)])
def test_affinity_has_the_positions_of_the_context(heads):
    x, bank = normal(X), normal(BANK, seed=3)
    block = built("embedded_gaussian", X, BANK, heads=(*heads, 1)[0])
    weights = array(block.affinity(x, context=bank))
    assert weights.shape == (2, *heads, 30, 7)
    np.testing.assert_allclose(weights.sum(-1), 1.0, rtol=1e-5)
    rows = array(block(x, bank, return_affinity=True, queries=[29, 4])[1])
    np.testing.assert_allclose(
        rows, weights[..., [29, 4], :], rtol=1e-5, atol=1e-5
    )
    inputs = keras.Input(X[1:]), keras.Input(BANK[1:])
    symbolic = block(*inputs, return_affinity=True)[1]
    assert symbolic.shape == (None, *weights.shape[1:])


@full_on_jax
@pytest.mark.parametrize("position", ["sine", "learned"])
def test_context_has_positions_of_its_own(position):
    """Equal keys have different weights, by their place in the context."""
    x = normal(X)
    block = built("embedded_gaussian", X, BANK, position=position)
    weights = array(block.affinity(x, context=np.ones(BANK, "float32")))
    assert np.ptp(weights, axis=-1).min() > 1e-3


def model_of_unknown_sizes(**options):
    x = keras.Input((None, None, None, 8), name="x")
    bank = keras.Input((None, 10), name="bank")
    block = NonLocalBlock(name="block", gamma_init=1.0, **options)
    model = keras.Model([x, bank], block(x, context=bank))
    harness.randomise(model)
    return model


@full_on_jax
def test_model_with_a_context_is_saved_and_folded(tmp_path):
    model = model_of_unknown_sizes(heads=2, position="sine")
    inputs = [normal(X), normal(BANK, seed=3)]
    harness.check_saving(model, inputs, tmp_path)
    folded = model.get_layer("block").fold()
    np.testing.assert_allclose(
        array(folded(inputs[0], context=inputs[1])),
        array(model(inputs)),
        rtol=1e-5,
        atol=1e-5,
    )
    model.save_weights(tmp_path / "model.weights.h5")
    other = model_of_unknown_sizes(heads=2, position="sine")
    other.set_weights([0 * w for w in other.get_weights()])
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(array(other(inputs)), array(model(inputs)))


@tensorflow_only
def test_saved_model_and_xla_with_a_context(tmp_path):
    import tensorflow as tf

    model = model_of_unknown_sizes(heads=2, position="sine")
    inputs = [normal(X), normal(BANK, seed=3)]
    expected = array(model(inputs))
    model.export(tmp_path / "saved", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "saved")
    compiled = tf.function(model, jit_compile=True)
    for z in (loaded.serve(inputs), compiled(inputs)):
        np.testing.assert_allclose(array(z), expected, rtol=1e-5, atol=1e-5)


@tensorflow_only
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(policy):
    x, bank = normal(X), normal(BANK, seed=3)
    block = built("embedded_gaussian", X, BANK)
    half = built("embedded_gaussian", X, BANK, dtype=policy)
    z, expected = array(block(x, bank)), half(x, bank)
    assert keras.backend.standardize_dtype(expected.dtype) in policy
    bits = 8 if "bfloat16" in policy else 11
    np.testing.assert_allclose(
        z,
        array(keras.ops.cast(expected, "float32")),
        rtol=0,
        atol=8 * 2.0**-bits * np.abs(z).max(),
    )


@pytest.mark.parametrize(
    ("options", "context_shape", "message"),
    [
        ({"axes": "time"}, BANK, "attend to all of a context"),
        ({"temporal_group_size": 3}, BANK, "attend to all of a context"),
        ({"causal": True}, BANK, "attend to all of a context"),
        ({"pairwise": "gaussian"}, BANK, "as many channels as the input"),
        ({"tie_theta_phi_init": True}, BANK, "as many channels as the input"),
        ({}, (2, 7, None), "Expected a context"),
        ({"subsample": 8}, BANK, "and the size of `subsample`"),
        ({"subsample": (1, 2, 2)}, BANK, "each of the 1 axes"),
    ],
)
def test_contexts_that_do_not_fit_are_errors(options, context_shape, message):
    with pytest.raises(ValueError, match=message):
        NonLocalBlock(**options).build(X, context_shape)


def test_context_in_one_call_and_not_in_another_is_an_error():
    x, bank = normal(X), normal(BANK)
    with_context, without = NonLocalBlock(), NonLocalBlock()
    with_context.build(X, BANK)
    without.build(X)
    with pytest.raises(ValueError, match="Expected a context"):
        with_context(x)
    with pytest.raises(ValueError, match="Expected no context"):
        without(x, context=bank)
    with pytest.raises(ValueError, match="goes with `context`"):
        without(x, context_mask=np.ones((2, 7), bool))


def test_a_context_for_other_examples_is_an_error():
    block = built("dot_product", X, BANK)
    with pytest.raises(ValueError, match=r"\(3, 7, 10\)"):
        block(normal(X), context=normal((3, *BANK[1:])))
