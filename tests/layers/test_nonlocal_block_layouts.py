"""The block: who looks at whom, and the affinities that show it."""

import keras
import numpy as np
import pytest

from nonlocal_tf.layers import NonLocalBlock
from tests import harness
from tests.harness import normal
from tests.layers.blocks import CLIPS, active_block, array, dense, on_layouts
from tests.ops import loops

# Who looks at whom: options, and for clips of (t, h, w) = (4, 5, 3) the keys
# of a query by hand (`sees`).
VARIANTS = {
    "all": {},
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


def pooled_by_hand(x, pool):
    """{(t, h, w): maxima} of the whole boxes of a clip `(t, h, w, c)`."""
    boxes = [size // by for size, by in zip(x.shape, pool, strict=False)]
    return {
        at: np.max(
            x[
                tuple(
                    slice(i * p, i * p + p)
                    for i, p in zip(at, pool, strict=True)
                )
            ],
            axis=(0, 1, 2),
        )
        for at in np.ndindex(*boxes)
    }


def sees(query, key, options, pool):
    """Whether the query's cell looks at the pooled cell of the key."""
    if options.get("axes") == "space":
        return query[0] == key[0]
    if options.get("axes") == "time":
        return query[1:] == key[1:]
    frames = options.get("temporal_group_size", query[0] + 10**6)
    return query[0] // frames == key[0] * pool[0] // frames


def variant_by_hand(block, x, pairwise, options):
    """The block on one clip `(t, h, w, c)`, query by query, in float64."""
    pool = options.get("subsample", 1)
    pool = (1, pool, pool) if isinstance(pool, int) else pool
    before = options.get("pool_position") != "after"
    embeds = pairwise != "gaussian"
    embedded = {
        "phi": dense(x, block.phi) if embeds else x,
        "g": dense(x, block.g),
    }
    if before:
        pooled = pooled_by_hand(x, pool)
        phi = {
            at: dense(v, block.phi) if embeds else v for at, v in pooled.items()
        }
        g = {at: dense(v, block.g) for at, v in pooled.items()}
    else:
        phi = pooled_by_hand(embedded["phi"], pool)
        g = pooled_by_hand(embedded["g"], pool)
    z = x.copy()
    for query in np.ndindex(*x.shape[:3]):
        keys = [key for key in phi if sees(query, key, options, pool)]
        theta = dense(x[query], block.theta) if embeds else x[query]
        rows = [theta], [phi[key] for key in keys]
        if pairwise == "dot_product":
            f = loops.dot_product_f(*rows)
        elif pairwise == "concatenation":
            w_f = block.pairwise.get_weights()[0][:, 0].astype("float64")
            f = loops.concatenation_f(*rows, w_f)
        else:
            f = loops.gaussian_f(*rows)
        values = np.array([g[key] for key in keys])
        y = loops.nonlocal_loop(f, values, pairwise.endswith("gaussian"))[0]
        z[query] += dense(y, block.out)
    return z


@on_layouts
@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_who_looks_at_whom(pairwise, variant):
    options = VARIANTS[variant]
    block = active_block(pairwise, **options)
    block.build(CLIPS)
    harness.randomise(block)
    x = normal(CLIPS)
    expected = [
        variant_by_hand(block, clip.astype("float64"), pairwise, options)
        for clip in x
    ]
    # 24 bits, with exponentials of logits up to about 10.
    np.testing.assert_allclose(array(block(x)), expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_harness_of_variants(variant):
    harness.check_layer(
        lambda **options: NonLocalBlock(**VARIANTS[variant], **options),
        (2, 6, 5, 3, 6),
        other_time=12,
    )


@on_layouts
@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_affinity_of_variants(pairwise, variant):
    x = normal(CLIPS)
    block = active_block(pairwise, **VARIANTS[variant])
    z, every = block(x, return_affinity=True)
    np.testing.assert_array_equal(array(z), array(block(x)))
    assert tuple(every.shape)[:2] == (2, 60)
    _, some = block(x, return_affinity=True, queries=[59, 4, 31])
    np.testing.assert_allclose(
        array(some), array(every)[:, [59, 4, 31]], rtol=1e-5, atol=1e-7
    )
    if pairwise.endswith("gaussian"):
        np.testing.assert_allclose(array(every).sum(-1), 1.0, rtol=1e-5)


def test_affinity_of_chosen_queries_is_those_rows(pairwise):
    x = normal((2, 3, 5, 2, 6))
    block = NonLocalBlock(pairwise)
    block(x)
    every = keras.ops.convert_to_numpy(block.affinity(x))
    assert every.shape == (2, 30, 30)
    some = keras.ops.convert_to_numpy(block.affinity(x, queries=[29, 4]))
    np.testing.assert_allclose(some, every[:, [29, 4]], rtol=1e-5, atol=1e-7)


def test_positions_are_counted_in_the_order_time_height_width():
    x = np.zeros((1, 2, 3, 5, 4), "float32")
    x[0, 1, 2, 3] = 9.0  # flat index 1 * 15 + 2 * 5 + 3 = 28
    block = NonLocalBlock("gaussian")
    block(x)
    weights = keras.ops.convert_to_numpy(block.affinity(x, queries=[28]))
    assert weights[0, 0].argmax() == 28


def test_affinity_builds_a_new_block():
    weights = NonLocalBlock().affinity(normal((2, 7, 6)))
    assert tuple(weights.shape) == (2, 7, 7)


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ({"subsample": (2, 2)}, (2, 4, 5, 3, 6), "each of the 3 axes"),
        ({"subsample": 4}, (2, 4, 5, 3, 6), "at least the size"),
        (
            {"subsample": (2, 2, 2), "axes": "space"},
            CLIPS,
            "pool only axes",
        ),
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
def test_inputs_that_do_not_fit_are_refused(options, shape, message):
    with pytest.raises(ValueError, match=message):
        NonLocalBlock(**options).build(shape)


@pytest.mark.parametrize(
    ("rank", "pool"), [(3, (3,)), (4, (3, 3)), (5, (1, 3, 3))]
)
def test_an_integer_pools_space_alone(rank, pool):
    x = normal((2, 7, 6, 5, 4)[: rank - 1] + (6,))
    keras.utils.set_random_seed(3)
    by_integer = active_block("dot_product", subsample=3)(x)
    keras.utils.set_random_seed(3)
    by_tuple = active_block("dot_product", subsample=pool)(x)
    np.testing.assert_array_equal(array(by_integer), array(by_tuple))


def test_frames_that_groups_do_not_divide_are_an_error_when_unknown():
    inputs = keras.Input((None, 2, 3, 6))
    model = keras.Model(inputs, NonLocalBlock(temporal_group_size=4)(inputs))
    # Two clips of six frames are twelve frames, three groups of four.
    with pytest.raises(Exception, match="(?i)reshape|divide"):
        model(normal((2, 6, 2, 3, 6)))


@pytest.mark.parametrize("variant", sorted(VARIANTS))
@pytest.mark.parametrize("queries", [None, [3, 7]])
def test_symbolic_affinity_has_the_shape_of_the_weights(variant, queries):
    inputs = keras.Input(CLIPS[1:])
    block = NonLocalBlock(**VARIANTS[variant])
    z, weights = block(inputs, return_affinity=True, queries=queries)
    assert z.shape == inputs.shape
    real = keras.Model(inputs, weights)(normal(CLIPS))
    assert tuple(weights.shape) == (None, *real.shape[1:])
    assert keras.backend.standardize_dtype(real.dtype) == weights.dtype


def test_queries_without_the_affinity_are_refused():
    with pytest.raises(ValueError, match="return_affinity=True"):
        NonLocalBlock()(normal((2, 7, 6)), queries=[3])


@pytest.mark.parametrize("variant", ["all", "space", "time", "groups"])
def test_negative_queries_count_from_the_end(variant):
    x = normal(CLIPS)
    block = NonLocalBlock(**VARIANTS[variant])
    np.testing.assert_array_equal(
        array(block.affinity(x, [-1, -60])), array(block.affinity(x, [59, 0]))
    )


@pytest.mark.parametrize(
    "queries", [3, [[1, 2]], [2.5], [60], [-61], [True, False]]
)
def test_queries_that_are_no_positions_are_refused(queries):
    for given in (queries, np.asarray(queries)):
        with pytest.raises(ValueError, match="Expected `queries`"):
            NonLocalBlock().affinity(normal(CLIPS), given)


@pytest.mark.parametrize("shape", [(2, 4, 1, 3, 6), (2, 5, 3, 6)])
def test_a_built_block_refuses_other_inputs_too(shape):
    block = NonLocalBlock(subsample=2)
    block.build(CLIPS)
    with pytest.raises(ValueError, match="Expected an input"):
        block(normal(shape))


@pytest.mark.parametrize("pairwise", ["embedded_gaussian", "gaussian"])
def test_a_layer_around_a_block_takes_unknown_sizes(pairwise):
    class Around(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.block = NonLocalBlock(pairwise)

        def build(self, shape):
            self.block.build(shape)

        def call(self, x):
            return self.block(x, return_affinity=True, queries=[1])[1]

    inputs = keras.Input((None, None, 8))
    assert Around()(inputs).shape[1] == 1
