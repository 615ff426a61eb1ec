"""Positions that theta and phi see, compared with loops in float64."""

import keras
import numpy as np
import pytest

from nonlocal_tf.layers import NonLocalBlock
from nonlocal_tf.layers.position_encoding import PositionEncoding
from tests import harness
from tests.harness import normal
from tests.layers.blocks import (
    active_block,
    array,
    attend_by_loops,
    dense,
    embed_by_loops,
    full_on_jax,
    tensorflow_only,
)

CLIP = (2, 4, 5, 3, 12)
POSITIONS = ["sine", "learned"]
VARIANTS = {
    "global": {},
    "pooled before": {"subsample": 2},
    "pooled after": {"subsample": (2, 2, 1), "pool_position": "after"},
    "time": {"axes": "time"},
    "heads": {"heads": 3, "subsample": (2, 1, 1)},
}


def sine_by_loops(sizes, channels):
    """Compute the encoding of every position in float64."""
    encoding = np.zeros((*sizes, channels))
    axes = len(sizes)
    wavelengths = -(-(channels // 2) // axes)
    for position in np.ndindex(*sizes):
        for channel in range(channels):
            axis, number = channel // 2 % axes, channel // 2 // axes
            angle = position[axis] / 10_000 ** (number / wavelengths)
            wave = np.cos if channel % 2 else np.sin
            encoding[position][channel] = wave(angle)
    return encoding


def encoding_of(block, sizes, channels):
    """Return the encoding `(*sizes, channels)` of a block, in float64."""
    if block.position == "sine":
        return sine_by_loops(sizes, channels)
    tables = [
        w.astype("float64") for w in block.position_encoding.get_weights()
    ]
    return np.array(
        [
            sum(table[i] for table, i in zip(tables, position, strict=True))
            for position in np.ndindex(*sizes)
        ]
    ).reshape(*sizes, channels)


def windows(x, pool, reduce):
    """Reduce the windows of a feature map; values by position."""
    counts = [size // p for size, p in zip(x.shape, pool, strict=False)]
    return {
        key: reduce(
            x[
                tuple(
                    slice(i * p, i * p + p)
                    for i, p in zip(key, pool, strict=True)
                )
            ],
            axis=tuple(range(len(pool))),
        )
        for key in np.ndindex(*counts)
    }


def block_by_loops(block, x, pairwise):
    """Compute the block on one feature map `([t, h, w], channels)`."""
    *sizes, channels = x.shape
    position, pool = encoding_of(block, sizes, channels), block.pool_size
    if block.pool_position == "before":
        pooled, averages = (
            windows(x, pool, np.max),
            windows(position, pool, np.mean),
        )
        phi = {
            k: embed_by_loops(block, v + averages[k])[1]
            for k, v in pooled.items()
        }
        g = {k: dense(v, block.g) for k, v in pooled.items()}
    else:
        phi = windows(embed_by_loops(block, x + position)[1], pool, np.max)
        g = windows(dense(x, block.g), pool, np.max)
    z = x.copy()
    for query in np.ndindex(*sizes):
        keys = [
            key for key in phi if block.axes != "time" or key[1:] == query[1:]
        ]
        theta, _ = embed_by_loops(block, x[query] + position[query])
        rows = [theta], [phi[k] for k in keys], [g[k] for k in keys]
        z[query] += dense(attend_by_loops(block, pairwise, *rows)[0], block.out)
    return z


def check_loops(pairwise, shape, **options):
    options = {"bottleneck": 6, **options}
    block = active_block(pairwise, **options)
    block.build(shape)
    harness.randomise(block)
    x = normal(shape)
    expected = [
        block_by_loops(block, example.astype("float64"), pairwise)
        for example in x
    ]
    # 24 bits, with exponentials of logits up to about 10.
    np.testing.assert_allclose(array(block(x)), expected, rtol=3e-5, atol=3e-5)


@full_on_jax
@pytest.mark.parametrize("variant", sorted(VARIANTS))
@pytest.mark.parametrize("position", POSITIONS)
def test_value_equals_the_loops(position, variant):
    check_loops(
        "embedded_gaussian", CLIP, position=position, **VARIANTS[variant]
    )


@full_on_jax
@pytest.mark.parametrize("shape", [(2, 7, 6), (2, 5, 3, 6), (2, 3, 2, 5, 6)])
@pytest.mark.parametrize("position", POSITIONS)
def test_value_of_each_rank(position, shape):
    check_loops("dot_product", shape, position=position, subsample=2)


@full_on_jax
def test_value_of_each_pairwise_function(pairwise):
    check_loops(pairwise, CLIP, position="sine", subsample=2)


@pytest.mark.parametrize(
    ("position", "depends"), [(None, False), ("sine", True)]
)
def test_positions_make_the_order_of_frames_matter(position, depends):
    x = normal(CLIP)
    block = active_block("embedded_gaussian", position=position)
    block.build(CLIP)
    harness.randomise(block)
    backward = array(block(x[:, ::-1].copy()))[:, ::-1]
    difference = np.abs(backward - array(block(x))).max()
    assert difference > 0.1 if depends else difference < 1e-5


@full_on_jax
@pytest.mark.parametrize("options", [{}, {"axes": "time"}])
def test_affinity_has_the_positions(options):
    x = normal(CLIP)
    block = active_block("embedded_gaussian", position="sine", **options)
    weights = array(block(x, return_affinity=True)[1])
    rows = array(block.affinity(x, queries=[59, 4, 31]))
    np.testing.assert_allclose(
        rows, weights[:, [59, 4, 31]], rtol=1e-5, atol=1e-5
    )
    # Of equal features, only positions differ.
    constant = array(block.affinity(0.0 * x))[0]
    assert np.ptp(constant, axis=-1).min() > 1e-3


@full_on_jax
def test_layer_with_positions():
    harness.check_layer(
        lambda **options: NonLocalBlock(
            position="sine", subsample=2, **options
        ),
        CLIP,
    )


@full_on_jax
@pytest.mark.parametrize("position", POSITIONS)
def test_block_with_positions_is_saved(position, tmp_path):
    inputs = keras.Input(CLIP[1:])
    block = NonLocalBlock(position=position, gamma_init=1.0, name="block")
    model = keras.Model(inputs, block(inputs))
    constant = ("out/bias", "g/bias", "phi/bias")
    harness.check_training_step(model, normal(CLIP), constant)
    harness.check_saving(model, normal(CLIP), tmp_path)


@pytest.mark.parametrize("position", POSITIONS)
def test_block_with_positions_is_folded(position):
    x = normal(CLIP)
    block = NonLocalBlock(position=position, gamma_init=1.0)
    block.build(CLIP)
    harness.randomise(block)
    np.testing.assert_allclose(
        array(block.fold()(x)), array(block(x)), rtol=1e-5, atol=1e-5
    )


def test_paths_of_the_tables_are_an_interface():
    block = NonLocalBlock(position="learned", name="block")
    block.build(CLIP)
    tables = block.position_encoding.weights
    assert {w.path: tuple(w.shape) for w in tables} == {
        "block/position/time": (4, 12),
        "block/position/height": (5, 12),
        "block/position/width": (3, 12),
    }


@pytest.mark.parametrize(
    ("position", "shape", "message"),
    [
        ("sin", CLIP, "Did you mean 'sine'"),
        ("learned", (None, None, 5, 3, 12), "needs known sizes"),
        ("sine", (2, 4, 5, 3, 5), "at least 6 channels"),
    ],
)
def test_positions_that_do_not_fit_are_errors(position, shape, message):
    with pytest.raises(ValueError, match=message):
        NonLocalBlock(position=position).build(shape)


def test_other_sizes_than_those_of_the_tables_are_an_error():
    layer = PositionEncoding("learned")
    layer.build(CLIP)
    with pytest.raises(ValueError, match="those of the tables"):
        layer(normal((2, 4, 5, 4, 12)))


@tensorflow_only  # JAX has no float64 by default
def test_sines_of_float64_are_not_rounded_before():
    x = np.zeros((1, 50, 6), "float64")
    encoding = array(PositionEncoding(dtype="float64")(x))
    np.testing.assert_allclose(encoding, sine_by_loops((50,), 6), atol=1e-13)
