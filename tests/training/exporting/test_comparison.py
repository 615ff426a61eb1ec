"""Examples to compare exports on, and the largest difference."""

import numpy as np
import pytest

from training.data.digits import DigitsFrames
from training.exporting import comparison
from training.io.user_error import UserError


class PartlyUnreadable(DigitsFrames):
    """Data set of ten images, some of which cannot be read."""

    eval_examples = 10

    def __init__(self, *bad):
        self.requests, self.unreadable = [], bad

    def example(self, split, index):
        self.requests.append((split, index))
        if index in self.unreadable:
            raise UserError("gone")
        return DigitsFrames.example(DigitsFrames(), split, index)


def examples(dataset):
    return comparison.validation_examples(dataset, DigitsFrames.element_shape)


def test_examples_are_spread_over_the_validation_split():
    dataset = PartlyUnreadable()
    chosen = examples(dataset)
    assert dataset.requests[0] == ("validation", 0)
    assert dataset.requests[-1] == ("validation", 9)
    assert chosen.name == "8 validation examples" and len(chosen.pixels) == 8


def test_unreadable_examples_do_not_count():
    assert examples(PartlyUnreadable(0, 9)).name == "6 validation examples"


@pytest.mark.parametrize("dataset", [PartlyUnreadable(*range(10)), None])
def test_noise_replaces_missing_examples(dataset):
    chosen = examples(dataset)
    assert chosen.name.startswith("noise,")
    assert chosen.pixels[0].shape == DigitsFrames.element_shape


def test_largest_difference_is_over_all_examples():
    pixels = [np.array([1.0, 2.0]), np.array([3.0, 4.0])]
    difference = comparison.largest_difference(
        lambda x: x * x, lambda x: 4 * x, pixels
    )
    assert difference == pytest.approx(4)
