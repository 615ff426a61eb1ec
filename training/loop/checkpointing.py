"""Checkpoints from which training resumes exactly.

A checkpoint is a folder `epoch_0003`, or `epoch_0003_step_0000017` for 17
steps after three epochs. It is written atomically; on an object store, which
has no atomic rename, it counts once its state.json exists. It holds the history
and all variables: weights, optimizer state, moving averages and random
generators, which Keras's own weight files leave out; within an epoch also the
sums of its metrics. Data needs no state: a batch is a function of the seed and
its number.
"""

import dataclasses
import io
import json
import re
from collections.abc import Sequence

import keras
import numpy as np

from ..io import atomic_files, finite, json_text
from ..io.paths import Path
from ..io.user_error import UserError
from . import checkpoint_arrays
from .epoch_plan import EpochPlan

VARIABLES = "variables.npz"
STATE = "state.json"
KEEP = 2
# Errors of reading a checkpoint that is not what was written.
DAMAGED = (
    FileNotFoundError,
    NotADirectoryError,
    ValueError,
    KeyError,
    TypeError,
)
# Of state.json: thousands of epochs; JSON becomes 24 times as large.
LARGEST_STATE = 2**21
NAME = re.compile(r"epoch_(\d+)(?:_step_(\d+))?")
# Of state.json, as of `json_text.matches`.
STATE_SHAPE = {
    "sha256": str,
    "epoch": int,
    "history": [{str: (float, str, None)}],
    "step": (int, None),
    "times": ({str: float}, None),
    "data": ({str: str}, None),
}


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Training state on disk.

    Attributes:
        path: folder of the checkpoint.
        epoch: number of finished epochs.
        history: a row for each of them.
        step: finished steps of the next epoch.
        times: seconds that these took, by column of the history.
        data: texts that identify the training data, such as its fingerprint.
    """

    path: Path
    epoch: int
    history: list[dict]
    step: int = 0
    times: dict = dataclasses.field(default_factory=dict)
    data: dict[str, str] = dataclasses.field(default_factory=dict)

    def steps(self, plan: EpochPlan) -> int:
        """Number of finished training steps of the run."""
        return plan.steps_after(self.epoch) + self.step


def latest(directory: Path) -> Checkpoint | None:
    """Return the newest complete and finite checkpoint, or None.

    Damaged and diverged ones are skipped with a note on the screen.

    Args:
        directory: folder of checkpoints; it may not exist.

    Raises:
        UserError: all are diverged, which older code saved.
        OSError: one cannot be read now, which says nothing about its content.
    """
    diverged: dict[Path, str] = {}
    for path in reversed(_complete(directory)):
        try:
            checkpoint = _read(path)
            figure = finite.not_finite_epoch(checkpoint.history)
            if figure:
                diverged[path] = figure
                continue
            for other, figure in diverged.items():
                print(f"note: passing over {other}: {figure}")
            return checkpoint
        except DAMAGED as error:
            print(f"note: passing over {path}, which is damaged ({error})")
    for figure in diverged.values():
        raise UserError(
            f"{directory}: the outputs are not finite ({figure}) in any "
            "checkpoint, which an older version of the code saved. "
            f"{finite.remedy()}"
        )
    return None


def of_epoch(directory: Path, epoch: int) -> Checkpoint:
    """Return the checkpoint after an epoch.

    Args:
        directory: folder of checkpoints.
        epoch: number of finished epochs.

    Raises:
        UserError: it is missing or damaged.
    """
    path = directory / _name(epoch)
    try:
        return _read(path)
    except DAMAGED as error:
        raise UserError(
            f"Expected {path}, the checkpoint of the best epoch. It cannot be "
            f"read: {error}"
        ) from error


def _name(epoch: int, step: int = 0) -> str:
    return f"epoch_{epoch:04d}" + (f"_step_{step:07d}" if step else "")


def _read(path: Path) -> Checkpoint:
    """Read a checkpoint and check that it is complete."""
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
        path,
        epoch,
        history,
        state.get("step") or 0,
        state.get("times") or {},
        state.get("data") or {},
    )


def _read_state(path: Path) -> dict:
    """Read a checkpoint's state.json and check its types.

    Raises:
        ValueError: it is damaged, or larger than such files are.
    """
    with path.open("rb") as file:
        content = file.read(LARGEST_STATE + 1)
    if len(content) > LARGEST_STATE:
        raise ValueError(f"{STATE} has more than {LARGEST_STATE} bytes")
    return json_text.parse_as(content, STATE_SHAPE)


def restore(model: keras.Model, checkpoint: Checkpoint) -> None:
    """Load a checkpoint's state into a compiled model.

    Raises:
        UserError: the checkpoint is of another model.
    """
    variables = _variables(model)
    arrays = read_arrays(checkpoint, "variable", variables)
    names = [variable.path for variable in variables]
    _check_restored(checkpoint, finite.not_finite_array(names, arrays))
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def restore_average(model: keras.Model, checkpoint: Checkpoint) -> None:
    """Replace weights by their moving averages, if there are any."""
    variables = model.trainable_variables
    average = read_average(checkpoint, variables)
    if average:
        for variable, array in zip(variables, average, strict=True):
            variable.assign(array)


def read_average(
    checkpoint: Checkpoint, variables: Sequence[keras.Variable]
) -> list[np.ndarray]:
    """Read the moving averages of weights; [] if there are none.

    Args:
        checkpoint: with them.
        variables: trainable weights.

    Raises:
        UserError: they are not finite, or are of other variables.
    """
    arrays = read_arrays(checkpoint, "average", variables, optional=True)
    names = ["the moving average of the weights"] * len(arrays)
    _check_restored(checkpoint, finite.not_finite_array(names, arrays))
    return arrays


def _check_restored(checkpoint: Checkpoint, variable: str) -> None:
    """Raise a UserError if a variable is not finite, as older code saved."""
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
    optional: bool = False,
) -> list[np.ndarray]:
    """Read the arrays of a kind.

    Args:
        checkpoint: with them.
        kind: "variable", "average" or "metric".
        variables: that they are for; None for all arrays of the file.
        optional: whether there may be none.

    Raises:
        UserError: they cannot be read, or do not fit the variables.
    """
    return checkpoint_arrays.read(
        checkpoint.path / VARIABLES, f"{kind}_", variables, optional
    )


def save(
    model: keras.Model,
    directory: Path | None,
    history: list[dict],
    step: int = 0,
    times: dict | None = None,
    remedy: str = "",
    data: dict[str, str] | None = None,
    kept_epoch: int | None = None,
) -> None:
    """Write a checkpoint and delete all but the last `KEEP` and one more.

    Args:
        model: a compiled model; moving averages in its attribute `average`, if
            any, are saved too.
        directory: folder of checkpoints; None on a worker that only helps to
            collect the state.
        history: a row for each finished epoch.
        step: finished steps of the next epoch.
        times: seconds that these took.
        remedy: advice for the error, a sentence.
        data: texts that identify the training data.
        kept_epoch: finished epochs of another checkpoint that stays.

    Raises:
        UserError: a variable is not finite.
        OSError: it cannot be written.
    """
    arrays: dict = _arrays(model, step)
    if directory is None:
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
            f"{remedy or finite.remedy()}"
        )
    content = io.BytesIO()
    # In memory first: a plain write fails plainly when the disk is full.
    np.savez(content, **arrays)
    epoch = len(history)
    checkpoint = directory / _name(epoch, step)
    if checkpoint.exists():  # damaged, else training had resumed from it
        atomic_files.remove_directory(checkpoint, last=STATE)
    with atomic_files.new_directory(checkpoint, last=STATE) as path:
        (path / VARIABLES).write_bytes(content.getbuffer())
        state = {
            "epoch": epoch,
            "step": step,
            "times": times or {},
            "history": history,
            **({"data": data} if data else {}),
            "sha256": atomic_files.sha256(path / VARIABLES),
        }
        (path / STATE).write_text(json.dumps(state, indent=2), "utf-8")
    complete = _complete(directory)
    # Later ones are damaged, else training had resumed from them.
    kept = complete[: complete.index(checkpoint) + 1][-KEEP:]
    if kept_epoch is not None:
        kept.append(directory / _name(kept_epoch))
    for other in _all(directory):
        if other not in kept:
            atomic_files.remove_directory(other, last=STATE)


def not_finite_variable(model: keras.Model) -> str:
    """The name of the first variable that is not finite, or ""."""
    return _not_finite(model, _arrays(model, step=0))


def newest_name(directory: Path) -> str:
    """Return the name of the newest checkpoint, or ""."""
    complete = _complete(directory)
    return complete[-1].name if complete else ""


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


def _complete(directory: Path) -> list[Path]:
    """List the checkpoints in a folder, oldest first."""
    return [
        path
        for path in _all(directory)
        if atomic_files.is_whole(path, last=STATE)
    ]


def _all(directory: Path) -> list[Path]:
    """List checkpoints and partial uploads of killed processes."""
    matches = [(NAME.fullmatch(p.name), p) for p in directory.glob("*")]
    numbered = [
        (int(match[1]), int(match[2] or 0), path)
        for match, path in matches
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
