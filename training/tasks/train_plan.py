"""Measure what a training will take on this machine, without a run."""

import itertools
import math
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from typing import Any

import keras

from nonlocal_tf.models.flops import cost

from .. import tasks
from ..io import tables
from ..loop.distribution import Devices
from ..loop.train_step import Signals
from ..recipes.schema import BaseRecipe
from ..runs.run_folder import RunFolder

WARM_UP = 2  # steps, of which the first builds the graph
TIMED = 10  # steps


def plan(recipe: BaseRecipe, devices: Devices) -> str:
    """Train for some steps and describe what all of them will take.

    Nothing is written. An image stage is not counted, and start weights are
    not read.

    Args:
        recipe: of any task.
        devices: to train on.

    Returns:
        A table: parameters, cost of an example, memory, time, chance.

    Raises:
        UserError: recipe or data are wrong.
    """
    task = tasks.of_recipe(recipe)
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(f"{folder}/plan")
        recipe, _ = task.resolve(recipe, run)
        data = task.open_data(recipe)
        signals = Signals(is_timed=not recipe.training.deterministic)
        model, *_ = task.build(
            recipe, data, run, devices.strategy, is_new=False
        )
        with devices.strategy.scope():
            trainer: Any = task.trainer(model, recipe, data, signals)
            trainer.optimizer.build(trainer.trainable_variables)
        batches = task.batches(recipe, data, devices)
        seconds = _step_seconds(
            trainer, batches.for_training(0, WARM_UP + TIMED)
        )
    rows = [
        ("parameters", _parameters(model)),
        *_cost(model),
        ("memory of the process, GB", f"{_peak_bytes() / 1e9:.1f}"),
        ("steps a second", f"{1 / seconds:.2f}, of {recipe.batch} examples"),
        (
            "time of all steps",
            f"{recipe.steps * seconds / 3600:.2f} h, of {recipe.steps:,}, "
            "without validation",
        ),
        *_baselines(data),
    ]
    return f"{recipe.name}, on this machine\n{tables.render(rows)}"


def _step_seconds(trainer: Any, batches: Iterable) -> float:
    """Return the median duration of a training step, in seconds."""
    trainer._maybe_symbolic_build()
    step = trainer.make_train_function()
    iterator = iter(batches)
    seconds = []
    for _ in range(WARM_UP + TIMED):
        start = time.monotonic()
        logs = step(iterator)
        float(logs["loss"])  # waits for the step
        seconds.append(time.monotonic() - start)
    return statistics.median(itertools.islice(seconds, WARM_UP, None))


def _parameters(model: keras.Model) -> str:
    trained = sum(math.prod(v.shape) for v in model.trainable_variables)
    whole = int(model.count_params())
    return f"{whole:,}, of which {trained:,} are trained"


def _cost(model: keras.Model) -> list[tuple[str, str]]:
    """Format the multiply-adds of an example, if the model can be counted."""
    try:
        multiply_adds = cost(model).multiply_adds
    except ValueError:
        return []
    return [
        ("multiply-adds of an example", f"{multiply_adds / 1e9:.2f} billion")
    ]


def _peak_bytes() -> int:
    """Return the largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _baselines(data: Any) -> list[tuple[str, str]]:
    """Format the accuracy of guessing, of data with one class an example."""
    if getattr(data, "multi_label", True):
        return []
    rows = [("chance", tables.percent(1 / len(data.classes)))]
    counts = data.class_counts()
    if counts and sum(counts):
        name = data.classes[counts.index(max(counts))]
        share = tables.percent(max(counts) / sum(counts))
        rows.append(("majority class", f"{share}, {name}"))
    return rows
