import dataclasses
import math

import pytest

from training import callbacks, checkpoints
from training.errors import UserError
from training.recipes import get_recipe
from training.run_folder import RunFolder

RECIPE = dataclasses.replace(
    get_recipe("digits_image"), steps=21, epoch_steps=9
)


class Model:
    """What the callbacks ask of a trainer."""

    average = None
    waited_s = 0.0
    stopping = 0

    def ask_to_stop(self):
        self.stopping = 1


def test_a_loss_that_is_no_number_stops_before_it_is_saved(tmp_path):
    run = RunFolder(tmp_path)
    callback = callbacks.Record(run, [], RECIPE)
    callback.set_model(Model())
    callback.on_epoch_begin(0)
    with pytest.raises(UserError, match="loss is nan in epoch 1"):
        callback.on_epoch_end(0, {"loss": math.nan})
    assert checkpoints.latest(run) is None


def test_the_average_is_tested_and_then_taken_back():
    class Average:
        swaps = 0

        def swap(self):
            self.swaps += 1

    model = Model()
    model.average = Average()
    callback = callbacks.TestAsTheyWillBe()
    callback.set_model(model)
    callback.on_test_begin()
    assert model.average.swaps == 1
    callback.on_test_end()
    assert model.average.swaps == 2


def test_a_loss_that_is_no_number_is_not_saved_within_an_epoch(tmp_path):
    callback = callbacks.Record(RunFolder(tmp_path), [], RECIPE, every_s=0.0)
    callback.set_model(Model())
    callback.on_epoch_begin(0)
    with pytest.raises(UserError, match="loss is inf in epoch 1"):
        callback.on_train_batch_end(0, {"loss": math.inf})
    assert checkpoints.latest(RunFolder(tmp_path)) is None
