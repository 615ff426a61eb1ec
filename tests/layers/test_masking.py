"""Masks of the block: values by loops, and Keras' masking."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nonlocal_tf.layers import NonLocalBlock, Pairwise, masking
from tests import harness
from tests.harness import normal
from tests.layers.blocks import (
    CLIPS,
    MASKABLE,
    active_block,
    array,
    full_on_jax,
    tensorflow_only,
)
from tests.layers.layout_loops import clip_by_loops

FUNCTION = "embedded_gaussian"
OPTIONS = {
    "global": {},
    "pooled": {"subsample": (2, 2, 1)},
    "pooled after": {"subsample": 2, "pool_position": "after"},
    "space": {"axes": "space", "subsample": 2},
    "time": {"axes": "time", "causal": True},
    "groups": {"temporal_group_size": 2, "subsample": (2, 2, 1)},
    "heads": {"heads": 3, "subsample": 2, "causal": True},
}
CASES = [
    *((FUNCTION, variant) for variant in OPTIONS),
    *((f, "heads") for f in sorted(set(MASKABLE) - {FUNCTION})),
]
MASK = np.random.default_rng(0).random(CLIPS[:-1]) < 0.6
MASK[1, 0] = False  # a frame, and a group of a causal block
WORDS = np.array([[1, 4, 2, 0, 0], [3, 1, 2, 5, 0]])


def randomised_block(pairwise=FUNCTION, shape=CLIPS, **options):
    block = active_block(pairwise, **options)
    block.build(shape)
    harness.randomise(block)
    return block


@full_on_jax
@pytest.mark.parametrize(("pairwise", "variant"), CASES)
def test_value_equals_the_loops(pairwise, variant):
    block = randomised_block(pairwise, **OPTIONS[variant])
    x = normal(CLIPS)
    expected = [
        clip_by_loops(block, clip, pairwise, OPTIONS[variant], mask)
        for clip, mask in zip(x.astype("float64"), MASK, strict=True)
    ]
    # 24 bits, with exponentials of logits up to about 10.
    np.testing.assert_allclose(
        array(block(x, mask=MASK)), expected, rtol=2e-5, atol=2e-5
    )


@full_on_jax
@pytest.mark.parametrize(("pairwise", "variant"), CASES)
def test_affinity(pairwise, variant):
    block = randomised_block(pairwise, **OPTIONS[variant])
    x = normal(CLIPS)
    z, weights = block(x, mask=MASK, return_affinity=True)
    np.testing.assert_array_equal(array(z), array(block(x, mask=MASK)))
    rows = array(block.affinity(x, queries=[59, 4, 31], mask=MASK))
    weights = array(weights)
    np.testing.assert_allclose(
        rows, weights[..., [59, 4, 31], :], rtol=1e-5, atol=1e-5
    )
    if variant in ("global", "time"):  # keys of a clip's positions
        flat = MASK.reshape(2, 1, 60) & MASK.reshape(2, 60, 1)
        if variant == "global":
            np.testing.assert_array_equal(weights != 0, flat)
            sums = MASK.reshape(2, 60).astype(float)
            np.testing.assert_allclose(weights.sum(-1), sums, rtol=1e-5)
        else:
            assert (weights[~MASK.reshape(2, 60)] == 0).all()


@full_on_jax
def test_masks_of_every_accepted_shape_are_equal():
    block, x = randomised_block(), normal(CLIPS)
    frames = np.array([[True, True, False, False], [True, True, True, False]])
    full = np.broadcast_to(frames[:, :, None, None], CLIPS[:-1])
    expected = array(block(x, mask=full))
    flat = full.reshape(2, 60)
    for mask in (frames, flat, full.astype("int32"), flat.tolist()):
        np.testing.assert_array_equal(array(block(x, mask=mask)), expected)


@full_on_jax
def test_affinity_of_unknown_sizes_and_a_symbolic_mask():
    block = NonLocalBlock(subsample=2, causal=True)
    inputs = keras.Input((None, None, None, 6))
    mask = keras.Input((None,), dtype="bool")
    outputs = block(inputs, mask=mask, return_affinity=True)
    model = keras.Model([inputs, mask], outputs)
    x, mask = normal(CLIPS), MASK.reshape(2, 60)
    expected = block(x, mask=mask, return_affinity=True)
    for y, e in zip(model([x, mask]), expected, strict=True):
        np.testing.assert_allclose(array(y), array(e), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "shape", [(2, 59), (3, 60), (2, 4, 5), (2, 4, 5, 3, 6), (2, 5), (60,)]
)
def test_mask_of_another_shape_is_an_error(shape):
    with pytest.raises(ValueError, match="Expected `mask` of shape"):
        NonLocalBlock()(normal(CLIPS), mask=np.ones(shape, bool))
    with pytest.raises(ValueError, match="Expected `mask` of shape"):
        NonLocalBlock()(
            keras.Input(batch_shape=CLIPS),
            mask=keras.Input(batch_shape=shape, dtype="bool"),
        )


@pytest.mark.parametrize(
    "mask",
    [
        [[True], [True, False]],
        [[None] * 60] * 2,
        "mask",
        {"a": 1},
        # As added to logits, where zeros count.
        np.where(np.arange(60) < 50, [[0.0], [0.0]], -np.inf),
    ],
)
def test_mask_of_no_booleans_is_an_error(mask):
    with pytest.raises(ValueError, match="Expected `mask` of booleans"):
        NonLocalBlock()(normal(CLIPS), mask=mask)
    with pytest.raises(ValueError, match="Expected `mask` of booleans"):
        NonLocalBlock().affinity(normal(CLIPS), mask=mask)


def test_mask_of_nested_lists_in_a_functional_model():
    inputs, mask = keras.Input(batch_shape=(2, 5, 6)), [[True] * 4 + [False]]
    model = keras.Model(inputs, NonLocalBlock()(inputs, mask=mask * 2))
    x = normal((2, 5, 6))
    np.testing.assert_array_equal(array(model(x)), x)  # of a new block


def test_masked_output_is_the_input():
    x = normal(CLIPS)
    z = array(randomised_block()(x, mask=MASK))
    np.testing.assert_array_equal(z[~MASK], x[~MASK])
    assert (z[MASK] != x[MASK]).any(-1).all()


@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_masked_positions_are_left_out_of_batch_statistics(momentum):
    x, block = normal((2, 7, 6)), NonLocalBlock(bn_momentum=momentum)
    mask = np.arange(7) < [[7], [7]]
    longer = np.concatenate([x, 100 + normal((2, 4, 6))], axis=1)
    padded = np.concatenate([mask, np.zeros((2, 4), bool)], axis=1)
    other = NonLocalBlock.from_config(block.get_config())
    for b in (block, other):
        b.build(x.shape)
        harness.randomise(b)
    expected = array(block(x, training=True))
    z = array(other(longer, mask=padded, training=True))
    # Keras adds 1e-7 to the number of positions that count, and the variance
    # is a difference of float32 sums; the masked values are a hundred.
    np.testing.assert_allclose(z[:, :7], expected, rtol=1e-4, atol=1e-4)
    for new, old in zip(other.weights, block.weights, strict=True):
        np.testing.assert_allclose(array(new), array(old), rtol=1e-4, atol=1e-6)


@tensorflow_only
def test_synchronized_statistics_do_not_go_with_a_mask_in_training():
    block, x = NonLocalBlock(bn_synchronized=True), normal((2, 7, 6))
    mask = np.ones((2, 7), bool)
    block(x, mask=mask)
    with pytest.raises(ValueError, match="does not go with a mask"):
        block(x, mask=mask, training=True)


@tensorflow_only
@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    pairwise=st.sampled_from(MASKABLE),
    options=st.sampled_from(
        [
            {},
            {"subsample": 2},
            {"subsample": 2, "pool_position": "after"},
            {"axes": "time", "causal": True},
            {"axes": "space"},
            {"temporal_group_size": 2, "causal": True},
            {"heads": 2},
        ]
    ),
    norm=st.sampled_from(["batch", "affine", "none"]),
    share=st.sampled_from([0.2, 0.8]),
    content=st.sampled_from([np.nan, np.inf, -3e38, 7.0]),
    seed=st.integers(0, 2**16),
)
def test_masked_content_never_matters(
    pairwise, options, norm, share, content, seed
):
    import tensorflow as tf

    shape = (2, 4, 3, 2, 4)
    block = NonLocalBlock(pairwise, norm=norm, **options)
    block.build(shape)
    harness.randomise(block)
    x, dz = normal(shape, seed), normal(shape, seed + 1)
    mask = np.random.default_rng(seed).random(shape[:-1]) < share
    dz[~mask] = 0
    changed = x.copy()
    changed[~mask] = content
    results = []
    for values in (x, changed):
        values = tf.constant(values)
        with tf.GradientTape() as tape:
            tape.watch(values)
            z = block(values, mask=mask, training=True)
        variables = [values, *(w.value for w in block.trainable_weights)]
        gradients = tape.gradient(z, variables, output_gradients=dz)
        results.append([z[mask], *(g.numpy() for g in gradients)])
    for old, new in zip(*results, strict=True):
        np.testing.assert_array_equal(new, old)
    assert (results[1][1][~mask] == 0).all()


def test_padding_of_a_masked_sequence_does_not_move_outputs():
    """Without the mask, it moved them by 0.4 and Keras warned."""
    inputs = keras.Input((None, 6))
    block = active_block(FUNCTION)
    model = keras.Model(inputs, block(keras.layers.Masking()(inputs)))
    x = normal((2, 5, 6))
    padded = np.concatenate([x, np.zeros((2, 4, 6), "float32")], axis=1)
    moved = np.abs(array(block(padded))[:, :5] - array(block(x))).max()
    assert moved > 0.1
    # The same float32 sums, in another order.
    np.testing.assert_allclose(
        array(model(padded))[:, :5], array(model(x)), rtol=1e-5, atol=1e-6
    )


def word_model(**options):
    inputs = keras.Input((None,), dtype="int32")
    y = keras.layers.Embedding(6, 4, mask_zero=True)(inputs)
    y = NonLocalBlock(gamma_init=1.0, name="block", **options)(y)
    y = keras.layers.GlobalAveragePooling1D()(y)
    return keras.Model(inputs, keras.layers.Dense(3)(y))


@full_on_jax
@pytest.mark.parametrize(
    ("policy", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 2e-2)]
)
def test_mask_of_an_embedding_goes_on(policy, tolerance, tmp_path):
    model = word_model(dtype=policy)
    model.compile("sgd", "mse", jit_compile=False)
    model.fit(WORDS, normal((2, 3)), verbose=0)
    more_padding = np.pad(WORDS, ((0, 0), (0, 3)))
    # The same sums in another order, rounded to the policy's 24 or 8 bits.
    np.testing.assert_allclose(
        array(model(more_padding)), array(model(WORDS)), atol=tolerance
    )
    harness.check_saving(model, WORDS, tmp_path)


@tensorflow_only
def test_masked_model_compiled_by_xla():
    model = word_model()
    expected = array(model(WORDS))
    model.compile("sgd", "mse", jit_compile=True)
    np.testing.assert_allclose(
        model.predict(WORDS, verbose=0), expected, rtol=1e-5, atol=1e-6
    )
    model.fit(WORDS, normal((2, 3)), verbose=0)
    assert all(np.isfinite(w).all() for w in model.get_weights())


@pytest.mark.parametrize(
    ("shape", "mask_shape", "goes_on"),
    [
        ((2, 7, 6), (2, 7), True),
        ((2, 5, 3, 6), (2, 5, 3), True),
        ((2, 5, 3, 6), (2, 15), False),
        (CLIPS, (2, 4), True),  # of frames
        (CLIPS, (2, 60), False),
    ],
)
def test_explicit_mask_goes_on_where_other_layers_take_it(
    shape, mask_shape, goes_on
):
    mask = np.ones(mask_shape, bool)
    block = NonLocalBlock()
    previous = block.compute_mask(normal(shape), mask)
    assert (previous is mask) == goes_on


def test_implicit_mask_beside_other_tensors():
    x = normal((2, 5, 6))
    x[:, 3:] = 0
    queries = keras.ops.convert_to_tensor([1, 4])
    y = keras.layers.Masking()(x)
    block = randomised_block(shape=x.shape)
    mask = (x != 0).any(-1)
    expected = block(x, mask=mask, return_affinity=True, queries=queries)
    results = block(y, return_affinity=True, queries=queries)
    for result, e in zip(results, expected, strict=True):
        np.testing.assert_array_equal(array(result), array(e))
    np.testing.assert_array_equal(
        array(block.affinity(y, queries)), array(expected[1])
    )


class MaskOfPairwise(Pairwise):
    """Uniform attention, without masks."""

    def call(self, theta, phi, g):
        return 0.0 * theta[..., :1] + keras.ops.mean(g, 1, keepdims=True)


def test_pairwise_function_without_masks():
    x = normal((2, 7, 6))
    block = NonLocalBlock(MaskOfPairwise())
    block(x)
    with pytest.raises(ValueError, match="does not take `mask`"):
        block(x, mask=np.ones((2, 7), bool))
    with pytest.raises(ValueError, match="does not take `steps`"):
        NonLocalBlock(MaskOfPairwise(), causal=True)


@pytest.mark.parametrize("pool", [(1, 1), (2, 1), (2, 3)])
def test_masked_max_pool(pool):
    x, mask = normal((2, 4, 6, 3)), MASK.reshape(2, 4, 15)[:, :, :6]
    x[~mask] = np.nan
    pooled = array(
        masking.masked_max_pool(masking.zero_masked(x, mask), mask, pool)
    )
    pooled_mask = array(masking.pooled_mask(mask, pool))
    for example, i, j in np.ndindex(pooled.shape[:3]):
        rows = slice(i * pool[0], (i + 1) * pool[0])
        columns = slice(j * pool[1], (j + 1) * pool[1])
        values = x[example, rows, columns][mask[example, rows, columns]]
        assert pooled_mask[example, i, j] == bool(len(values))
        expected = values.max(0) if len(values) else np.zeros(3)
        np.testing.assert_array_equal(pooled[example, i, j], expected)


@pytest.mark.parametrize("pairwise", ["efficient", "global_context"])
def test_functions_that_are_not_causal_take_masks(pairwise):
    block = active_block(pairwise)
    x = normal((2, 5, 6))
    mask = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1]], bool)
    expected = array(block(x, mask=mask))
    for example in range(2):
        kept = x[example : example + 1, mask[example]]
        z = array(block(kept))[0]
        np.testing.assert_allclose(
            expected[example, mask[example]], z, rtol=1e-4, atol=1e-5
        )
    x[~mask] = np.nan
    np.testing.assert_array_equal(
        array(block(x, mask=mask))[mask], expected[mask]
    )
