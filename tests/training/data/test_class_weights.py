"""Weights of classes of unequal frequency."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from training.data import class_weights
from training.io.user_error import UserError


def test_balanced_weights_are_those_of_scikit_learn():
    labels = np.repeat([0, 1, 3], [7, 2, 31])
    expected = compute_class_weight(
        "balanced", classes=np.array([0, 1, 3]), y=labels
    )
    zero, one, none, three = class_weights.balanced(np.bincount(labels))
    np.testing.assert_allclose([zero, one, three], expected, rtol=1e-12)
    assert none == 1


def test_weights_are_in_the_order_of_the_classes():
    names = ["jump", "run", "sit"]
    weights_of = class_weights.class_weights
    assert weights_of((1, 0.5, 2), names, [5, 5, 5]) == [1.0, 0.5, 2.0]
    assert weights_of("balanced", names, [5, 5, 5]) == [1.0, 1.0, 1.0]
    assert weights_of(None, names, [1, 2, 3]) is None
    assert (
        weights_of("balanced", names, None) is None
    )  # generated: all as often


def test_another_number_of_weights_names_the_classes():
    with pytest.raises(UserError, match="3 classes, in this order: a, b, c"):
        class_weights.class_weights((1, 2), ["a", "b", "c"], None)
