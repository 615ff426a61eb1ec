"""Efficient attention and global context against float64."""

import keras
import ml_dtypes
import numpy as np
import pytest

from nonlocal_tf import ops
from tests.harness import normal
from tests.ops import loops, reference
from tests.ops.execution import (
    COMPILED,
    MODES,
    float64,
    relative_error,
    value_and_gradients,
)

N, M, D, C = 7, 5, 3, 4
MASK = np.array([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0]], bool)
NAMES = ("efficient", "global_context")
on_names = pytest.mark.parametrize("name", NAMES)


def inputs(name, dtype="float32"):
    shapes = (2, N, D), (2, M, D), (2, M, C), (2, N, C)
    arrays = [normal(s, seed).astype(dtype) for seed, s in enumerate(shapes)]
    if name == "global_context":
        arrays[0], arrays[1] = arrays[1][:, :, 0], arrays[2]
        del arrays[2]
    return arrays


def apply(name, *arrays, **options):
    if name == "global_context":
        return ops.global_context(*arrays, N, **options)
    return ops.efficient(*arrays, **options)


def run(name, mode, is_masked, dtype="float32"):
    *arrays, dy = inputs(name, dtype)
    expected = getattr(reference, name)(*arrays, dy, MASK if is_masked else 1)
    if is_masked:  # efficient: phi and g; global context: b and g
        for x in arrays[-2:]:
            x[~MASK] = np.nan

    def function(*tensors):
        # Of the inputs, so that its sizes are unknown where theirs are.
        mask = ~keras.ops.isnan(tensors[-1][:, :, 0]) if is_masked else None
        return apply(name, *tensors, mask=mask)

    return value_and_gradients(function, arrays, dy, mode), expected


def check(results, expected, bound):
    for index, (x, e) in enumerate(zip(results, expected, strict=True)):
        assert relative_error(x, e) <= bound, index


@on_names
@pytest.mark.parametrize("is_masked", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_float32(mode, is_masked, name):
    # Gradients of a softmax are differences of two rounded values.
    check(*run(name, mode, is_masked), 2e-6)


@on_names
@float64
def test_float64(name):
    check(*run(name, "graph", True, "float64"), 1e-14)


@on_names
def test_half_precision_rounds_only_the_results(name):
    results = run(name, COMPILED, False, ml_dtypes.bfloat16)
    check(*results, 2.0**-8 + 1e-6)


def test_efficient_equals_the_loops():
    theta, phi, g, _ = inputs("efficient")
    y = keras.ops.convert_to_numpy(ops.efficient(theta, phi, g))
    weights = keras.ops.convert_to_numpy(ops.efficient_affinity(theta, phi))
    for example in range(2):
        f = loops.efficient_f(*(x[example].astype("f8") for x in (theta, phi)))
        np.testing.assert_allclose(weights[example], f, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(f.sum(1), 1, rtol=1e-12)
        expected = loops.nonlocal_loop(f, g[example], True)
        np.testing.assert_allclose(y[example], expected, rtol=1e-5, atol=1e-6)


def test_global_context_equals_the_loops():
    b, g, _ = inputs("global_context")
    y = keras.ops.convert_to_numpy(ops.global_context(b, g, N))
    weights = ops.global_context_affinity(b, N)
    assert tuple(weights.shape) == (2, N, M)
    for example in range(2):
        f = loops.global_context_f(range(N), b[example][:, None], [1.0])
        expected = loops.nonlocal_loop(f, g[example], True)
        np.testing.assert_allclose(y[example], expected, rtol=1e-5, atol=1e-6)


@on_names
def test_large_logits_do_not_overflow(name):
    *arrays, _ = inputs(name)
    arrays[0] = arrays[0] * 1e4
    y = keras.ops.convert_to_numpy(apply(name, *arrays))
    assert np.isfinite(y).all()


@on_names
def test_mask_of_another_size_is_an_error(name):
    *arrays, _ = inputs(name)
    with pytest.raises(ValueError, match="Expected `mask`"):
        apply(name, *arrays, mask=np.ones((2, M + 1), bool))
