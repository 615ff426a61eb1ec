"""Heads and value channels of the block, compared with loops in float64."""

import keras
import numpy as np
import pytest

from nonlocal_tf.layers import NonLocalBlock
from nonlocal_tf.layers.heads import heads_axis, merge_heads, split_heads
from tests import harness
from tests.harness import normal
from tests.layers.blocks import (
    DTYPE,
    TOLERANCE,
    active_block,
    array,
    attend_by_loops,
    dense,
    embed_by_loops,
    full_on_jax,
)

SHAPE = (2, 7, 12)
CLIP = (2, 4, 3, 5, 12)
OPTIONS = {"bottleneck": 6, "value_channels": 9, "heads": 3}
LAYOUTS = [
    {},
    {"axes": "time"},
    {"axes": "space", "subsample": 2},
    {"temporal_group_size": 2, "subsample": (2, 1, 2)},
]


def randomised(pairwise, shape, **options):
    block = active_block(pairwise, **{**OPTIONS, **options})
    block.build(shape)
    harness.randomise(block)
    return block


def test_value_equals_the_loops_over_heads_and_positions(pairwise):
    block = randomised(pairwise, SHAPE, dtype=DTYPE)
    x = normal(SHAPE, dtype=DTYPE)
    expected = []
    for example in x.astype("float64"):
        rows = *embed_by_loops(block, example), dense(example, block.g)
        y = attend_by_loops(block, pairwise, *rows)
        expected.append(example + dense(y, block.out))
    np.testing.assert_allclose(
        array(block(x)), expected, rtol=TOLERANCE, atol=TOLERANCE
    )


@full_on_jax
@pytest.mark.parametrize("options", LAYOUTS)
def test_affinity_has_an_axis_of_heads(options):
    block = randomised("embedded_gaussian", CLIP, **options)
    x = normal(CLIP)
    z, weights = block(x, return_affinity=True)
    assert tuple(weights.shape[:3]) == (2, 3, 60)
    np.testing.assert_allclose(array(weights).sum(-1), 1.0, rtol=1e-5)
    rows = array(block.affinity(x, queries=[59, 4, 31]))
    np.testing.assert_allclose(
        rows, array(weights)[:, :, [59, 4, 31]], rtol=1e-5, atol=1e-5
    )
    symbolic = block(keras.Input(CLIP[1:]), return_affinity=True)[1]
    assert symbolic.shape == (None, *weights.shape[1:])


@full_on_jax
@pytest.mark.parametrize("options", LAYOUTS)
def test_one_head_has_a_part_of_the_channels(options):
    """With W_z's rows of other heads zero, a head is a block of its own."""
    block = randomised("embedded_gaussian", CLIP, **options)
    single = active_block(
        "embedded_gaussian", bottleneck=2, value_channels=3, **options
    )
    single.build(CLIP)
    x, head = normal(CLIP), 1
    for name, width in (("theta", 2), ("phi", 2), ("g", 3)):
        part = slice(head * width, (head + 1) * width)
        weights = getattr(block, name).get_weights()
        getattr(single, name).set_weights([w[..., part] for w in weights])
    kernel, bias = block.out.get_weights()
    single.out.set_weights([kernel[3:6], bias])
    kernel[:3] = kernel[6:] = 0.0
    block.out.set_weights([kernel, bias])
    # The same float32 products, in other shapes.
    np.testing.assert_allclose(
        array(block(x)), array(single(x)), rtol=1e-5, atol=1e-5
    )


@full_on_jax
def test_layer_with_heads(pairwise):
    harness.check_layer(
        lambda **options: NonLocalBlock(pairwise, **OPTIONS, **options), CLIP
    )


def test_rsqrt_scale_takes_the_channels_of_a_head():
    x = normal(SHAPE)
    scaled = randomised("embedded_gaussian", SHAPE, scale="rsqrt")
    number = randomised("embedded_gaussian", SHAPE, scale=2**-0.5)
    np.testing.assert_allclose(
        array(scaled(x)), array(number(x)), rtol=1e-6, atol=1e-6
    )


def test_value_channels_are_those_of_g():
    block = NonLocalBlock(bottleneck=2, value_channels=5)
    block.build((None, None, 6))
    assert block.theta.kernel.shape == block.phi.kernel.shape == (6, 2)
    assert block.g.kernel.shape == (6, 5)
    assert block.out.kernel.shape == (5, 6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 2, "bottleneck": 3}, "divide the channels of theta"),
        ({"heads": 2, "value_channels": 5}, "divide the channels of g"),
        ({"heads": 5, "pairwise": "gaussian"}, "divide the channels of theta"),
    ],
)
def test_heads_that_do_not_divide_are_an_error(options, message):
    with pytest.raises(ValueError, match=message):
        NonLocalBlock(**options).build((None, None, 12))


@pytest.mark.parametrize(
    "options", [{"heads": 0}, {"heads": 1.5}, {"value_channels": 0}]
)
def test_invalid_numbers_are_errors(options):
    with pytest.raises(ValueError, match=f"Expected `{next(iter(options))}`"):
        NonLocalBlock(**options)


def test_split_and_merge_are_inverse():
    x = normal((2, 5, 12))
    parts = split_heads(x, 3)
    np.testing.assert_array_equal(array(parts)[4], x[1, :, 4:8])
    np.testing.assert_array_equal(array(merge_heads(parts, 3)), x)
    np.testing.assert_array_equal(array(heads_axis(x, 3))[1, 2], x[1, :, 8:])
