"""Masks and causality of the dot product and the concatenation.

Those of the softmax: tests/ops/test_masked_softmax.py.
"""

import keras
import ml_dtypes
import numpy as np
import pytest

from nonlocal_tf import ops
from tests.harness import normal
from tests.ops import loops, reference
from tests.ops.execution import (
    BACKEND,
    COMPILED,
    float64,
    relative_error,
    value_and_gradients,
    with_modes,
)

CASES = [
    ("dot_product", "plain"),
    ("dot_product", "associative"),
    ("concatenation", "plain"),
    ("concatenation", "sorted"),
]
NAMES = ("dot_product", "concatenation")
OPTIONS = [(True, None), (False, 5), (True, 5)]
# n, m, steps. Of the concatenation, groups of 2 and 3 positions are leaves of
# 21 groups, and 5 leaves three levels of halves, the last with a half of one
# leaf. Of the dot product, single positions are leaves of three.
SHAPES = {
    "one leaf": (10, 15, 5),
    "one group": (11, 7, 1),
    "large groups": (210, 350, 5),
    "two leaves": (66, 99, 33),
    "three leaves": (130, 195, 65),
    "single positions": (300, 300, 300),
}
on_options = pytest.mark.parametrize(("is_masked", "steps"), OPTIONS)
on_cases = pytest.mark.parametrize(("name", "method"), CASES)
not_on_jax = pytest.mark.skipif(
    BACKEND == "jax", reason="compiles for every shape"
)


def inputs(name, n, m, dtype="float32"):
    width = () if name == "concatenation" else (4,)
    shapes = (2, n, *width), (2, m, *width), (2, m, 3), (2, n, 3)
    return [normal(s, seed).astype(dtype) for seed, s in enumerate(shapes)]


def random_mask(m, steps):
    """Mask some keys, and all those of the second example's first group."""
    mask = np.random.default_rng(0).random((2, m)) < 0.6
    mask[1, : m // steps] = False
    return mask


def run(name, method, arrays, dy, mode, is_masked, steps):
    def function(a, b, g):
        # Of the inputs, so that its sizes are unknown where theirs are.
        mask = keras.ops.isfinite(g[:, :, 0]) if is_masked else None
        options = {"method": method, "mask": mask, "steps": steps}
        return getattr(ops, name)(a, b, g, **options)

    return value_and_gradients(function, arrays, dy, mode)


def check(case, sizes, mode, is_masked, steps, bound, dtype="float32"):
    (name, method), (n, m) = case, sizes
    a, b, g, dy = inputs(name, n, m, dtype)
    mask = random_mask(m, steps or 5) if is_masked else None
    visible = reference.visible_keys(n, m, mask, steps)
    expected = getattr(reference, name)(a, b, g, dy, visible)
    if is_masked:
        b[~mask], g[~mask] = np.nan, np.inf
    results = run(name, method, (a, b, g), dy, mode, is_masked, steps)
    for index, (x, e) in enumerate(zip(results, expected, strict=True)):
        assert relative_error(x, e) <= bound, index


@on_cases
@pytest.mark.parametrize(("mode", "is_masked", "steps"), with_modes(OPTIONS))
def test_float32(mode, name, method, is_masked, steps):
    check((name, method), (70, 35), mode, is_masked, steps, 3e-6)


@on_cases
@pytest.mark.parametrize("shape", SHAPES)
@not_on_jax
def test_shapes(shape, name, method):
    *sizes, steps = SHAPES[shape]
    check((name, method), sizes, "eager", True, steps, 3e-6)


@on_cases
@float64
def test_float64(name, method):
    check((name, method), (70, 35), "graph", True, 5, 1e-14, "float64")


@on_cases
def test_half_precision_rounds_only_the_results(name, method):
    case, bound = (name, method), 2.0**-8 + 1e-6
    check(case, (70, 35), COMPILED, True, 5, bound, ml_dtypes.bfloat16)


@on_cases
def test_value_equals_the_loops(name, method):
    n, m, steps = SHAPES["one leaf"]
    a, b, g, _ = inputs(name, n, m)
    mask = random_mask(m, steps)
    visible = reference.visible_keys(n, m, mask, steps)
    y = getattr(ops, name)(a, b, g, method, mask=mask, steps=steps)
    for example in range(2):
        queries, keys = a[example].astype("f8"), b[example].astype("f8")
        if name == "concatenation":
            f = np.array([[max(0.0, i + j) for j in keys] for i in queries])
        else:
            f = loops.dot_product_f(queries, keys)
        expected = loops.nonlocal_loop(f, g[example], False, visible[example])
        np.testing.assert_allclose(y[example], expected, rtol=1e-4, atol=1e-6)


@on_options
@pytest.mark.parametrize("name", NAMES)
def test_affinity_times_g_is_the_output(name, is_masked, steps):
    a, b, g, _ = inputs(name, 10, 15)
    mask = random_mask(15, 5) if is_masked else None
    options = {"mask": mask, "steps": steps}
    weights = getattr(ops, f"{name}_affinity")(a, b, **options)
    weights = keras.ops.convert_to_numpy(weights)
    visible = reference.visible_keys(10, 15, mask, steps)
    assert (weights[~np.broadcast_to(visible, weights.shape)] == 0).all()
    y = keras.ops.convert_to_numpy(getattr(ops, name)(a, b, g, **options))
    np.testing.assert_allclose(y, weights @ g, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(BACKEND == "jax", reason="knows all sizes")
@pytest.mark.parametrize("method", ["auto", "plain", "associative"])
def test_steps_of_the_dot_product_may_be_a_tensor(method):
    arrays = inputs("dot_product", 10, 15)[:3]
    steps = keras.ops.convert_to_tensor(5, "int32")
    y = ops.dot_product(*arrays, method, steps=steps)
    expected = ops.dot_product(*arrays, method, steps=5)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


def test_steps_of_the_concatenation_may_be_a_tensor_in_the_plain_form():
    arrays = inputs("concatenation", 10, 15)[:3]
    steps = keras.ops.convert_to_tensor(5, "int32")
    y = ops.concatenation(*arrays, steps=steps)
    expected = ops.concatenation(*arrays, steps=5)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="'sorted'.*`steps`"):
        ops.concatenation(*arrays, "sorted", steps=steps)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "options",
    [{"mask": np.ones((2, 14), bool)}, {"steps": 4}, {"steps": 0}],
)
def test_options_that_do_not_fit_are_errors(name, options):
    a, b, g, _ = inputs(name, 10, 15)
    with pytest.raises(ValueError, match=f"Expected `{min(options)}`"):
        getattr(ops, name)(a, b, g, **options)
    with pytest.raises(ValueError, match=f"Expected `{min(options)}`"):
        getattr(ops, f"{name}_affinity")(a, b, **options)
