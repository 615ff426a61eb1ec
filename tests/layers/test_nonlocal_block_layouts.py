"""Attention layouts of the block: values, unknown sizes and affinities."""

import keras
import numpy as np
import pytest

from nonlocal_tf.layers import PAIRWISE, NonLocalBlock
from tests import harness
from tests.harness import normal
from tests.layers.blocks import CLIPS, active_block, array
from tests.layers.layout_loops import clip_by_loops

VARIANTS = {
    "global": {},
    "pooled before": {"subsample": 2},
    "pooled after": {"subsample": 2, "pool_position": "after"},
    "pooled in time": {"subsample": (3, 1, 2)},
    "space": {"axes": "space"},
    "space, pooled": {"axes": "space", "subsample": 2},
    "time": {"axes": "time"},
    "time, pooled": {"axes": "time", "subsample": (3, 1, 1)},
    "groups": {"temporal_group_size": 2},
    "groups, pooled": {"temporal_group_size": 2, "subsample": (2, 2, 1)},
}
FUNCTION = "embedded_gaussian"
# Layouts do not depend on the pairwise function: all with one of them, and one
# with the others. JAX compiles for every shape: there, a few of them.
if keras.backend.backend() == "tensorflow":
    TESTED = sorted(VARIANTS)
    CASES = [
        *((FUNCTION, variant) for variant in TESTED),
        *((f, "groups, pooled") for f in sorted(set(PAIRWISE) - {FUNCTION})),
    ]
else:
    TESTED = ["groups, pooled", "pooled after", "time, pooled"]
    CASES = [(FUNCTION, variant) for variant in TESTED]
on_variants = pytest.mark.parametrize("variant", TESTED)


@pytest.mark.parametrize(("pairwise", "variant"), CASES)
def test_value_equals_the_loops(pairwise, variant):
    options = VARIANTS[variant]
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


