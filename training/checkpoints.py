"""Checkpoints from which a run goes on exactly, and the callback that writes.

A checkpoint is a directory `checkpoints/epoch_0003` that appears at once, or on
an object store, where none can, counts from when its state.json is there. It
has the history so far and all variables: weights, the optimizer's, and the
state of random generators, which Keras's own weight files leave out. The data
needs no state: a batch is a function of the seed and its number.
"""

import dataclasses
import io
import json
import math
import time
import zipfile

import keras
import numpy as np

from training import files
from training.errors import UserError
from training.remote import Path
from training.run_folder import RunFolder

VARIABLES = "variables.npz"
STATE = "state.json"
KEEP = 2


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """One epoch's checkpoint on disk."""

    path: Path
    epoch: int
    history: list[dict]


def latest(run: RunFolder) -> Checkpoint | None:
    """The newest checkpoint of a run, checked to be whole, or None.

    Raises:
        UserError: it is damaged.
    """
    found = _saved(run)
    if not found:
        return None
    newest, previous = found[-1], found[-2:-1]
    damage = None
    try:
        state = json.loads((newest / STATE).read_text("utf-8"))
        if files.sha256(newest / VARIABLES) != state["sha256"]:
            damage = VARIABLES
        checkpoint = Checkpoint(newest, state["epoch"], state["history"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        damage = f"{STATE}: {error}"
    if damage:
        go_on = f"go on from {previous[0].name}" if previous else "start over"
        raise UserError(
            f"Checkpoint {newest} is damaged ({damage}). Delete that directory "
            f"to {go_on}."
        )
    return checkpoint


def restore(model: keras.Model, checkpoint: Checkpoint) -> None:
    """Puts a checkpoint's state into a compiled model of the same recipe.

    Raises:
        UserError: the model is another one.
    """
    variables = _variables(model)
    try:
        with (
            (checkpoint.path / VARIABLES).open("rb") as file,
            np.load(file) as saved,
        ):
            arrays = [saved[_key(index)] for index in range(len(saved.files))]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{checkpoint.path / VARIABLES}: {error}") from error
    shapes = [tuple(variable.shape) for variable in variables]
    if shapes != [array.shape for array in arrays]:
        raise UserError(
            f"Checkpoint {checkpoint.path} does not fit its recipe's model: "
            "was it written by another version of the code?"
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def save(model: keras.Model, run: RunFolder, history: list[dict]) -> None:
    """Writes the checkpoint of the epoch that ends the history."""
    epoch = len(history)
    arrays = {
        _key(index): keras.ops.convert_to_numpy(variable)
        for index, variable in enumerate(_variables(model))
    }
    # In memory first: a plain write fails plainly when the disk is full.
    content = io.BytesIO()
    np.savez(content, **arrays)
    made = run.checkpoints / f"epoch_{epoch:04d}"
    with files.new_directory(made, last=STATE) as path:
        (path / VARIABLES).write_bytes(content.getbuffer())
        digest = files.sha256(path / VARIABLES)
        state = {"epoch": epoch, "history": history, "sha256": digest}
        (path / STATE).write_text(json.dumps(state, indent=2), "utf-8")
    kept = _saved(run)[-KEEP:]
    for old in _found(run):
        if old not in kept:
            files.remove_directory(old, last=STATE)


class CheckpointEveryEpoch(keras.callbacks.Callback):
    """Saves a checkpoint, then metrics.csv, at the end of each epoch.

    Args:
        run: where to.
        history: rows of the epochs before this start; grows.
        epoch_steps: training steps an epoch.
    """

    def __init__(self, run: RunFolder, history: list[dict], epoch_steps: int):
        super().__init__()
        self._run = run
        self._history = history
        self._epoch_steps = epoch_steps
        self._began = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        logs = {key: float(value) for key, value in (logs or {}).items()}
        if not math.isfinite(logs["loss"]):
            raise UserError(
                f"The loss is {logs['loss']} in epoch {epoch + 1}; nothing was "
                "saved of it. Try a lower optimizer.base_lr, in a new "
                "--workdir."
            )
        rate = keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
        self._history.append(
            {
                "epoch": epoch + 1,
                "step": (epoch + 1) * self._epoch_steps,
                "learning_rate": float(rate),
                **logs,
                "seconds": round(time.monotonic() - self._began, 2),
            }
        )
        save(self.model, self._run, self._history)
        self._run.write_metrics(self._history)


def _saved(run: RunFolder) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return [path for path in _found(run) if files.is_whole(path, last=STATE)]


def _found(run: RunFolder) -> list[Path]:
    """The same, with those that a killed process was uploading."""
    found = run.checkpoints.glob("epoch_*")
    return sorted(found, key=lambda path: int(path.name.removeprefix("epoch_")))


def _variables(model: keras.Model) -> list[keras.Variable]:
    """All that training changes; `variables` has generators' states too."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]


def _key(index: int) -> str:
    """Name in the file: Keras numbers unnamed layers anew in each process."""
    return f"variable_{index:05d}"
