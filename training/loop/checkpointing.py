"""Checkpoints from which a run goes on exactly.

A checkpoint is a directory `checkpoints/epoch_0003`, or
`epoch_0003_step_0000017` for so many steps after three epochs, that appears at
once, or on an object store, where none can, counts from when its state.json is
there. It has the history so far and all variables: weights, the optimizer's,
their moving average, and the state of random generators, which Keras's own
weight files leave out; within an epoch also the sums of its metrics. The data
needs no state: a batch is a function of the seed and its number.
"""

import dataclasses
import io
import json
import re
from collections.abc import Sequence

import keras
import numpy as np

from ..io import atomic_files, json_text, quoting, tables
from ..io.remote import Path
from ..io.user_error import UserError
from ..recipes.schema import BaseRecipe
from ..runs import run_shapes
from ..runs.run_folder import RunFolder
from . import checkpoint_arrays, finite

VARIABLES = "variables.npz"
STATE = "state.json"
KEEP = 2
# Of state.json: thousands of epochs; JSON becomes 24 times as large.
LARGEST_STATE = 2**21
NAME = re.compile(r"epoch_(\d+)(?:_step_(\d+))?")


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The state of a run on disk.

    Attributes:
        path: its directory.
        epoch: whole epochs that are done.
        history: a row for each of them.
        step: steps of the next epoch that are done.
        times: seconds that these took, by column of the history.
    """

    path: Path
    epoch: int
    history: list[dict]
    step: int = 0
    times: dict = dataclasses.field(default_factory=dict)

    def steps(self, recipe: BaseRecipe) -> int:
        """Training steps that are done in all."""
        return recipe.steps_after(self.epoch) + self.step


def latest(run: RunFolder) -> Checkpoint | None:
    """The newest checkpoint of a run that is whole and finite, or None.

    Others are named on the screen and passed over.

    Raises:
        UserError: none is finite, as older code also saved others.
        OSError: one cannot be read now, which says nothing about its content.
    """
    diverged: dict[Path, str] = {}
    for path in reversed(_saved(run)):
        try:
            checkpoint = _read(path)
            figure = finite.not_finite_epoch(checkpoint.history)
            if figure:
                diverged[path] = figure
                continue
            for other, figure in diverged.items():
                print(f"note: passing over {other}: {figure}")
            return checkpoint
        except (
            FileNotFoundError,
            NotADirectoryError,
            ValueError,
            KeyError,
            TypeError,
        ) as error:
            print(f"note: passing over {path}, which is damaged ({error})")
    for figure in diverged.values():
        raise UserError(
            f"{run.path}: the outputs are not finite ({figure}) in any of its "
            "checkpoints, which an older version of the code saved. "
            f"{finite.remedy(run.read_recipe())}"
        )
    return None


def take_up(
    run: RunFolder, start: Checkpoint | None, recipe: BaseRecipe
) -> list[dict]:
    """Makes a run's metrics.csv that of its checkpoint, and says where it is.

    Args:
        run: what goes on.
        start: its `latest`; None for a run that begins.
        recipe: of the run.

    Returns:
        The rows of the epochs that are done.
    """
    if start is None:
        return []
    if start.history:  # a kill may have come before its last row
        run.write_metrics(start.history)
    done = start.steps(recipe)
    steps = tables.number_of(recipe.steps, "step")
    print(f"Resuming {run.path} after {done} of {steps}.")
    return list(start.history)


def _read(path: Path) -> Checkpoint:
    """A checkpoint, checked to be whole."""
    for name in (STATE, VARIABLES):
        if atomic_files.is_endless(path / name):
            raise ValueError(f"{name}: {atomic_files.ENDLESS}")
    state = _read_state(path / STATE)
    if atomic_files.sha256(path / VARIABLES) != state["sha256"]:
        raise ValueError(f"{VARIABLES} is not what was written")
    epoch, history = state["epoch"], state["history"]
    if epoch != len(history):
        raise ValueError(f"{epoch} epochs have {len(history)} rows")
    return Checkpoint(
        path, epoch, history, state.get("step") or 0, state.get("times") or {}
    )


def _read_state(path: Path) -> dict:
    """A checkpoint's state.json, whose values are of the types that we write.

    Raises:
        ValueError: it is damaged, or larger than such files are.
    """
    with path.open("rb") as file:
        content = file.read(LARGEST_STATE + 1)
    if len(content) > LARGEST_STATE:
        raise ValueError(f"{STATE} has more than {LARGEST_STATE} bytes")
    return json_text.parse_as(content, run_shapes.CHECKPOINT)


def restore(model: keras.Model, checkpoint: Checkpoint) -> None:
    """Puts a checkpoint's state into a compiled model of the same recipe.

    Raises:
        UserError: the model is another one.
    """
    variables = _variables(model)
    arrays = read_arrays(checkpoint, "variable", variables)
    names = [variable.path for variable in variables]
    _check_restored(checkpoint, finite.not_finite_array(names, arrays))
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def restore_average(model: keras.Model, checkpoint: Checkpoint) -> None:
    """Puts the moving average of the weights, if any, in their place."""
    variables = model.trainable_variables
    average = read_average(checkpoint, variables)
    if average:
        for variable, array in zip(variables, average, strict=True):
            variable.assign(array)


def read_average(
    checkpoint: Checkpoint, variables: Sequence[keras.Variable]
) -> list[np.ndarray]:
    """The moving average of the weights, or [] if the run has none.

    Args:
        checkpoint: of the run.
        variables: that are averaged.

    Raises:
        UserError: it is not finite, or is of other variables.
    """
    arrays = read_arrays(checkpoint, "average", variables, may_lack=True)
    names = ["the moving average of the weights"] * len(arrays)
    _check_restored(checkpoint, finite.not_finite_array(names, arrays))
    return arrays


def _check_restored(checkpoint: Checkpoint, variable: str) -> None:
    """Refuses what an older version of the code saved."""
    if variable:
        raise UserError(
            f"The outputs are not finite: {variable} of {checkpoint.path} is "
            "not. Training diverged: train in a new --workdir with a lower "
            "optimizer.base_lr."
        )


def read_arrays(
    checkpoint: Checkpoint,
    kind: str,
    variables: Sequence[keras.Variable] | None = None,
    may_lack: bool = False,
) -> list[np.ndarray]:
    """The arrays of a kind.

    Args:
        checkpoint: that has them.
        kind: "variable", "average" or "metric".
        variables: that they are for; None for whatever is there.
        may_lack: whether there may be none.

    Raises:
        UserError: they cannot be read, or do not fit the variables.
    """
    return checkpoint_arrays.read(
        checkpoint.path / VARIABLES, f"{kind}_", variables, may_lack
    )


def save(
    model: keras.Model,
    run: RunFolder | None,
    history: list[dict],
    step: int = 0,
    times: dict | None = None,
) -> None:
    """Writes a checkpoint.

    Args:
        model: a compiled model; with an attribute `average`, that is kept too.
        run: where to; None on a worker that only helps to collect the state.
        history: a row for each epoch that is done.
        step: steps of the next epoch that are done.
        times: seconds that these took.

    Raises:
        UserError: a variable is not finite.
        OSError: it cannot be written.
    """
    arrays: dict = _arrays(model, step)
    if run is None:
        return
    variable = _not_finite(model, arrays)
    if variable:
        saved_at = (
            f"step {step} of epoch {len(history) + 1}"
            if step
            else f"epoch {len(history)}"
        )
        raise UserError(
            f"{variable} is not finite after {saved_at}; this was not saved. "
            f"{finite.remedy(run.read_recipe())}"
        )
    content = io.BytesIO()
    # In memory first: a plain write fails plainly when the disk is full.
    np.savez(content, **arrays)
    epoch = len(history)
    name = f"epoch_{epoch:04d}" + (f"_step_{step:07d}" if step else "")
    made = run.checkpoints / name
    if made.exists():  # damaged, else the run had gone on from it
        atomic_files.remove_directory(made, last=STATE)
    with atomic_files.new_directory(made, last=STATE) as path:
        (path / VARIABLES).write_bytes(content.getbuffer())
        state = {
            "epoch": epoch,
            "step": step,
            "times": times or {},
            "history": history,
            "sha256": atomic_files.sha256(path / VARIABLES),
        }
        (path / STATE).write_text(json.dumps(state, indent=2), "utf-8")
    saved = _saved(run)
    # Those that come later are damaged, else the run had gone on from them.
    kept = saved[: saved.index(made) + 1][-KEEP:]
    for other in _found(run):
        if other not in kept:
            atomic_files.remove_directory(other, last=STATE)


def of_trained(run: RunFolder) -> Checkpoint:
    """The newest checkpoint of a run, for those who use what it has learnt.

    Says on the screen if the run is not at its end.

    Raises:
        UserError: this is no run folder, or nothing was saved in it yet.
    """
    recipe = run.read_recipe()
    checkpoint = latest(run)
    if checkpoint is None:
        raise UserError(
            f"{run.path} has no checkpoint yet. Go on training it with: "
            f"nonlocal-tf train --workdir {quoting.shell(run.path)}"
        )
    if checkpoint.epoch < recipe.epochs:
        done = checkpoint.steps(recipe)
        steps = tables.number_of(recipe.steps, "step")
        print(f"note: {run.path} is trained for {done} of {steps}")
    return checkpoint


def not_finite_variable(model: keras.Model) -> str:
    """The name of the first variable that is not finite, or ""."""
    return _not_finite(model, _arrays(model, step=0))


def newest_name(run: RunFolder) -> str:
    """The name of a run's newest checkpoint, or ""."""
    saved = _saved(run)
    return saved[-1].name if saved else ""


