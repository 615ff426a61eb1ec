"""A few of the kills of kill_often.py, on two devices.

In CI, runs are preempted instead: test_exact_resume.py and
tasks/test_capabilities.py.
"""

import pytest

from tests.training import kill_often


@pytest.mark.full
def test_a_killed_run_equals_an_uninterrupted_one(tmp_path):
    kills = kill_often.compare(tmp_path, 3, devices=2, steps=48)
    assert kills == 3
