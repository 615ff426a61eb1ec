"""A few of the kills of kill_often.py, on two devices."""

import pytest

from tests.training import kill_often


@pytest.mark.slow
def test_a_run_that_is_killed_ends_as_if_it_had_not_been(tmp_path):
    kills = kill_often.compare(tmp_path, 2, devices=2, steps=32)
    assert kills == 2
