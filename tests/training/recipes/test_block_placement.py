import pytest

from training.io.user_error import UserError
from training.recipes import block_placement


def test_a_stage_stays_a_stage():
    assert block_placement.read("res4") == "res4"


def test_blocks_of_stages_are_read():
    places = {"res3": (1, 3), "res4": (1, 3, 5)}
    assert block_placement.read("res3:1,3 res4:1,3,5") == places


@pytest.mark.parametrize(
    "text", ["res3:", "res3:1,,3", "res3:1 res4", "res3:x"]
)
def test_what_is_neither_is_one_line(text):
    with pytest.raises(UserError, match="Expected places of blocks"):
        block_placement.read(text)
