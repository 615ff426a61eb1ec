"""Causality of the block along time."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nonlocal_tf.layers import NonLocalBlock
from tests import harness
from tests.harness import normal
from tests.layers.blocks import (
    CLIPS,
    MASKABLE,
    active_block,
    array,
    full_on_jax,
)
from tests.layers.layout_loops import clip_by_loops

FUNCTION = "embedded_gaussian"
OPTIONS = {
    "spacetime": {},
    "pooled": {"subsample": 2},
    "pooled after": {"subsample": (1, 2, 1), "pool_position": "after"},
    "time": {"axes": "time"},
    "groups": {"temporal_group_size": 2},
}
CASES = [
    *((FUNCTION, variant) for variant in OPTIONS),
    *((f, "pooled") for f in sorted(set(MASKABLE) - {FUNCTION})),
]


@full_on_jax
@pytest.mark.parametrize(("pairwise", "variant"), CASES)
def test_value_equals_the_loops(pairwise, variant):
    options = {**OPTIONS[variant], "causal": True}
    block = active_block(pairwise, **options)
    block.build(CLIPS)
    harness.randomise(block)
    x = normal(CLIPS)
    expected = [
        clip_by_loops(block, clip.astype("float64"), pairwise, options)
        for clip in x
    ]
    # 24 bits, with exponentials of logits up to about 10.
    np.testing.assert_allclose(array(block(x)), expected, rtol=2e-5, atol=2e-5)


@full_on_jax
@pytest.mark.parametrize(("pairwise", "variant"), CASES)
def test_affinity(pairwise, variant):
    block = active_block(pairwise, causal=True, **OPTIONS[variant])
    x = normal(CLIPS)
    z, weights = block(x, return_affinity=True)
    np.testing.assert_array_equal(array(z), array(block(x)))
    rows = array(block.affinity(x, queries=[59, 4, 31]))
    np.testing.assert_allclose(
        rows, array(weights)[:, [59, 4, 31]], rtol=1e-5, atol=1e-5
    )
    if variant == "spacetime":
        frames = array(weights).reshape(2, 4, 15, 4, 15)
        for frame in range(4):
            assert (frames[:, frame, :, frame + 1 :] == 0).all()
            assert (frames[:, frame, :, : frame + 1] != 0).all()


@full_on_jax
@pytest.mark.parametrize("pairwise", MASKABLE)
def test_causal_block_as_a_layer(pairwise):
    harness.check_layer(
        lambda **options: NonLocalBlock(pairwise, causal=True, **options),
        (2, 3, 5, 2, 6),
    )


def test_saving_and_training_step(tmp_path):
    inputs = keras.Input((7, 6))
    block = NonLocalBlock(causal=True, gamma_init=1.0, name="block")
    model = keras.Model(inputs, keras.layers.Dense(3)(block(inputs)))
    x = normal((2, 7, 6))
    constant = ("out/bias", "g/bias", "phi/bias")
    harness.check_training_step(model, x, constant)
    harness.check_saving(model, x, tmp_path)
    harness.check_saving(block_of(block), x, tmp_path)


def block_of(block):
    inputs = keras.Input((7, 6))
    return keras.Model(inputs, block.fold()(inputs))


def test_folded_block_is_causal():
    block, x = NonLocalBlock(causal=True, gamma_init=1.0), normal((2, 7, 6))
    expected = array(block(x))
    np.testing.assert_allclose(
        array(block.fold()(x)), expected, rtol=1e-5, atol=1e-5
    )


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="compiles for every shape"
)
@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    pairwise=st.sampled_from(MASKABLE),
    options=st.sampled_from(
        [
            {},
            {"subsample": 2},
            {"subsample": 2, "pool_position": "after"},
            {"axes": "time"},
            {"temporal_group_size": 2},
            {"heads": 2},
        ]
    ),
    now=st.integers(0, 2),
    content=st.sampled_from([0.0, 7.0, -3e4]),
    seed=st.integers(0, 2**16),
)
def test_future_never_matters(pairwise, options, now, content, seed):
    shape = (2, 4, 3, 2, 4)
    block = active_block(pairwise, causal=True, **options)
    block.build(shape)
    x = normal(shape, seed)
    changed = x.copy()
    changed[:, now + 1 :] = content
    past = [array(block(clip))[:, : now + 1] for clip in (x, changed)]
    np.testing.assert_array_equal(past[1], past[0])


def test_sequence_is_causal():
    x, block = normal((2, 7, 6)), active_block(FUNCTION, causal=True)
    weights = array(block(x, return_affinity=True)[1])
    expected = np.broadcast_to(np.tri(7, dtype=bool), weights.shape)
    np.testing.assert_array_equal(weights != 0, expected)


def test_stream_in_parts_equals_the_whole():
    """What a frame gives does not change when later ones arrive."""
    x, block = normal(CLIPS), active_block(FUNCTION, causal=True)
    whole = array(block(x))
    for frames in range(1, 4):
        np.testing.assert_allclose(
            array(block(x[:, :frames])),
            whole[:, :frames],
            rtol=1e-5,
            atol=1e-5,
        )


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ({}, (2, 5, 3, 6), "needs an input with a time axis"),
        ({"subsample": 2}, (2, 6, 4), "`subsample` along time"),
        ({"subsample": (2, 1, 1)}, CLIPS, "`subsample` along time"),
    ],
)
def test_inputs_without_a_time_axis_are_errors(options, shape, message):
    with pytest.raises(ValueError, match=message):
        NonLocalBlock(causal=True, **options).build(shape)


def test_causal_within_a_frame_is_an_error():
    with pytest.raises(ValueError, match="attend along time"):
        NonLocalBlock(causal=True, axes="space")


@pytest.mark.parametrize("pairwise", ["efficient", "global_context"])
def test_functions_of_a_softmax_over_all_keys_are_not_causal(pairwise):
    with pytest.raises(ValueError, match="causal=True does not go with"):
        NonLocalBlock(pairwise, causal=True)
