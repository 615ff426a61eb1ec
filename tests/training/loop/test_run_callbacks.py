import math

import keras
import pytest

from training.io.user_error import UserError
from training.loop import checkpointing, run_callbacks
from training.loop.epoch_plan import EpochPlan

PLAN = EpochPlan(steps=21, epoch_steps=9)


class Model:
    """Attributes of a trainer that the callbacks read."""

    average = None
    waited_s = 0.0
    stopping = 0
    metrics_variables = ()

    def __init__(self, weight=1.0):
        self.variables = [keras.Variable([weight], name="kernel")]
        self.trainable_variables = self.variables
        self.optimizer = keras.optimizers.SGD(0.5)

    def ask_to_stop(self):
        self.stopping = 1


def test_a_loss_that_is_no_number_stops_before_it_is_saved(tmp_path):
    callback = run_callbacks.SaveCheckpoints(tmp_path, [], PLAN)
    callback.set_model(Model())
    callback.on_epoch_begin(0)
    with pytest.raises(UserError, match="loss is nan in epoch 1"):
        callback.on_epoch_end(0, {"loss": math.nan})
    assert checkpointing.latest(tmp_path) is None


def saving(tmp_path, weight=1.0, **options):
    """Callback of a run that begins its third epoch, of 3 steps, not 9."""
    history = [{"epoch": n, "loss": 0.5} for n in (1, 2)]
    callback = run_callbacks.SaveCheckpoints(tmp_path, history, PLAN, **options)
    callback.set_model(Model())
    checkpointing.save(callback.model, tmp_path, history)
    callback.set_model(Model(weight))
    callback.on_epoch_begin(2)
    return callback


def test_a_loss_that_is_not_finite_stops_at_its_step(tmp_path):
    callback = saving(tmp_path)
    callback.on_train_batch_end(0, {"loss": 0.5})
    with pytest.raises(UserError) as error:
        callback.on_train_batch_end(1, {"loss": math.nan})
    message = str(error.value)
    assert message.startswith("The loss is nan in epoch 3, step 20;")
    assert "The last checkpoint, epoch_0002, stays" in message
    assert "new --workdir with a lower --set optimizer.base_lr" in message
    assert checkpointing.latest(tmp_path).epoch == 2


def test_a_first_loss_that_is_not_finite_is_not_the_learning_rates(tmp_path):
    callback = run_callbacks.SaveCheckpoints(tmp_path, [], PLAN)
    callback.set_model(Model())
    callback.on_epoch_begin(0)
    with pytest.raises(UserError, match="No weight was updated yet"):
        callback.on_train_batch_end(0, {"loss": math.inf})


def test_workers_wait_for_the_end_of_an_epoch(tmp_path):
    callback = saving(tmp_path, alone=False)
    callback.on_train_batch_end(0, {"loss": math.nan})
    with pytest.raises(UserError, match="loss is nan in epoch 3"):
        callback.on_epoch_end(2, {"loss": math.nan})


@pytest.mark.parametrize("figure", ["val_loss", "val_box_AP", "accuracy"])
@pytest.mark.parametrize(
    ("weight", "weights"),
    [(1.0, "all weights are finite"), (math.inf, "kernel is not finite")],
)
def test_a_figure_that_is_not_finite_is_not_saved(
    figure, weight, weights, tmp_path
):
    written = []
    callback = saving(tmp_path, weight, write_history=written.append)
    with pytest.raises(UserError) as error:
        callback.on_epoch_end(2, {"loss": 0.5, figure: math.nan})
    message = str(error.value)
    assert f"{figure} is nan after epoch 3, step 21 ({weights}" in message
    assert checkpointing.latest(tmp_path).epoch == 2
    assert not written


def test_the_average_is_tested_and_then_taken_back():
    class Average:
        swaps = 0

        def swap(self):
            self.swaps += 1

    model = Model()
    model.average = Average()
    callback = run_callbacks.ValidateWithEmaWeights()
    callback.set_model(model)
    callback.on_test_begin()
    assert model.average.swaps == 1
    callback.on_test_end()
    assert model.average.swaps == 2


def test_a_loss_that_is_no_number_is_not_saved_within_an_epoch(tmp_path):
    callback = run_callbacks.SaveCheckpoints(tmp_path, [], PLAN, every_s=0.0)
    callback.set_model(Model())
    callback.on_epoch_begin(0)
    with pytest.raises(UserError, match="loss is inf in epoch 1"):
        callback.on_train_batch_end(0, {"loss": math.inf})
    assert checkpointing.latest(tmp_path) is None
