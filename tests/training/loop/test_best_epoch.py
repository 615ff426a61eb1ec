"""The best epoch, and early stopping, from the rows of a history."""

import pytest

from training.io.user_error import UserError
from training.loop import best_epoch
from training.recipes.schema import StepConfig

LOSSES = [0.7, 0.5, 0.6, 0.5, 0.4, 0.9, 0.8]
ACCURACIES = [0.2, 0.4, 0.6, 0.6, 0.5, 0.6, 0.1]
HISTORY = [
    {"epoch": n, "loss": 0.1, "val_loss": loss, "val_accuracy": accuracy}
    for n, (loss, accuracy) in enumerate(
        zip(LOSSES, ACCURACIES, strict=True), start=1
    )
]


@pytest.mark.parametrize(
    ("metric", "best"),
    [(None, 3), ("val_accuracy", 3), ("val_loss", 5)],
)
def test_the_first_of_the_best_epochs_is_kept(metric, best):
    settings = StepConfig(keep="best", metric=metric)
    assert best_epoch.kept_epoch(settings, HISTORY) == best
    last = StepConfig(metric=metric)
    assert best_epoch.kept_epoch(last, HISTORY) == len(HISTORY)
    assert best_epoch.kept_epoch(settings, []) is None


@pytest.mark.parametrize(
    ("metric", "patience", "epochs"),
    [("val_loss", 2, 4), ("val_loss", 3, None), ("val_accuracy", 3, 6)],
)
def test_training_stops_after_so_many_epochs_without_a_better_one(
    metric, patience, epochs
):
    settings = StepConfig(metric=metric, patience=patience)
    stopped = [
        n
        for n in range(len(HISTORY) + 1)
        if best_epoch.is_stopped(settings, HISTORY[:n])
    ]
    assert stopped[:1] == ([] if epochs is None else [epochs])
    never = StepConfig(metric=metric)
    assert not best_epoch.is_stopped(never, HISTORY)


@pytest.mark.parametrize("metric", ["val_acc", "loss"])
def test_a_metric_of_no_validation_lists_those_of_validation(metric):
    settings = StepConfig(keep="best", metric=metric)
    expected = "metrics of validation: val_loss, val_accuracy"
    with pytest.raises(UserError, match=expected):
        best_epoch.best_epoch(settings, HISTORY)


@pytest.mark.parametrize("metric", ["val_loss", "val_accuracy"])
def test_an_epoch_without_the_metric_is_worse_than_any(metric):
    history = [HISTORY[0], {"epoch": 2, metric: None}, {"epoch": 3}]
    settings = StepConfig(keep="best", metric=metric)
    assert best_epoch.best_epoch(settings, history) == 1


def test_a_metric_is_checked_where_epochs_are_compared():
    metrics = ("loss", "val_loss")
    typo = StepConfig(metric="val_lss")
    best_epoch.check_metric(typo, metrics)  # it has no use
    for changes in ({"keep": "best"}, {"patience": 3}):
        settings = StepConfig(metric="val_lss", **changes)
        with pytest.raises(UserError, match="Received: val_lss"):
            best_epoch.check_metric(settings, metrics)
        # Without any, as of a detector without validation images.
        with pytest.raises(UserError, match="there is none"):
            best_epoch.check_metric(StepConfig(**changes), ("loss",))
