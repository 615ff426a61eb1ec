"""Fixtures of the tests of the wheel."""

import pytest

from tests.wheel import installed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An empty folder, in which all runs and exports of a module are."""
    return tmp_path_factory.mktemp("empty")


@pytest.fixture(scope="module")
def videos(folder):
    """A folder of synthetic videos, three classes."""
    return installed.write_videos(folder)
