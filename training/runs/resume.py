"""Resumption of runs from their latest checkpoints."""

from ..io import quoting, tables
from ..io.user_error import UserError
from ..loop import checkpointing
from ..loop.checkpointing import Checkpoint
from ..recipes.schema import BaseRecipe
from .run_folder import RunFolder


def resume_history(
    run: RunFolder, checkpoint: Checkpoint | None, recipe: BaseRecipe
) -> list[dict]:
    """Rewrite metrics.csv from a checkpoint and say where training resumes.

    Args:
        run: folder of the run.
        checkpoint: its latest; None for a new run.
        recipe: of the run.

    Returns:
        The rows of the finished epochs.
    """
    if checkpoint is None:
        return []
    if checkpoint.history:  # a kill may have come before its last row
        run.write_metrics(checkpoint.history)
    steps_taken = checkpoint.steps(recipe.plan)
    steps = tables.number_of(recipe.steps, "step")
    print(f"Resuming {run.path} after {steps_taken} of {steps}.")
    return list(checkpoint.history)


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
