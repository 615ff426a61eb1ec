import math

import pytest

from training.runs import overfitting


def rows(*losses):
    return [
        {"epoch": float(epoch), "val_loss": loss}
        for epoch, loss in enumerate(losses, start=1)
    ]


def test_a_rising_loss_names_the_lowest_epoch_and_the_rise():
    assert overfitting.rising_loss(rows(2.0, 1.6, 1.7, 2.4)) == (
        "lowest at epoch 2 (1.6), 50.0 % above it at the end (2.4)"
    )


@pytest.mark.parametrize(
    "losses", [(), (1.5,), (2.0, 1.5), (1.5, 1.6, 1.51), (None, None)]
)
def test_a_loss_that_ends_near_its_lowest_is_not_said(losses):
    assert overfitting.rising_loss(rows(*losses)) == ""


def test_rows_without_a_finite_loss_are_left_out():
    message = overfitting.rising_loss(rows(0.0, math.nan, None, 0.3))
    assert message == "lowest at epoch 1 (0), above it at the end (0.3)"
