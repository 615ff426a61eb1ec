"""Every method of every function against float64, in every mode."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nonlocal_tf import ops
from nonlocal_tf.ops import _softmax
from tests import harness
from tests.harness import normal
from tests.ops import reference
from tests.ops.execution import (
    BACKEND,
    COMPILED,
    MODES,
    float64,
    relative_error,
    value_and_gradients,
)

METHODS = {
    "softmax": ops.SOFTMAX_METHODS,
    "dot_product": ops.DOT_PRODUCT_METHODS,
    "concatenation": ops.CONCATENATION_METHODS,
}
# "flash" needs a GPU (tests/ops/test_softmax.py); "auto" chooses among these.
CASES = [
    (name, method)
    for name, methods in METHODS.items()
    for method in methods
    if method not in ("auto", "flash")
]
SHAPES = {
    # n, m, d, c
    "usual": (70, 33, 3, 5),
    "one query": (1, 37, 3, 2),
    "one key": (37, 1, 2, 3),
    "one query and key": (1, 1, 3, 2),
    "full block of keys": (31, 32, 2, 7),
    "wide": (5, 3, 40, 33),
}
HALF = {"bfloat16": (ml_dtypes.bfloat16, 8), "float16": (np.float16, 11)}
not_on_jax = pytest.mark.skipif(
    BACKEND == "jax", reason="compiles for every shape"
)


def inputs(name, n, m, d, c, batch=2, dtype="float32"):
    width = () if name == "concatenation" else (d,)
    shapes = (batch, n, *width), (batch, m, *width), (batch, m, c)
    arrays = [normal(shape, seed) for seed, shape in enumerate(shapes)]
    dy = normal((batch, n, c), 9)
    return [x.astype(dtype) for x in arrays], dy.astype(dtype)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    harness.small_chunks(monkeypatch)


def run(name, method, arrays, dy, mode):
    def function(*tensors):
        return getattr(ops, name)(*tensors, method=method)

    return value_and_gradients(function, arrays, dy, mode)


def check(name, method, arrays, dy, mode, value_bound, gradient_bound):
    expected = getattr(reference, name)(*arrays, dy)
    results = run(name, method, arrays, dy, mode)
    assert len(results) == len(expected) == 4
    for index, (x, e) in enumerate(zip(results, expected, strict=True)):
        assert x.shape == e.shape
        bound = gradient_bound if index else value_bound
        assert relative_error(x, e) <= bound, (index, mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "method"), CASES)
def test_float32(name, method, mode):
    check_float32(name, method, "usual", mode)


@pytest.mark.parametrize("shape", sorted(set(SHAPES) - {"usual"}))
@pytest.mark.parametrize(("name", "method"), CASES)
@not_on_jax
def test_edge_shapes(name, method, shape):
    check_float32(name, method, shape, "graph")


@pytest.mark.skipif(BACKEND != "tensorflow", reason="knows all shapes")
@pytest.mark.parametrize("shape", ["usual", "wide"])
@pytest.mark.parametrize("name", METHODS)
def test_auto_chooses_when_a_graph_of_unknown_shapes_runs(name, shape):
    check_float32(name, "auto", shape, "unknown shapes")


@pytest.mark.skipif(BACKEND != "tensorflow", reason="others know all sizes")
@pytest.mark.parametrize("budget_mb", [0.0, 0.03, 1.0])  # a matrix: 0.0185
@pytest.mark.parametrize("unknown", [0, slice(2)])
def test_softmax_chooses_when_its_graph_runs(monkeypatch, budget_mb, unknown):
    # 70 x 33 affinities are few: all three forms are in the graph.
    monkeypatch.setattr(_softmax, "CHUNK_ELEMENTS", 70 * 33)
    monkeypatch.setattr(_softmax, "USUAL_BATCH", 10**6)
    arrays, dy = inputs("softmax", *SHAPES["usual"])

    def unknown_shape(x):
        shape = np.array(x.shape, object)
        shape[unknown] = None
        return tuple(shape)

    def auto(*tensors):
        return ops.softmax(*tensors, budget_mb=budget_mb, training=True)

    mode = "unknown shapes"
    results = value_and_gradients(auto, arrays, dy, mode, unknown_shape)
    expected = reference.softmax(*arrays, dy)
    for x, e in zip(results, expected, strict=True):
        assert relative_error(x, e) <= 3e-6  # as in check_float32


def check_float32(name, method, shape, mode):
    # Of the largest value, in roundings of 2**-24: some 16, and 50 of the
    # gradients of the softmax, differences of two values. Without AVX-512,
    # products are summed in another order: 15 were seen of a gradient.
    check(name, method, *inputs(name, *SHAPES[shape]), mode, 1e-6, 3e-6)


@float64
@pytest.mark.parametrize(("name", "method"), CASES)
def test_float64(name, method):
    arrays, dy = inputs(name, *SHAPES["usual"], dtype="float64")
    check(name, method, arrays, dy, "graph", 2e-15, 1e-14)


@pytest.mark.parametrize(
    ("name", "method", "half"),
    [
        *((name, method, "bfloat16") for name, method in CASES),
        *((name, "plain", "float16") for name in METHODS),
    ],
)
def test_half_precision_rounds_only_the_results(name, method, half):
    dtype, bits = HALF[half]
    arrays, dy = inputs(name, *SHAPES["usual"], dtype=dtype)
    # Half a unit in the last place of each result, and float32's own error.
    bound = 2.0**-bits + 1e-6
    check(name, method, arrays, dy, COMPILED, bound, bound)


@pytest.mark.parametrize("method", [m for n, m in CASES if n == "softmax"])
def test_scale_multiplies_the_logits_of_the_softmax(method):
    arrays, dy = inputs("softmax", *SHAPES["usual"])

    def scaled(*tensors):
        return ops.softmax(*tensors, scale=0.37, method=method)

    results = value_and_gradients(scaled, arrays, dy, MODES[0])
    expected = reference.softmax(*arrays, dy, scale=0.37)
    for x, e in zip(results, expected, strict=True):
        assert relative_error(x, e) <= 3e-6  # as in check_float32


@pytest.mark.parametrize("mode", MODES)
def test_gradient_of_the_relu_at_zero_is_zero(mode):
    a = np.array([[0.0, -0.0, 0.0, -0.0, -0.0]] * 2, "float32")
    b = np.array([[0.0, 0.0, -0.0]] * 2, "float32")
    g, dy = normal((2, 3, 7), 1), normal((2, 5, 7), 2)
    results = run("concatenation", "sorted", (a, b, g), dy, mode)
    for x in results:
        np.testing.assert_array_equal(x, np.zeros_like(x))


@pytest.mark.parametrize("name", sorted(METHODS))
def test_unknown_method_suggests_a_similar_one(name):
    arrays, _ = inputs(name, *SHAPES["usual"])
    with pytest.raises(ValueError, match="Did you mean 'plain'"):
        getattr(ops, name)(*arrays, method="plane")


sizes = st.tuples(*(st.integers(1, size) for size in (70, 70, 4, 3)))
on_any_input = settings(max_examples=40, deadline=None, derandomize=True)


@not_on_jax
@on_any_input
@given(
    sizes=sizes,
    seed=st.integers(0, 2**16),
    grid=st.sampled_from([None, 1.0, 0.25]),
    offset=st.sampled_from([0.0, 300.0, -300.0]),
    zeros=st.booleans(),
)
def test_sorted_concatenation_on_any_input(sizes, seed, grid, offset, zeros):
    """Test ties a = -b, duplicates, zero weights and offsets that cancel."""
    n, m, c, batch = sizes
    rng = np.random.default_rng(seed)
    a, b, g, dy = (
        rng.standard_normal(shape).astype("float32")
        for shape in ((batch, n), (batch, m), (batch, m, c), (batch, n, c))
    )
    if grid is not None:  # few values: duplicates, and ties a = -b
        a, b = np.round(a / grid) * grid, np.round(b / grid) * grid
    if zeros:
        a, b = a * 0, b * -0.0
    a, b = (a + offset).astype("float32"), (b - offset).astype("float32")
    results = run("concatenation", "sorted", (a, b, g), dy, "eager")
    expected = reference.concatenation(a, b, g, dy)
    # No weight is negative: the error is a few roundings of the sum of the
    # terms' sizes; without terms the result is zero.
    sums = reference.concatenation(a, b, abs(g), abs(dy))
    for x, e, size in zip(results, expected, sums, strict=True):
        assert (abs(x - e) <= 1e-6 * size).all()


@not_on_jax
@on_any_input
@given(
    sizes=sizes,
    seed=st.integers(0, 2**16),
    largest=st.sampled_from([1.0, 30.0, 3e4]),
    equal=st.booleans(),
)
def test_chunked_softmax_on_any_input(sizes, seed, largest, equal):
    """Test logits up to 1e9, and rows of equal logits."""
    n, m, c, batch = sizes
    rng = np.random.default_rng(seed)
    theta, phi, g, dy = (
        rng.standard_normal(shape).astype("float32")
        for shape in (
            (batch, n, 2),
            (batch, m, 2),
            (batch, m, c),
            (batch, n, c),
        )
    )
    phi = phi * 0 + 1 if equal else np.round(phi)
    # Whole numbers, so that large logits are exact in float32 too.
    theta = np.round(theta * largest).astype("float32")
    results = run("softmax", "chunked", (theta, phi, g), dy, "eager")
    expected = reference.softmax(theta, phi, g, dy)
    for index, (x, e) in enumerate(zip(results, expected, strict=True)):
        scale = largest if index == 2 else 1.0  # dphi is a sum over theta
        np.testing.assert_allclose(x, e, rtol=0, atol=scale * n * 1e-6)
