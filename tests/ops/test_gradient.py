"""Gradients of functions' own, as each backend calls them."""

import weakref

import numpy as np
import pytest

from nonlocal_tf import ops
from nonlocal_tf.ops._gradient import custom_gradient
from tests.harness import normal
from tests.ops.execution import BACKEND, MODES, value_and_gradients


@custom_gradient
def product(x, y):
    """Multiply, with gradients that are none of a product."""
    return x * y, lambda dy: (3 * dy, x * dy)


@pytest.mark.parametrize("mode", MODES)
def test_gradient_is_the_functions_own(mode):
    x, y, dy = (normal((2, 5, 3), seed) for seed in range(3))
    value, dx, dy_by_y = value_and_gradients(product, (x, y), dy, mode)
    np.testing.assert_array_equal(value, x * y)
    np.testing.assert_array_equal(dx, 3 * dy)
    np.testing.assert_array_equal(dy_by_y, x * dy)


@pytest.mark.skipif(BACKEND != "torch", reason="others say so themselves")
@pytest.mark.parametrize("method", ["chunked", "plain"])
def test_second_derivatives_are_exact_or_refused(method):
    import torch

    x = torch.tensor(normal((1, 5, 3)), requires_grad=True)
    loss = (ops.softmax(x, x, x, method=method) ** 2).sum()
    if method == "chunked":
        with pytest.raises(NotImplementedError, match="method='plain'"):
            torch.autograd.grad(loss, x, create_graph=True)
    else:
        (dx,) = torch.autograd.grad(loss, x, create_graph=True)
        dx.sum().backward()
        assert x.grad.abs().max() > 0


@pytest.mark.skipif(BACKEND != "torch", reason="of PyTorch's graph")
def test_the_graph_is_freed_without_a_garbage_collection():
    import torch

    x = torch.tensor(normal((1, 5, 3)), requires_grad=True)
    y = ops.softmax(x, x, x, method="chunked")
    freed = weakref.ref(y.grad_fn)
    del y
    assert freed() is None
