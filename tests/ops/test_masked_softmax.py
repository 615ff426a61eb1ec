"""Masks and causality of every method of the softmax against float64."""

import keras
import ml_dtypes
import numpy as np
import pytest

from nonlocal_tf import ops
from tests import harness
from tests.harness import normal
from tests.ops import loops, reference
from tests.ops.execution import (
    COMPILED,
    MODES,
    float64,
    relative_error,
    value_and_gradients,
    with_modes,
)

METHODS = ("plain", "stored", "chunked")
# Chunks of 13, 9 and 5 rows, of which the first two do not divide a group.
N, M, STEPS = 75, 33, 3
SHAPES = (2, N, 4), (2, M, 4), (2, M, 5)
# The first frame of the second example has no key.
MASK = np.random.default_rng(0).random((2, M)) < 0.6
MASK[1, : M // STEPS] = False


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    harness.small_chunks(monkeypatch)


def inputs(dtype="float32"):
    arrays = [normal(shape, seed) for seed, shape in enumerate(SHAPES)]
    arrays.append(normal((2, N, 5), 9))
    return [x.astype(dtype) for x in arrays]


def check(method, mode, is_masked, steps, bounds, dtype="float32"):
    theta, phi, g, dy = inputs(dtype)
    mask = MASK if is_masked else None
    visible = reference.visible_keys(N, M, mask, steps)
    expected = reference.softmax(theta, phi, g, dy, 0.7, visible)
    if is_masked:
        phi[~MASK], g[~MASK] = np.nan, np.inf

    def function(theta, phi, g):
        # Of the inputs, so that its sizes are unknown where theirs are.
        mask = keras.ops.isfinite(phi[:, :, 0]) if is_masked else None
        return ops.softmax(theta, phi, g, 0.7, method, mask=mask, steps=steps)

    results = value_and_gradients(function, (theta, phi, g), dy, mode)
    value_bound, gradient_bound = bounds
    for index, (x, e) in enumerate(zip(results, expected, strict=True)):
        bound = gradient_bound if index else value_bound
        assert relative_error(x, e) <= bound, index


OPTIONS = [(True, None), (False, STEPS), (True, STEPS)]
on_options = pytest.mark.parametrize(("is_masked", "steps"), OPTIONS)


@pytest.mark.parametrize(("mode", "is_masked", "steps"), with_modes(OPTIONS))
@pytest.mark.parametrize("method", METHODS)
def test_float32(method, mode, is_masked, steps):
    # As of the function without masks, tests/ops/test_methods.py.
    check(method, mode, is_masked, steps, (1e-6, 3e-6))


@pytest.mark.parametrize("method", METHODS)
def test_spans_of_several_groups(method):
    arrays = normal((2, 51, 4)), normal((2, 34, 4), 1), normal((2, 34, 5), 2)
    dy = normal((2, 51, 5), 3)
    visible = reference.visible_keys(51, 34, None, 17)
    expected = reference.softmax(*arrays, dy, 1.0, visible)

    def function(*tensors):
        return ops.softmax(*tensors, method=method, steps=17)

    results = value_and_gradients(function, arrays, dy, MODES[0])
    for x, e in zip(results, expected, strict=True):
        assert relative_error(x, e) <= 1e-6  # as in test_float32


@float64
@pytest.mark.parametrize("method", METHODS)
def test_float64(method):
    check(method, "graph", True, STEPS, (2e-15, 1e-14), "float64")


@pytest.mark.parametrize("method", METHODS)
def test_half_precision_rounds_only_the_results(method):
    bound = 2.0**-8 + 1e-6
    check(method, COMPILED, True, STEPS, (bound, bound), ml_dtypes.bfloat16)


@pytest.mark.parametrize("method", METHODS)
def test_value_equals_the_loops(method):
    arrays = inputs()[:3]
    visible = reference.visible_keys(N, M, MASK, STEPS)
    y = ops.softmax(*arrays, method=method, mask=MASK, steps=STEPS)
    y = keras.ops.convert_to_numpy(y)
    theta, phi, g = (x.astype("float64") for x in arrays)
    for example in range(2):
        f = loops.gaussian_f(theta[example], phi[example])
        expected = loops.nonlocal_loop(f, g[example], True, visible[example])
        # 24 bits, with exponentials of logits up to about 10.
        np.testing.assert_allclose(y[example], expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("method", METHODS)
def test_query_without_a_key_gives_zero(method):
    theta, phi, g, _ = inputs()
    y = ops.softmax(theta, phi, g, method=method, mask=MASK, steps=STEPS)
    y = keras.ops.convert_to_numpy(y)
    np.testing.assert_array_equal(y[1, : N // STEPS], 0)
    assert (y[1, N // STEPS :] != 0).all()


@on_options
def test_affinity_times_g_is_the_output(is_masked, steps):
    theta, phi, g, _ = inputs()
    options = {"mask": MASK if is_masked else None, "steps": steps}
    weights = ops.softmax_affinity(theta, phi, 0.7, **options)
    weights = keras.ops.convert_to_numpy(weights)
    y = keras.ops.convert_to_numpy(ops.softmax(theta, phi, g, 0.7, **options))
    np.testing.assert_allclose(y, weights @ g, rtol=1e-5, atol=1e-6)
    visible = reference.visible_keys(N, M, options["mask"], steps)
    hidden = ~np.broadcast_to(visible, weights.shape)
    np.testing.assert_array_equal(weights[hidden], 0)


def test_single_key():
    theta, phi, g = normal((2, 5, 3)), normal((2, 1, 3)), normal((2, 1, 4))
    mask = np.array([[True], [False]])
    y = keras.ops.convert_to_numpy(ops.softmax(theta, phi, g, mask=mask))
    np.testing.assert_array_equal(y[0], np.tile(g[0], (5, 1)))
    np.testing.assert_array_equal(y[1], 0)


@pytest.mark.parametrize("method", METHODS)
def test_steps_may_be_a_tensor(method):
    theta, phi, g, _ = inputs()
    y, expected = (
        keras.ops.convert_to_numpy(
            ops.softmax(theta, phi, g, method=method, steps=steps)
        )
        for steps in (keras.ops.convert_to_tensor(STEPS, "int32"), STEPS)
    )
    # All pairs, and those of the past alone, in float32.
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", [{"mask": MASK}, {"steps": 3}])
def test_flash_refuses_masks_and_steps(options):
    theta, phi, g, _ = inputs()
    with pytest.raises(ValueError, match="has no `mask` and no `steps`"):
        ops.softmax(theta, phi, g, method="flash", **options)
