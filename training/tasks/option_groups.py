"""Options of a command that belong to one task."""

import argparse
from collections.abc import Mapping, Sequence

from .. import tasks
from ..io.user_error import UserError
from .base import Task

Groups = Mapping[str, argparse._ArgumentGroup]


def add(parser: argparse.ArgumentParser, method: str) -> Groups:
    """Add a group of options for each task.

    Args:
        parser: of the command.
        method: of `Task`, which adds its options to a group.

    Returns:
        The groups, by the name of the task.
    """
    groups = {}
    for task in tasks.TASKS:
        groups[task.name] = parser.add_argument_group(f"for {task.name}")
        getattr(task, method)(groups[task.name])
    return groups


def add_sources(parser: argparse.ArgumentParser) -> None:
    """Add the options for a run folder, and for a published detector."""
    parser.add_argument("--workdir", metavar="DIR", help="run folder or URL")
    add_weights(parser)


def add_weights(parser: argparse.ArgumentParser) -> None:
    """Add the option for the file of a published detector."""
    parser.add_argument(
        "--weights",
        metavar="FILE",
        help="instead of a run: a Mask or Keypoint R-CNN of torchvision or "
        "detectron2 that was trained on COCO",
    )


def check_one_source(
    options: argparse.Namespace, names: Sequence[str], advice: str
) -> None:
    """Raise a UserError with an advice unless one of the options is given."""
    if sum(getattr(options, name) is not None for name in names) != 1:
        raise UserError(advice)


def refuse_others(
    groups: Groups, options: argparse.Namespace, task: Task
) -> None:
    """Raise a UserError for an option that another task has.

    Args:
        groups: of the command.
        options: that were parsed.
        task: that the command runs.
    """
    own = {action.dest for action in groups[task.name]._group_actions}
    for name, group in groups.items():
        for action in group._group_actions:
            value = getattr(options, action.dest)
            if action.dest not in own and value != action.default:
                raise UserError(
                    f"{action.option_strings[0]} is an option of {name}. "
                    f"Received: a model of {task.name}."
                )
