import errno
import json
import math
import os
import pathlib

import keras
import numpy as np
import pytest

from training.io.paths import UrlPath
from training.io.user_error import UserError
from training.loop import checkpointing
from training.loop.epoch_plan import EpochPlan
from training.loop.moving_average import WeightAverage


@pytest.fixture
def directory(tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    return folder


def make_model():
    """A model with weights, optimizer state and a random generator."""
    inputs = keras.Input((5,))
    x = keras.layers.Dropout(0.5)(keras.layers.Dense(7)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=False)
    return model


def fit(model, steps=3):
    rng = np.random.default_rng(0)
    model.fit(
        rng.standard_normal((steps * 4, 5)),
        rng.standard_normal((steps * 4, 2)),
        batch_size=4,
        shuffle=False,
        verbose=0,
    )


def rows(count):
    return [{"epoch": epoch + 1, "loss": 0.5} for epoch in range(count)]


def assert_equal_weights(first, second):
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_there_is_none_at_first(directory):
    assert checkpointing.latest(directory) is None


def test_training_goes_on_exactly(directory):
    straight = make_model()
    fit(straight)
    checkpointing.save(straight, directory, rows(1))
    fit(straight)
    resumed = make_model()
    checkpointing.restore(resumed, checkpointing.latest(directory))
    fit(resumed)
    assert_equal_weights(straight, resumed)
    assert int(resumed.optimizer.iterations) == 6


def test_history_is_kept(directory):
    checkpointing.save(make_model(), directory, rows(2))
    latest = checkpointing.latest(directory)
    assert (latest.epoch, latest.history) == (2, rows(2))


@pytest.mark.parametrize("epochs", [(1, 2, 3), (9998, 9999, 10000)])
def test_only_the_last_two_are_kept(directory, epochs):
    for epoch in epochs:
        checkpointing.save(make_model(), directory, rows(epoch))
    kept = {path.name for path in directory.iterdir()}
    assert kept == {f"epoch_{epoch:04d}" for epoch in epochs[1:]}
    assert checkpointing.latest(directory).epoch == epochs[-1]


@pytest.mark.parametrize("name", [checkpointing.VARIABLES, checkpointing.STATE])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing"])
def test_damage_is_named_and_passed_over(directory, name, damage, capsys):
    for epoch in (1, 2):
        checkpointing.save(make_model(), directory, rows(epoch))
    path = directory / "epoch_0002" / name
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 255
        path.write_bytes(content)
    assert checkpointing.latest(directory).epoch == 1
    assert "passing over" in (printed := capsys.readouterr().out)
    assert "epoch_0002, which is damaged" in printed
    assert path.parent.exists()


def test_an_epoch_can_be_saved_over_its_damaged_checkpoint(directory):
    for epoch in (1, 2):
        checkpointing.save(make_model(), directory, rows(epoch))
    path = directory / "epoch_0002" / checkpointing.VARIABLES
    path.write_bytes(path.read_bytes()[:-1])
    checkpointing.save(make_model(), directory, rows(2))
    assert checkpointing.latest(directory).epoch == 2


def test_weights_that_are_no_numbers_are_not_saved(directory):
    model = make_model()
    checkpointing.save(model, directory, rows(1))
    kernel = model.trainable_variables[0]
    kernel.assign(np.full(kernel.shape, np.nan))
    with pytest.raises(UserError, match="kernel is not finite after epoch 2"):
        checkpointing.save(model, directory, rows(2))
    assert checkpointing.latest(directory).epoch == 1


def spoilt(model, kind):
    """A model that has a number which is not finite, and the number's name."""
    fit(model, steps=1)
    if kind == "average":
        model.average = WeightAverage(model.trainable_variables, 0.5)
        variable = model.average.variables[0]
        name = f"the moving average of {model.trainable_variables[0].path}"
    else:
        variables = {
            "statistics": model.layers[1].moving_variance,
            "optimizer": model.optimizer.variables[-1],
        }
        variable = variables[kind]
        name = variable.path
    value = np.array(variable)
    value.flat[-1] = np.inf
    variable.assign(value)
    return name


def normalised_model():
    inputs = keras.Input((5,))
    x = keras.layers.BatchNormalization()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=False)
    return model


@pytest.mark.parametrize("kind", ["average", "statistics", "optimizer"])
def test_nothing_that_is_not_finite_is_saved(directory, kind):
    model = normalised_model()
    name = spoilt(model, kind)
    with pytest.raises(UserError) as error:
        checkpointing.save(model, directory, rows(1), step=7)
    assert f"{name} is not finite after step 7 of epoch 2" in str(error.value)
    assert checkpointing.latest(directory) is None


def diverged(count):
    return [*rows(count - 1), {"epoch": count, "val_loss": math.nan}]


def test_a_run_goes_on_from_its_last_finite_checkpoint(directory, capsys):
    checkpointing.save(make_model(), directory, rows(1))
    checkpointing.save(
        make_model(), directory, diverged(2)
    )  # as older code did
    assert checkpointing.latest(directory).epoch == 1
    printed = capsys.readouterr().out
    assert "epoch_0002: val_loss is nan in epoch 2" in printed


def test_a_run_without_a_finite_checkpoint_says_so(directory):
    for count in (1, 2):
        checkpointing.save(make_model(), directory, diverged(count))
    with pytest.raises(UserError) as error:
        checkpointing.latest(directory)
    message = str(error.value)
    assert (
        "outputs are not finite (val_loss is nan in epoch 2) in any" in message
    )
    assert "new --workdir" in message


