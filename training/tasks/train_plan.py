"""Measure what a training will take on this machine, without a run."""

import itertools
import math
import pathlib
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf

from nonlocal_tf.models.flops import cost

from .. import tasks
from ..io import tables
from ..loop import learning_rate_finder, schedules
from ..loop.distribution import Devices
from ..loop.train_step import Signals
from ..recipes.schema import BaseRecipe, Recipe
from ..runs.run_folder import RunFolder

WARM_UP = 2  # steps, of which the first builds the graph
TIMED = 10  # steps
# Rates of the range test, and its longest time.
LOW, HIGH = 1e-6, 10.0
RANGE_TEST_S = 120
# Of the free memory, for a suggested batch.
MEMORY_SHARE = 0.8


def plan(recipe: BaseRecipe, devices: Devices) -> str:
    """Train for some steps and describe what all of them will take.

    Nothing is written. An image stage is not counted, and the network of a
    recipe that has one starts from random weights here.

    Args:
        recipe: of any task.
        devices: to train on.

    Returns:
        A table: parameters, cost of an example, memory, time, suggestions of
        a batch and a learning rate, chance.

    Raises:
        UserError: recipe or data are wrong.
    """
    task = tasks.of_recipe(recipe)
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(f"{folder}/plan")
        recipe, _ = task.resolve(recipe, run)
        data = task.open_data(recipe)
        keras.utils.set_random_seed(recipe.seed)  # the weights of the run
        signals = Signals(is_timed=not recipe.training.deterministic)
        model, *_ = task.build(
            recipe, data, run, devices.strategy, _reads_weights(recipe)
        )

        def new_trainer() -> Any:
            with devices.strategy.scope():
                trainer: Any = task.trainer(model, recipe, data, signals)
                trainer.optimizer.build(trainer.trainable_variables)
            return trainer

        start = model.get_weights()
        batches = task.batches(recipe, data, devices)
        bytes_before = _resident_bytes()
        seconds = _step_seconds(
            new_trainer(), batches.for_training(0, WARM_UP + TIMED)
        )
        step_bytes = _peak_bytes() - bytes_before if bytes_before else 0
        rate = "not tested: a range test takes more than two minutes"
        if seconds * learning_rate_finder.STEPS < RANGE_TEST_S:
            model.set_weights(start)
            rate = _suggested_rate(recipe, new_trainer(), batches)
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
        *_suggested_batch(recipe, step_bytes, _examples(data)),
        ("learning rate", rate),
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


def _reads_weights(recipe: Any) -> bool:
    """Return whether the recipe names start weights, and has no stage before.

    A classifier's are of its model, a detector's of its start.
    """
    if isinstance(recipe, Recipe):
        return recipe.image_stage is None and bool(recipe.model.starts_from)
    return recipe.start.weights is not None


def _suggested_rate(recipe: BaseRecipe, trainer: Any, batches: Any) -> str:
    """Describe the learning rate that a range test suggests."""
    config, steps = recipe.optimizer, learning_rate_finder.STEPS
    rates, losses = learning_rate_finder.range_test(
        trainer, batches.for_training(0, steps), LOW, HIGH
    )
    rate = learning_rate_finder.steepest_rate(rates, losses)
    if rate is None:
        return "no suggestion: the loss does not fall in a range test"
    scaled = schedules.base_lr(config, recipe.batch)
    if config.base_lr:  # by the rule of linear scaling
        rate *= config.base_lr / scaled
    return (
        f"optimizer.base_lr={rate:.1e} by a range test of {steps} steps; "
        f"the recipe has {config.base_lr:g}"
    )


def _suggested_batch(
    recipe: BaseRecipe, step_bytes: int, examples: int | None
) -> list[tuple[str, str]]:
    """Format the largest batch that the free memory of a CPU has room for.

    All that the steps took counts for the examples, also the optimizer's
    variables: larger batches take less than that for each. A batch has at
    most all training examples, whose number is None where they are drawn.
    """
    try:
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return []
    if step_bytes <= 0 or tf.config.list_physical_devices("GPU"):
        return []
    values = dict(line.split(":") for line in lines)
    free = step_bytes + 1024 * int(values["MemAvailable"].split()[0])
    example = step_bytes / recipe.batch
    batch = int(MEMORY_SHARE * free / example)
    limit = ""
    if examples is not None and batch >= examples:
        batch, limit = examples, ", all training examples"
    return [
        (
            "batch that fits",
            f"{batch:,}{limit}, with {example / 1e9:.2g} GB an example of "
            f"{free / 1e9:.1f} GB",
        )
    ]


def _resident_bytes() -> int:
    """Return the resident memory of this process; 0 where unknown."""
    try:
        pages = pathlib.Path("/proc/self/statm").read_text().split()[1]
    except OSError:
        return 0
    return int(pages) * resource.getpagesize()


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


def _examples(data: Any) -> int | None:
    """Return the number of training examples; None where they are drawn."""
    is_drawn = getattr(data, "class_counts", lambda: None)() is None
    return None if is_drawn else data.splits["train"]


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
