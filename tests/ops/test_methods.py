"""Every method of every function against float64, in every way it is run."""

import keras
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nonlocal_tf import ops
from tests import harness
from tests.harness import normal
from tests.ops import plain64
from tests.ops.running import BACKEND, WAYS, relative_error, value_and_gradients

METHODS = {
    "softmax": ops.SOFTMAX_METHODS,
    "dot_product": ops.DOT_PRODUCT_METHODS,
    "concatenation": ops.CONCATENATION_METHODS,
}
# cuDNN's kernel needs a GPU: tests/ops/test_softmax.py.
CASES = [
    (name, method)
    for name, methods in METHODS.items()
    for method in methods
    if method != "flash"
]
SHAPES = {
    # n, m, d, c
    "usual": (70, 33, 3, 5),
    "one query": (1, 37, 3, 2),
    "one key": (37, 1, 2, 3),
    "one of each": (1, 1, 3, 2),
    "a block of keys": (31, 32, 2, 7),
    "wide": (5, 3, 40, 33),
}
HALF = {"bfloat16": (ml_dtypes.bfloat16, 8), "float16": (np.float16, 11)}


def inputs(name, n, m, d, c, batch=2, dtype="float32"):
    width = () if name == "concatenation" else (d,)
    shapes = (batch, n, *width), (batch, m, *width), (batch, m, c)
    arrays = [normal(shape, seed) for seed, shape in enumerate(shapes)]
    dy = normal((batch, n, c), 9)
    return [x.astype(dtype) for x in arrays], dy.astype(dtype)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    harness.small_chunks(monkeypatch)


def run(name, method, arrays, dy, way):
    def function(*tensors):
        return getattr(ops, name)(*tensors, method=method)

    return value_and_gradients(function, arrays, dy, way)


def check(name, method, arrays, dy, way, value_bound, gradient_bound):
    expected = getattr(plain64, name)(*arrays, dy)
    results = run(name, method, arrays, dy, way)
    assert len(results) == len(expected) == 4
    for index, (x, e) in enumerate(zip(results, expected, strict=True)):
        assert x.shape == e.shape
        bound = gradient_bound if index else value_bound
        assert relative_error(x, e) <= bound, (index, way)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("name", "method"), CASES)
def test_float32(name, method, way):
    check_float32(name, method, "usual", way)


@pytest.mark.parametrize("shape", sorted(set(SHAPES) - {"usual"}))
@pytest.mark.parametrize(
    ("name", "method"), [case for case in CASES if case[1] != "auto"]
)
def test_shapes_at_the_edge(name, method, shape):
    check_float32(name, method, shape, WAYS[1 % len(WAYS)])


def check_float32(name, method, shape, way):
    # 5e-7 is eight roundings to 24 bits of the largest value; gradients of the
    # softmax are differences of two such values.
    check(name, method, *inputs(name, *SHAPES[shape]), way, 5e-7, 1e-6)


@pytest.mark.skipif(BACKEND == "jax", reason="JAX's float64 is a global switch")
@pytest.mark.parametrize(("name", "method"), CASES)
def test_float64(name, method):
    arrays, dy = inputs(name, *SHAPES["usual"], dtype="float64")
    check(name, method, arrays, dy, "graph", 2e-15, 1e-14)


@pytest.mark.parametrize("way", WAYS[-1:])  # the compiled one
@pytest.mark.parametrize("half", sorted(HALF))
@pytest.mark.parametrize(("name", "method"), CASES)
def test_half_precision_rounds_only_the_results(name, method, half, way):
    dtype, bits = HALF[half]
    arrays, dy = inputs(name, *SHAPES["usual"], dtype=dtype)
    # Half a unit in the last place of each result, and float32's own error.
    bound = 2.0**-bits + 1e-6
    check(name, method, arrays, dy, way, bound, bound)


