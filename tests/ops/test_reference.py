import numpy as np
import pytest

from tests.harness import normal
from tests.ops import loops, reference


def inputs(function):
    """Random theta, phi, g, dy, or a, b, g, dy, in float64."""
    width = () if function is reference.concatenation else (3,)
    return [
        normal(shape, seed, "float64")
        for seed, shape in enumerate(
            ((2, 7, *width), (2, 5, *width), (2, 5, 4), (2, 7, 4))
        )
    ]


@pytest.mark.parametrize(
    "function",
    [
        reference.softmax,
        reference.dot_product,
        reference.concatenation,
        reference.efficient,
    ],
)
@pytest.mark.parametrize("argument", [0, 1, 2])
def test_gradients_equal_finite_differences(function, argument):
    *arrays, dy = inputs(function)
    check_gradient(function, arrays, dy, argument)


def check_gradient(function, arrays, dy, argument):
    gradient = function(*arrays, dy)[1 + argument]
    step, expected = 1e-6, np.zeros_like(gradient)
    for index in np.ndindex(gradient.shape):
        sides = []
        for sign in (step, -step):
            moved = [x.copy() for x in arrays]
            moved[argument][index] += sign
            sides.append((function(*moved, dy)[0] * dy).sum())
        expected[index] = (sides[0] - sides[1]) / (2 * step)
    # 1e-6 squared of truncation, 1e-16 / 1e-6 of rounding.
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("argument", [0, 1])
def test_gradients_of_the_global_context_equal_finite_differences(argument):
    arrays = [normal((2, 5), 1, "float64"), normal((2, 5, 4), 2, "float64")]
    check_gradient(
        reference.global_context, arrays, normal((2, 7, 4), 3), argument
    )


def test_softmax_equals_the_double_loop():
    theta, phi, g, dy = inputs(reference.softmax)
    expected = [
        loops.nonlocal_loop(loops.gaussian_f(t, p, 0.37), v, True)
        for t, p, v in zip(theta, phi, g, strict=True)
    ]
    y = reference.softmax(theta, phi, g, dy, scale=0.37)[0]
    np.testing.assert_allclose(y, expected, rtol=1e-13, atol=1e-13)


def test_dot_product_equals_the_double_loop():
    theta, phi, g, dy = inputs(reference.dot_product)
    expected = [
        loops.nonlocal_loop(loops.dot_product_f(t, p), v, False)
        for t, p, v in zip(theta, phi, g, strict=True)
    ]
    y = reference.dot_product(theta, phi, g, dy)[0]
    np.testing.assert_allclose(y, expected, rtol=1e-13, atol=1e-13)


def test_concatenation_equals_the_double_loop():
    theta, phi, g, dy = inputs(reference.softmax)
    w_f = normal((6,), 9, "float64")
    expected = [
        loops.nonlocal_loop(loops.concatenation_f(t, p, w_f), v, False)
        for t, p, v in zip(theta, phi, g, strict=True)
    ]
    y = reference.concatenation(theta @ w_f[:3], phi @ w_f[3:], g, dy)[0]
    np.testing.assert_allclose(y, expected, rtol=1e-13, atol=1e-13)
