import pytest

from tests.training.page import fuzz_page


@pytest.mark.full
def test_mutated_requests_are_answered_and_leave_nothing():
    assert fuzz_page.run(first=0, count=300, seconds=600).total() == 300
