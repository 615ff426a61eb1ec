"""Fixtures of the tests of tasks."""

import pytest

from tests.training.conftest import write_once
from tests.training.tasks import shared_runs


@pytest.fixture(scope="session")
def detector(tmp_path_factory):
    """The folder of a detector's run, export and data; not to be changed."""
    pytest.importorskip("pycocotools")

    def write(folder):
        shared_runs.train_and_export("small", folder)

    return write_once("detector", write, tmp_path_factory)
