"""Making shards by Apache Beam (the extra `beam`), on a cluster's machines.

Every machine needs this code and reaches videos and shards by the same paths.
"""

import shlex
from collections.abc import Callable, Iterable, Sequence

from ..io.user_error import UserError, missing_extra
from . import shard_task
from .shard_index import Shard
from .shard_task import Task


def runner(
    options: str, workers: int = 1
) -> Callable[[Sequence[Task]], Iterable[Shard]]:
    """Does tasks as one pipeline.

    Args:
        options: of Beam, as they are typed.
        workers: processes of Beam's own runner, if no other one is asked for.

    Raises:
        UserError: Beam is not installed, or refuses the options.
    """
    try:
        import apache_beam
        from apache_beam.options import pipeline_options
    except ImportError as error:
        raise missing_extra("apache_beam", "beam") from error

    def run(tasks: Sequence[Task]) -> list[Shard]:
        given = shlex.split(options)
        if not any(option.startswith("--runner") for option in given):
            given.append("--runner=DirectRunner")
            given.append(f"--direct_num_workers={workers}")
            if workers > 1:
                given.append("--direct_running_mode=multi_processing")
        try:
            chosen = pipeline_options.PipelineOptions(given)
            with apache_beam.Pipeline(options=chosen) as pipeline:
                (
                    pipeline
                    | "tasks" >> apache_beam.Create(list(tasks))
                    # Else they are one bundle, done on one machine.
                    | "spread" >> apache_beam.Reshuffle()
                    | "write" >> apache_beam.Map(_write)
                )
        except (ValueError, RuntimeError) as error:
            raise UserError(f"Beam's pipeline failed: {error}") from error
        # What a pipeline computes stays there; its notes are where they were.
        return [_noted(task) for task in tasks]

    return run


def _write(task: Task) -> str:
    return shard_task.run(task).name


def _noted(task: Task) -> Shard:
    shard = shard_task.finished(task)
    if shard is None:
        raise UserError(
            f"Beam's pipeline ended without {task.name}. Do its machines "
            f"write to the same {task.folder}?"
        )
    return shard
