"""Checkpoints from which a run goes on exactly, and the callback that writes.

A checkpoint is a directory `checkpoints/epoch_0003` that appears at once, with
weights and optimizer state, the state of random generators (which Keras's own
weight files leave out) and the history so far. The data needs no state: a batch
is a function of the seed and its number.
"""

import dataclasses
import json
import math
import pathlib
import shutil
import time
import warnings

import keras
import numpy as np

from training import files
from training.errors import UserError
from training.run_folder import RunFolder

WEIGHTS = "model.weights.h5"
GENERATORS = "generators.npz"
STATE = "state.json"
KEEP = 2


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """One epoch's checkpoint on disk."""

    path: pathlib.Path
    epoch: int
    history: list[dict]


def latest(run: RunFolder) -> Checkpoint | None:
    """The newest checkpoint of a run, checked to be whole, or None.

    Raises:
        UserError: it is damaged.
    """
    found = sorted(run.checkpoints.glob("epoch_*"), reverse=True)
    if not found:
        return None
    newest, previous = found[0], found[1:2]
    go_on = f"go on from {previous[0].name}" if previous else "start over"
    try:
        state = json.loads((newest / STATE).read_text("utf-8"))
        damaged = [
            name
            for name, digest in state["sha256"].items()
            if files.sha256(newest / name) != digest
        ]
        checkpoint = Checkpoint(newest, state["epoch"], state["history"])
    except (OSError, ValueError, KeyError) as error:
        damaged = [f"{STATE}: {error}"]
    if damaged:
        raise UserError(
            f"Checkpoint {newest} is damaged ({', '.join(damaged)}). Delete "
            f"that directory to {go_on}."
        )
    return checkpoint


def restore(model: keras.Model, checkpoint: Checkpoint) -> None:
    """Puts a checkpoint's state into a model of the same recipe.

    A compiled model gets its optimizer's state too.
    """
    if model.compiled and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    try:
        with warnings.catch_warnings():
            # Keras only warns of layers that the file does not have.
            warnings.simplefilter("error", UserWarning)
            model.load_weights(checkpoint.path / WEIGHTS)
    except (OSError, ValueError, UserWarning) as error:
        raise UserError(
            f"Checkpoint {checkpoint.path} does not fit its recipe's model: "
            f"{str(error).splitlines()[0]}"
        ) from error
    with np.load(checkpoint.path / GENERATORS) as saved:
        for index, variable in enumerate(_generators(model)):
            variable.assign(saved[str(index)])


def save(model: keras.Model, run: RunFolder, history: list[dict]) -> None:
    """Writes the checkpoint of the epoch that ends the history."""
    epoch = len(history)
    with files.new_directory(run.checkpoints / f"epoch_{epoch:04d}") as path:
        model.save_weights(path / WEIGHTS)
        np.savez(
            path / GENERATORS,
            **{
                str(index): keras.ops.convert_to_numpy(variable)
                for index, variable in enumerate(_generators(model))
            },
        )
        digests = {n: files.sha256(path / n) for n in (WEIGHTS, GENERATORS)}
        state = {"epoch": epoch, "history": history, "sha256": digests}
        (path / STATE).write_text(json.dumps(state, indent=2), "utf-8")
    for old in sorted(run.checkpoints.glob("epoch_*"))[:-KEEP]:
        shutil.rmtree(old)


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
                "saved of it. Try a lower optimizer.base_lr."
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


def _generators(model: keras.Model) -> list:
    """States of dropout and the like: variables that are not weights."""
    weights = {id(weight) for weight in model.weights}
    return [v for v in model.variables if id(v) not in weights]
