"""The trained weights of a run, in its latest checkpoint."""

from ..io import quoting, tables
from ..io.user_error import UserError
from ..loop import best_epoch, checkpointing
from ..loop.checkpointing import Checkpoint
from .run_folder import RunFolder


def trained_checkpoint(run: RunFolder) -> Checkpoint:
    """Return the checkpoint of a run whose weights are tested and exported.

    It is the latest, or that of the best epoch: `training.keep`. Prints a note
    if training is not finished.

    Raises:
        UserError: the folder is no run, or has no checkpoint yet.
    """
    recipe = run.read_recipe()
    checkpoint = checkpointing.latest(run.checkpoints)
    if checkpoint is None:
        raise UserError(
            f"{run.path} has no checkpoint yet. Continue its training with: "
            f"nonlocal-tf train --workdir {quoting.shell(run.path)}"
        )
    settings, history = recipe.training, checkpoint.history
    is_stopped = best_epoch.is_stopped(settings, history)
    if checkpoint.epoch < recipe.epochs and not is_stopped:
        steps_taken = checkpoint.steps(recipe.plan)
        steps = tables.number_of(recipe.steps, "step")
        print(f"note: {run.path} is trained for {steps_taken} of {steps}")
    if settings.keep == best_epoch.BEST and history:
        number = best_epoch.best_epoch(settings, history)
        if (number, 0) != (checkpoint.epoch, checkpoint.step):
            return checkpointing.of_epoch(run.checkpoints, number)
    return checkpoint