@pytest.mark.parametrize("kind", ["statistics", "average"])
def test_variables_that_older_code_saved_are_refused(
    directory, kind, monkeypatch
):
    model = normalised_model()
    spoilt(model, kind)
    with monkeypatch.context() as patch:
        patch.setattr(checkpointing, "_not_finite", lambda *_: "")
        checkpointing.save(model, directory, rows(1))
    restored = normalised_model()
    with pytest.raises(UserError, match="outputs are not finite: .*epoch_0001"):
        checkpointing.restore(restored, checkpointing.latest(directory))
        checkpointing.restore_average(restored, checkpointing.latest(directory))


def test_a_damaged_checkpoint_does_not_push_out_a_good_one(directory):
    for epoch in (1, 2, 5):
        checkpointing.save(make_model(), directory, rows(epoch))
    (directory / "epoch_0005" / checkpointing.VARIABLES).write_bytes(b"")
    checkpointing.save(make_model(), directory, rows(3))
    kept = sorted(path.name for path in directory.iterdir())
    assert kept == ["epoch_0002", "epoch_0003"]


def test_steps_within_an_epoch_come_after_it(directory):
    model = make_model()
    fit(model, steps=1)
    for epoch, step in ((9, 0), (9, 2), (10, 0), (10, 11)):
        checkpointing.save(
            model, directory, rows(epoch), step, {"seconds": 1.5}
        )
    latest = checkpointing.latest(directory)
    assert (latest.epoch, latest.step) == (10, 11)
    assert latest.path.name == "epoch_0010_step_0000011"
    assert latest.times == {"seconds": 1.5}
    assert latest.steps(EpochPlan(steps=230, epoch_steps=20)) == 211
    kept = sorted(path.name for path in directory.iterdir())
    assert kept == ["epoch_0010", "epoch_0010_step_0000011"]


def test_a_state_that_is_something_else_is_damage(directory):
    checkpointing.save(make_model(), directory, rows(1))
    (directory / "epoch_0001" / checkpointing.STATE).write_text("[]")
    assert checkpointing.latest(directory) is None


def state(**fields):
    return json.dumps({"epoch": 1, "history": rows(1), "sha256": "", **fields})


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        state(epoch="1", history="a"),
        state(history=["a"]),
        state(history=[{"epoch": 10**400}]),
        state(history=[{"epoch": [1]}]),
        state(step=0.5),
        state(times=[1]),
        state(extra=" " * checkpointing.LARGEST_STATE),
    ],
)
def test_a_state_of_other_values_is_damage(directory, text, capsys):
    checkpointing.save(make_model(), directory, rows(1))
    (directory / "epoch_0001" / checkpointing.STATE).write_text(text)
    assert checkpointing.latest(directory) is None
    assert "is damaged" in capsys.readouterr().out


def test_a_file_in_the_place_of_a_checkpoint_is_damage(directory, capsys):
    checkpointing.save(make_model(), directory, rows(1))
    (directory / "epoch_0002").touch()
    assert checkpointing.latest(directory).epoch == 1
    assert "epoch_0002, which is damaged" in capsys.readouterr().out


@pytest.mark.parametrize("name", [checkpointing.VARIABLES, checkpointing.STATE])
def test_a_fifo_in_a_checkpoint_is_damage(directory, name, capsys):
    checkpointing.save(make_model(), directory, rows(1))
    path = directory / "epoch_0001" / name
    path.unlink()
    os.mkfifo(path)
    assert checkpointing.latest(directory) is None
    assert f"{name}: it is a FIFO" in capsys.readouterr().out


def test_the_only_checkpoint_damaged_means_starting_over(directory):
    checkpointing.save(make_model(), directory, rows(1))
    (directory / "epoch_0001" / checkpointing.VARIABLES).write_bytes(b"")
    assert checkpointing.latest(directory) is None


def test_weights_of_another_model_are_refused(directory):
    checkpointing.save(make_model(), directory, rows(1))
    inputs = keras.Input((5,))
    other = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    other.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=False)
    with pytest.raises(UserError, match="does not fit"):
        checkpointing.restore(other, checkpointing.latest(directory))


def test_a_full_disk_leaves_the_last_checkpoint(directory, monkeypatch):
    model = make_model()
    checkpointing.save(model, directory, rows(1))

    def full_disk(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space"):
        checkpointing.save(model, directory, rows(2))
    assert checkpointing.latest(directory).epoch == 1
    names = [path.name for path in directory.iterdir()]
    assert names == ["epoch_0001"]


def test_a_checkpoint_at_a_url_is_read_back(memory_url):
    directory = UrlPath(memory_url)
    model, other = make_model(), make_model()
    checkpointing.save(model, directory, rows(1))
    checkpointing.restore(other, checkpointing.latest(directory))
    assert_equal_weights(model, other)


def test_a_checkpoint_at_a_url_without_its_state_is_replaced(memory_url):
    directory = UrlPath(memory_url)
    for epoch in (1, 2):
        checkpointing.save(make_model(), directory, rows(epoch))
    (directory / "epoch_0002" / "state.json").unlink()
    assert checkpointing.latest(directory).epoch == 1
    checkpointing.save(make_model(), directory, rows(2))
    assert checkpointing.latest(directory).epoch == 2


def test_old_and_half_uploaded_checkpoints_at_a_url_are_removed(memory_url):
    directory = UrlPath(memory_url)
    (directory / "epoch_0001" / "variables.npz").write_bytes(b"half")
    for epoch in (2, 3, 4):
        checkpointing.save(make_model(), directory, rows(epoch))
    names = {path.name for path in directory.iterdir()}
    assert names == {"epoch_0003", "epoch_0004"}
