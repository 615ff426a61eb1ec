"""A few of the kills of kill_often.py, on two devices.

In CI it is a detector that is killed (detection/test_train.py): checkpoints and
what resumes from them are the same.
"""

import pytest

from tests.training import kill_often


@pytest.mark.full
def test_a_run_that_is_killed_ends_as_if_it_had_not_been(tmp_path):
    kills = kill_often.compare(tmp_path, 3, devices=2, steps=48)
    assert kills == 3
