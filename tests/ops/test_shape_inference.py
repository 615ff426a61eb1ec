"""Shapes of the functions, which Keras infers on PyTorch without computing."""

import contextlib

import pytest

from nonlocal_tf import ops
from tests.ops.execution import BACKEND

pytestmark = pytest.mark.skipif(
    BACKEND != "torch", reason="PyTorch has tensors without values"
)
# Keras takes 83 for an unknown size, and computes if a shape needs a value:
# an image would have 83^4 affinities.
N, M = 12, 8
CASES = [
    (name, method)
    for name, methods in (
        ("softmax", ops.SOFTMAX_METHODS),
        ("dot_product", ops.DOT_PRODUCT_METHODS),
        ("concatenation", ops.CONCATENATION_METHODS),
    )
    for method in methods
    if method != "flash"
]


@contextlib.contextmanager
def without_values():
    from keras.src.backend.torch.core import device_scope

    with device_scope("meta"):
        yield


@pytest.mark.parametrize("is_masked", [False, True])
@pytest.mark.parametrize("steps", [None, 4])
@pytest.mark.parametrize(("name", "method"), CASES)
def test_no_shape_needs_a_value(name, method, steps, is_masked):
    import torch

    width = () if name == "concatenation" else (5,)
    with without_values():
        theta, phi, g = (
            torch.zeros(shape, device="meta")
            for shape in ((2, N, *width), (2, M, *width), (2, M, 3))
        )
        mask = torch.zeros((2, M), device="meta") if is_masked else None
        options = {"mask": mask, "steps": steps}
        y = getattr(ops, name)(theta, phi, g, method=method, **options)
        affinity = getattr(ops, f"{name}_affinity")(theta, phi, **options)
    assert tuple(y.shape) == (2, N, 3)
    assert tuple(affinity.shape) == (2, N, M)
