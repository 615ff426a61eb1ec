"""Exact resuming of a run that was preempted within an epoch."""

import csv
import dataclasses

import numpy as np
import pytest

from tests.training.preempted import train_preempted
from training import train
from training.io.user_error import UserError
from training.loop import checkpointing
from training.recipes import get_recipe
from training.recipes.schema import OptimizerConfig, TrainingConfig
from training.runs import run_model
from training.runs.run_folder import RunFolder

RECIPE = dataclasses.replace(
    get_recipe("digits_image"),
    steps=4,
    epoch_steps=2,
    batch=8,
    optimizer=OptimizerConfig(base_lr=3e-3, warmup_steps=1),
    training=TrainingConfig(ema_decay=0.75),
)


# Of a rate that rises to 1 in the third epoch, and the validation loss with it.
EARLY = dataclasses.replace(
    RECIPE,
    model=dataclasses.replace(RECIPE.model, frozen="stage1"),
    steps=24,
    optimizer=OptimizerConfig(
        base_lr=1e-3, schedule="steps", drops_at_steps=(4,), drop_factor=1e3
    ),
    training=TrainingConfig(keep="best", metric="val_loss", patience=2),
)


def end_of(run):
    """Return variables, their EMA and the rows of metrics.csv."""
    checkpoint = checkpointing.latest(run.checkpoints)
    model, *_ = run_model.load_trained(run)
    average = checkpointing.read_average(checkpoint, model.trainable_variables)
    checkpointing.restore(model, checkpoint)
    rows = list(csv.DictReader(run.metrics_path.read_text().splitlines()))
    figures = [
        {k: v for k, v in row.items() if not k.endswith("seconds")}
        for row in rows
    ]
    variables = [*model.variables, *model.optimizer.variables]
    return [np.asarray(v) for v in variables], average, figures


def test_a_run_preempted_within_an_epoch_equals_an_uninterrupted_one(tmp_path):
    straight = RunFolder(tmp_path / "straight")
    train.train(RECIPE, straight, 0)
    stopped = RunFolder(tmp_path / "stopped")
    train_preempted(RECIPE, stopped, 3)
    assert checkpointing.latest(stopped.checkpoints).steps(RECIPE.plan) == 3
    train.train(RECIPE, stopped, 0)
    *arrays, rows = end_of(stopped)
    *expected_arrays, expected_rows = end_of(straight)
    for got, expected in zip(arrays, expected_arrays, strict=True):
        for array, expected_array in zip(got, expected, strict=True):
            np.testing.assert_array_equal(array, expected_array)
    assert rows == expected_rows and len(rows) == 2


def test_a_run_keeps_its_best_epoch_and_stops_early_preempted_or_not(tmp_path):
    straight = RunFolder(tmp_path / "straight")
    result = train.train(EARLY, straight, 0)
    history = checkpointing.latest(straight.checkpoints).history
    losses = [row["val_loss"] for row in history]
    best = 1 + losses.index(min(losses))
    assert result["epoch"] == best
    assert len(history) == best + 2 < EARLY.epochs
    # The weights are those of the best epoch, not of the last.
    kept = checkpointing.of_epoch(straight.checkpoints, best)
    model, *_ = run_model.load_trained(straight)
    arrays = checkpointing.read_arrays(kept, "variable")
    for weight, array in zip(model.variables, arrays, strict=False):
        np.testing.assert_array_equal(weight, array)
    last = checkpointing.latest(straight.checkpoints)
    for weight, array, later in zip(
        model.variables,
        arrays,
        checkpointing.read_arrays(last, "variable"),
        strict=False,
    ):
        is_frozen = weight.path.startswith("stage1")
        assert np.array_equal(array, later) == is_frozen, weight.path
    stopped = RunFolder(tmp_path / "stopped")
    # The second is within the epochs that patience counts.
    for steps in (3, 2 * best - 2):
        train_preempted(EARLY, stopped, steps)
    assert train.train(EARLY, stopped, 0)["epoch"] == best
    assert end_of(stopped)[-1] == end_of(straight)[-1]
    report = (stopped.path / "report.md").read_text()
    assert f"Finished: {2 * len(history)} steps, and tested. Early" in report


@pytest.mark.parametrize(
    ("group", "setting", "message"),
    [
        ("training", {"metric": "val_acc"}, "val_loss, val_accuracy. Received"),
        ("optimizer", {"part_rates": "res5=2"}, "stage3. Received: 'res5'"),
    ],
)
def test_names_that_there_are_not_are_refused_before_a_run_begins(
    group, setting, message, tmp_path
):
    wrong = dataclasses.replace(getattr(EARLY, group), **setting)
    run = RunFolder(tmp_path / "run")
    with pytest.raises(UserError, match=message):
        train.train(dataclasses.replace(EARLY, **{group: wrong}), run, 0)
    assert not run.path.exists()
