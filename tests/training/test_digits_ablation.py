"""The main example without its block, in half its steps.

In a file of its own, so that it trains beside the one with the block. Runs in
full are in MODEL_ZOO.md: 24 % after 2400 steps.
"""

import pytest

from tests.training import whole_runs


@pytest.mark.slow
def test_the_same_network_without_the_block_does_not(tmp_path):
    run = whole_runs.train("digits_c2d", tmp_path, "--set=steps=1200")
    assert whole_runs.accuracy(run) < 0.5