def _not_finite(model: keras.Model, arrays: dict[str, np.ndarray]) -> str:
    names = [variable.path for variable in _variables(model)]
    if getattr(model, "average", None):
        trained = model.trainable_variables
        names += [f"the moving average of {v.path}" for v in trained]
    # Behind them are the sums of metrics, which the loss speaks for.
    checked = list(arrays.values())[: len(names)]
    return finite.not_finite_array(names, checked)


def _arrays(model: keras.Model, step: int) -> dict[str, np.ndarray]:
    average = getattr(model, "average", None)
    kinds = {
        "variable": _variables(model),
        "average": average.variables if average else [],
        # At the end of an epoch they start anew.
        "metric": model.metrics_variables if step else [],
    }
    return {
        f"{kind}_{index:05d}": keras.ops.convert_to_numpy(variable)
        for kind, variables in kinds.items()
        for index, variable in enumerate(variables)
    }


def _saved(run: RunFolder) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return [
        path for path in _found(run) if atomic_files.is_whole(path, last=STATE)
    ]


def _found(run: RunFolder) -> list[Path]:
    """The same, with those that a killed process was uploading."""
    found = [(NAME.fullmatch(p.name), p) for p in run.checkpoints.glob("*")]
    numbered = [
        (int(match[1]), int(match[2] or 0), path)
        for match, path in found
        if match
    ]
    return [path for *_, path in sorted(numbered, key=lambda row: row[:2])]


def _variables(model: keras.Model) -> list[keras.Variable]:
    """All that training changes; `variables` has generators' states too.

    By position: Keras numbers unnamed layers anew in each process.
    """
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]
