"""A few of the kills of kill_often.py, which has twenty and more to say."""

import pytest

from tests.training import kill_often


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_a_run_that_is_killed_ends_as_if_it_had_not_been(devices, tmp_path):
    kills = kill_often.compare(tmp_path, 3, devices, steps=64)
    assert kills == 3
