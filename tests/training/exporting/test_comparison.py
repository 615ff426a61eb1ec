"""What an export is compared on, and how."""

import numpy as np
import pytest

from training.data.digits import DigitsFrames
from training.exporting import comparison
from training.io.user_error import UserError


class Shrinking(DigitsFrames):
    """Ten images, of which some cannot be read any more."""

    eval_examples = 10

    def __init__(self, *bad):
        self.asked, self.bad_ones = [], bad

    def example(self, split, index):
        self.asked.append((split, index))
        if index in self.bad_ones:
            raise UserError("gone")
        return DigitsFrames.example(DigitsFrames(), split, index)


def test_examples_are_from_all_over_the_validation_split():
    dataset = Shrinking()
    name, pixels = comparison.examples(dataset)
    assert dataset.asked[0] == ("validation", 0)
    assert dataset.asked[-1] == ("validation", 9)
    assert name == "8 validation examples" and len(pixels) == 8


def test_what_cannot_be_read_is_not_counted():
    assert comparison.examples(Shrinking(0, 9))[0] == "6 validation examples"


def test_without_examples_it_is_noise_and_called_so():
    name, (pixels,) = comparison.examples(Shrinking(*range(10)))
    assert name.startswith("noise,")
    assert pixels.shape == DigitsFrames.element_shape


def test_the_largest_difference_of_all_is_found():
    pixels = [np.array([1.0, 2.0]), np.array([3.0, 4.0])]
    far = comparison.furthest(lambda x: x * x, lambda x: 4 * x, pixels)
    assert far == pytest.approx(4)
