"""Fixtures of the tests of layers."""

import pytest

from nonlocal_tf.layers import PAIRWISE


@pytest.fixture(params=sorted(PAIRWISE))
def pairwise(request):
    return request.param
