"""Fixtures of the tests of models."""

import pytest

from tests.models.tiny import outline


@pytest.fixture(scope="session")
def i3d_nl5_r50():
    """The network without weight values; not to be changed."""
    return outline("i3d_nl5_r50")
