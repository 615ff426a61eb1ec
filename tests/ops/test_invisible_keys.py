"""Masked keys and the future never matter, whatever they hold."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nonlocal_tf import ops
from tests import harness
from tests.ops.execution import BACKEND, MODES, value_and_gradients

CASES = [
    ("softmax", "plain"),
    ("softmax", "stored"),
    ("softmax", "chunked"),
    ("dot_product", "plain"),
    ("dot_product", "associative"),
    ("concatenation", "plain"),
    ("concatenation", "sorted"),
]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    harness.small_chunks(monkeypatch)


def inputs(name, shape, rng):
    """Draw queries, keys, values, and the gradient by the outputs."""
    batch, n, m, c = shape
    width = () if name == "concatenation" else (2,)
    shapes = (batch, n, *width), (batch, m, *width), (batch, m, c)
    return [
        rng.standard_normal(shape).astype("float32")
        for shape in (*shapes, (batch, n, c))
    ]


def changed(x, future, mask, rng):
    """Replace masked positions by NaN, and the future by anything."""
    x = x.copy()
    kinds = [np.nan, np.inf, -np.inf, 1e4]
    x[:, future:] = rng.choice(kinds, x[:, future:].shape)
    if mask is not None:
        x[~mask] = np.nan
    return x


def check(case, shape, steps, mode, seed):
    """Compare two futures bit by bit: outputs, and gradients of the past."""
    rng = np.random.default_rng(seed)
    (name, method), (batch, n, m, _) = case, shape
    a, b, g, dy = inputs(name, shape, rng)
    mask = rng.random((batch, m)) < 0.5
    step = rng.integers(steps)  # the present
    now, future = (step + 1) * n // steps, (step + 1) * m // steps
    dy[:, now:] = 0  # gradients of the past alone
    changed_a = changed(a, now, None, rng)
    changed_b, changed_g = (changed(x, future, mask, rng) for x in (b, g))

    def function(*tensors):
        options = {"mask": mask, "steps": steps}
        return getattr(ops, name)(*tensors, method=method, **options)

    y, da, db, dg = value_and_gradients(function, (a, b, g), dy, mode)
    changed_arrays = changed_a, changed_b, changed_g
    results = value_and_gradients(function, changed_arrays, dy, mode)
    np.testing.assert_array_equal(results[0][:, :now], y[:, :now])
    np.testing.assert_array_equal(results[1][:, :now], da[:, :now])
    assert (results[1][:, now:] == 0).all()
    # The sorted form sums over queries by rank, in blocks whose bounds depend
    # on how many later ones, of gradient zero, are between: up to 140 terms.
    rounding = 1e-5 if method == "sorted" else 0
    for x, before in zip(results[2:], (db, dg), strict=True):
        past = x[:, :future]
        np.testing.assert_allclose(past, before[:, :future], 0, rounding)
        assert (x[:, future:] == 0).all()
        assert (x[~mask] == 0).all()


@pytest.mark.skipif(BACKEND == "jax", reason="compiles for every shape")
@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    sizes=st.tuples(*(st.integers(1, size) for size in (2, 7, 5, 3))),
    steps=st.integers(1, 20),
    seed=st.integers(0, 2**16),
    case=st.sampled_from(CASES),
)
def test_any_shape(sizes, steps, seed, case):
    batch, n, m, c = sizes
    check(case, (batch, n * steps, m * steps, c), steps, "eager", seed)


@pytest.mark.skipif(BACKEND != "jax", reason="others try any shape")
@pytest.mark.parametrize("case", CASES)
def test_one_shape(case):
    # 17 groups are spans of two and three.
    check(case, (2, 5 * 17, 3 * 17, 3), 17, "jit", 1)


@pytest.mark.parametrize("case", CASES)
def test_batch_of_no_examples(case):
    name, method = case
    *arrays, dy = inputs(name, (0, 12, 18, 4), np.random.default_rng(0))

    def function(*tensors):
        return getattr(ops, name)(*tensors, method=method, steps=6)

    y, *gradients = value_and_gradients(function, arrays, dy, MODES[0])
    assert y.shape == dy.shape
    assert [x.shape for x in gradients] == [x.shape for x in arrays]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("index", range(3))
def test_queries_that_see_what_is_not_finite_give_nan(case, index):
    name, method = case
    arrays = inputs(name, (2, 12, 18, 4), np.random.default_rng(0))[:3]
    channel = () if arrays[index].ndim == 2 else (1,)
    arrays[index][(0, 7, *channel)] = -np.inf  # of 12: group 3, of 18: 2
    y = getattr(ops, name)(*arrays, method=method, steps=6)
    is_nan = np.isnan(keras.ops.convert_to_numpy(y))
    expected = np.zeros_like(is_nan)
    if index == 0:
        expected[0, 7] = True
    elif index == 1:
        expected[0, 4:] = True
    else:
        expected[0, 4:, 1] = True
    np.testing.assert_array_equal(is_nan, expected)
