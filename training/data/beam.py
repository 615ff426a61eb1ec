"""Write shards with Apache Beam (the extra `beam`), on a cluster's machines.

Every machine needs this code and reaches videos and shards by the same paths.
"""

import shlex
from collections.abc import Callable, Iterable, Sequence

from ..io.user_error import UserError, missing_extra
from . import shard_writer
from .shard_index import Shard
from .shard_writer import ShardTask


def runner(
    options: str, workers: int = 1
) -> Callable[[Sequence[ShardTask]], Iterable[Shard]]:
    """Return a function that runs all tasks as one Beam pipeline.

    Args:
        options: options of Beam in one string, as on a command line.
        workers: processes of the DirectRunner, the default runner.

    Raises:
        UserError: Beam is not installed, or rejects the options.
    """
    try:
        import apache_beam
        from apache_beam.options import pipeline_options
    except ImportError as error:
        raise missing_extra("apache_beam", "beam") from error

    def run(tasks: Sequence[ShardTask]) -> list[Shard]:
        flags = shlex.split(options)
        if not any(flag.startswith("--runner") for flag in flags):
            flags.append("--runner=DirectRunner")
            flags.append(f"--direct_num_workers={workers}")
            if workers > 1:
                flags.append("--direct_running_mode=multi_processing")
        try:
            parsed = pipeline_options.PipelineOptions(flags)
            with apache_beam.Pipeline(options=parsed) as pipeline:
                (
                    pipeline
                    | "tasks" >> apache_beam.Create(list(tasks))
                    # Without it all tasks are one bundle on one machine.
                    | "spread" >> apache_beam.Reshuffle()
                    | "write" >> apache_beam.Map(_write)
                )
        except (ValueError, RuntimeError) as error:
            raise UserError(f"Beam's pipeline failed: {error}") from error
        # Workers return nothing; they leave a completion file per shard.
        return [_completed(task) for task in tasks]

    return run


def _write(task: ShardTask) -> str:
    return shard_writer.run(task).name


def _completed(task: ShardTask) -> Shard:
    shard = shard_writer.finished(task)
    if shard is None:
        raise UserError(
            f"Beam's pipeline ended without {task.name}. Check that all its "
            f"machines write to the same {task.folder}."
        )
    return shard
