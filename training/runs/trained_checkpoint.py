"""The trained weights of a run, in its latest checkpoint."""

from ..io import quoting, tables
from ..io.user_error import UserError
from ..loop import checkpointing
from ..loop.checkpointing import Checkpoint
from .run_folder import RunFolder


def trained_checkpoint(run: RunFolder) -> Checkpoint:
    """Return the latest checkpoint of a run, to use its trained weights.

    Prints a note if training is not finished.

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
    if checkpoint.epoch < recipe.epochs:
        steps_taken = checkpoint.steps(recipe.plan)
        steps = tables.number_of(recipe.steps, "step")
        print(f"note: {run.path} is trained for {steps_taken} of {steps}")
    return checkpoint