@on_variants
def test_unknown_sizes(variant):
    block = active_block("embedded_gaussian", **VARIANTS[variant])
    inputs = keras.Input((None, None, None, 6))
    model = keras.Model(inputs, block(inputs))
    harness.randomise(block)
    static = active_block("embedded_gaussian", **VARIANTS[variant])
    static.build((3, 12, 5, 3, 6))
    static.set_weights(block.get_weights())
    x = normal((3, 12, 5, 3, 6))
    # The same float32 operations, in another order.
    np.testing.assert_allclose(
        array(model(x)), array(static(x)), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(("pairwise", "variant"), CASES)
def test_affinity(pairwise, variant):
    x = normal(CLIPS)
    block = active_block(pairwise, **VARIANTS[variant])
    z, weights = block(x, return_affinity=True)
    np.testing.assert_array_equal(array(z), array(block(x)))
    assert tuple(weights.shape)[:2] == (2, 60)
    rows = array(block.affinity(x, queries=[59, 4, 31]))
    np.testing.assert_allclose(
        rows, array(weights)[:, [59, 4, 31]], rtol=1e-5, atol=1e-5
    )
    if pairwise.endswith("gaussian"):
        np.testing.assert_allclose(array(weights).sum(-1), 1.0, rtol=1e-5)


@on_variants
@pytest.mark.parametrize("queries", [None, [3, 7]])
def test_symbolic_affinity_has_the_shape_of_the_weights(variant, queries):
    x, block = normal(CLIPS), NonLocalBlock(**VARIANTS[variant])
    z, weights = block(
        keras.Input(CLIPS[1:]), return_affinity=True, queries=queries
    )
    assert z.shape == (None, *CLIPS[1:])
    expected = block.affinity(x, queries)
    assert tuple(weights.shape) == (None, *expected.shape[1:])
    assert keras.backend.standardize_dtype(expected.dtype) == weights.dtype


def test_affinity_of_a_sequence():
    x = normal((2, 7, 6))
    block = NonLocalBlock()  # not built
    weights = array(block.affinity(x))
    assert weights.shape == (2, 7, 7)
    rows = array(block.affinity(x, queries=[6, 2]))
    np.testing.assert_allclose(rows, weights[:, [6, 2]], rtol=1e-5, atol=1e-5)


def test_queries_are_in_the_order_time_height_width():
    x = np.zeros((1, 2, 3, 5, 4), "float32")
    x[0, 1, 2, 3] = 9.0  # flat index 1 * 15 + 2 * 5 + 3 = 28
    weights = array(NonLocalBlock("gaussian").affinity(x, queries=[28]))
    assert weights[0, 0].argmax() == 28


def test_negative_queries_count_from_the_end():
    x = normal(CLIPS)
    block = NonLocalBlock(axes="time")
    np.testing.assert_array_equal(
        array(block.affinity(x, [-1, -60])), array(block.affinity(x, [59, 0]))
    )


@pytest.mark.parametrize(
    "queries", [3, [[1, 2]], [2.5], [60], [-61], [True, False]]
)
def test_invalid_queries_are_errors(queries):
    block = NonLocalBlock()
    block.build(CLIPS)
    for argument in (queries, np.asarray(queries)):
        with pytest.raises(ValueError, match="Expected `queries`"):
            block.affinity(normal(CLIPS), argument)


@pytest.mark.parametrize("x", [normal((2, 7, 6)), keras.Input((7, 6))])
def test_queries_without_the_affinity_are_an_error(x):
    with pytest.raises(ValueError, match="return_affinity=True"):
        NonLocalBlock()(x, queries=[3])


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ({"subsample": (2, 2)}, (2, 4, 5, 3, 6), "each of the 3 axes"),
        ({"subsample": 4}, (2, 4, 5, 3, 6), "and the size of `subsample`"),
        ({"subsample": (2, 2, 2), "axes": "space"}, CLIPS, "pool only axes"),
        ({"subsample": 2, "axes": "time"}, CLIPS, "pool only axes"),
        ({"axes": "time"}, (2, 5, 3, 6), "are for clips"),
        ({"temporal_group_size": 3}, CLIPS, "divide the frames"),
        (
            {"temporal_group_size": 2, "subsample": (4, 1, 1)},
            CLIPS,
            "divide `temporal_group_size`",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_errors(options, shape, message):
    with pytest.raises(ValueError, match=message):
        NonLocalBlock(**options).build(shape)


@pytest.mark.parametrize("shape", [(2, 4, 1, 3, 6), (2, 5, 3, 6)])
def test_inputs_that_do_not_fit_a_built_block_are_errors(shape):
    block = NonLocalBlock(subsample=2)
    block.build(CLIPS)
    with pytest.raises(ValueError, match="Received: "):
        block(normal(shape))


def test_groups_that_do_not_divide_an_unknown_number_of_frames():
    inputs = keras.Input((None, 2, 3, 6))
    model = keras.Model(inputs, NonLocalBlock(temporal_group_size=4)(inputs))
    # Two clips of six frames are twelve frames, three groups of four.
    with pytest.raises(Exception, match="(?i)reshape|divide"):
        model(normal((2, 6, 2, 3, 6)))


@pytest.mark.parametrize(
    ("rank", "pool"), [(3, (3,)), (4, (3, 3)), (5, (1, 3, 3))]
)
def test_integer_subsample_pools_space(rank, pool):
    block = NonLocalBlock(subsample=3)
    block.build((2, 7, 6, 5)[: rank - 1] + (6,))
    assert block.pool_size == pool


@pytest.mark.parametrize("pairwise", ["embedded_gaussian", "gaussian"])
def test_affinity_inside_another_layer_of_unknown_sizes(pairwise):
    class Outer(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.block = NonLocalBlock(pairwise)

        def build(self, shape):
            self.block.build(shape)

        def call(self, x):
            return self.block(x, return_affinity=True, queries=[1])[1]

    inputs = keras.Input((None, None, 8))
    assert Outer()(inputs).shape[1] == 1