@pytest.mark.parametrize("method", [m for n, m in CASES if n == "softmax"])
def test_the_scale_multiplies_the_logits_of_the_softmax(method):
    arrays, dy = inputs("softmax", *SHAPES["usual"])

    def scaled(*tensors):
        return ops.softmax(*tensors, scale=0.37, method=method)

    results = value_and_gradients(scaled, arrays, dy, WAYS[0])
    expected = plain64.softmax(*arrays, dy, scale=0.37)
    for x, e in zip(results, expected, strict=True):
        assert relative_error(x, e) <= 1e-6  # as in check_float32


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_keys_at_the_kink_of_the_relu_have_no_gradient(zero, way):
    a, b = np.full((2, 5), zero, "float32"), np.full((2, 7), 0.0, "float32")
    g, dy = normal((2, 7, 3), 1), normal((2, 5, 3), 2)
    results = run("concatenation", "sorted", (a, b, g), dy, way)
    for x in results:
        np.testing.assert_array_equal(x, np.zeros_like(x))


@pytest.mark.parametrize(("name", "method"), CASES)
def test_results_keep_the_dtype_of_g(name, method):
    arrays, _ = inputs(name, *SHAPES["usual"], dtype="float16")
    y = getattr(ops, name)(*arrays, method=method)
    assert keras.backend.standardize_dtype(y.dtype) == "float16"


@pytest.mark.parametrize("name", sorted(METHODS))
def test_an_unknown_method_suggests_the_nearest(name):
    arrays, _ = inputs(name, *SHAPES["usual"])
    with pytest.raises(ValueError, match="Did you mean 'plain'"):
        getattr(ops, name)(*arrays, method="plane")


if BACKEND == "jax":  # compiles anew for each shape
    EXAMPLES, sizes = 8, st.sampled_from([(70, 33, 2, 2)])
else:
    EXAMPLES, sizes = (
        40,
        st.tuples(*(st.integers(1, most) for most in (70, 70, 4, 3))),
    )


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(
    sizes=sizes,
    seed=st.integers(0, 2**16),
    grid=st.sampled_from([None, 1.0, 0.25]),
    offset=st.sampled_from([0.0, 300.0, -300.0]),
    zeros=st.booleans(),
)
def test_sorted_concatenation_on_any_input(sizes, seed, grid, offset, zeros):
    """Ties a = -b, duplicates, zero weights, and offsets that cancel."""
    n, m, c, batch = sizes
    rng = np.random.default_rng(seed)
    a, b, g, dy = (
        rng.standard_normal(shape).astype("float32")
        for shape in ((batch, n), (batch, m), (batch, m, c), (batch, n, c))
    )
    if grid is not None:  # few values: many duplicates, many ties a = -b
        a, b = np.round(a / grid) * grid, np.round(b / grid) * grid
    if zeros:
        a, b = a * 0, b * -0.0
    a, b = (a + offset).astype("float32"), (b - offset).astype("float32")
    results = run("concatenation", "sorted", (a, b, g), dy, "eager")
    expected = plain64.concatenation(a, b, g, dy)
    # No weight is negative: each result is as exact as the sum of the sizes of
    # its terms, to some roundings; where there are no terms it is zero.
    sums = plain64.concatenation(a, b, abs(g), abs(dy))
    for x, e, size in zip(results, expected, sums, strict=True):
        assert (abs(x - e) <= 1e-6 * size).all()


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(
    sizes=sizes,
    seed=st.integers(0, 2**16),
    largest=st.sampled_from([1.0, 30.0, 3e4]),
    equal=st.booleans(),
)
def test_chunked_softmax_on_any_input(sizes, seed, largest, equal):
    """Logits up to 1e9, and rows of equal ones."""
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
    expected = plain64.softmax(theta, phi, g, dy)
    for index, (x, e) in enumerate(zip(results, expected, strict=True)):
        scale = largest if index == 2 else 1.0  # dphi is a sum over theta
        np.testing.assert_allclose(x, e, rtol=0, atol=scale * n * 1e-6)
