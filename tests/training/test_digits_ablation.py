"""Full training of the main example without its non-local block."""

import pytest

from tests.training import whole_runs


@pytest.mark.full
def test_the_same_network_without_the_block_does_not_solve_recall(tmp_path):
    assert whole_runs.accuracy(whole_runs.train("digits_c2d", tmp_path)) < 0.5
