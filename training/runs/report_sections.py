"""Sections of a run's report, as Markdown."""

import collections
import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence

from ..io import json_text, quoting, tables
from ..recipes import RECIPES, overrides
from ..recipes.schema import BaseRecipe
from . import overfitting, run_shapes, time_spent
from .run_folder import RunFolder

Row = Mapping[str, float | None]
# What the result has that other sections say.
ELSEWHERE = {
    "recipe",
    "seed",
    "train_seconds",
    "image_stage",
    "commits",
    "versions",
}
SHARES = ("accuracy", "top", "map", "chance", "share")
GUESSING = ("chance", "majority_share")
# Parts of recipes: title, and fields that are shown if they are defaults too.
CONFIGS = {
    "model": ("network", "name", "start"),
    "detector": ("network", "layers"),
    "start": ("start weights", "weights"),
    "sampling": ("sampling", "frames", "frame_stride", "crop_px"),
    "views": ("views of a test", "clips", "crops", "crop_px"),
    "images": ("images", "canvas_px", "short_sides_px"),
}
LONG_LIST = 10


def result(run: RunFolder, recipe: BaseRecipe, rows: Sequence[Row]) -> str:
    """Write the result, beside the expected one."""
    parts = ["## Result", _reference(run, recipe, rows)]
    measured = run.read_result()
    if measured is not None:
        lines = [("", "this run"), *_flat(measured, skip=ELSEWHERE)]
        parts.append(tables.markdown(lines))
    rising = overfitting.rising_loss(rows)
    if rising:
        parts.append(f"**The validation loss rises:** {rising}.")
    return "\n\n".join(filter(None, parts))


def time(recipe: BaseRecipe, rows: Sequence[Row]) -> str:
    """Write how the training time was spent."""
    if not rows:
        return ""
    compared = time_spent.compared(rows, recipe.epoch_steps, recipe.batch)
    return (
        f"## Time\n\n{tables.markdown(compared)}\n\n"
        "The first epoch of each start includes tracing the graph. What is "
        "not counted: saving, the test, and steps that a stop undid."
    )


def repeat(recipe: BaseRecipe) -> str:
    """Write the command that repeats the run, and its changed settings."""
    parts = ["## To repeat it"]
    build = RECIPES.get(recipe.name)
    if build is None:
        parts.append(
            "This version has no recipe "
            f"{quoting.markdown_code(recipe.name)}; recipe.json has all of its "
            "settings."
        )
        return "\n\n".join(parts)
    settings = overrides.settings(build(), recipe)
    if settings is None:
        parts.append(
            f"The recipe `{recipe.name}` of this version cannot be made into "
            "this run's by `--set`; recipe.json has all of its settings."
        )
    else:
        sets = [f"--set {quoting.shell(setting)}" for setting in settings]
        words = [
            f"nonlocal-tf train --recipe {recipe.name}",
            f"--workdir runs/{recipe.name}_again",
            *sets,
        ]
        parts.append("```sh\n" + " \\\n    ".join(words) + "\n```")
    changed = overrides.differences(build(), recipe)
    if changed:
        lines = "\n".join(
            f"- {quoting.markdown_code(line)}" for line in changed
        )
        parts.append(f"Other than in the recipe (there, here):\n\n{lines}")
    else:
        parts.append("All settings are the recipe's.")
    return "\n\n".join(parts)


def trained(run: RunFolder, recipe: BaseRecipe) -> str:
    """Tabulate network, data, schedule and optimizer."""
    dataset = getattr(recipe, "dataset", "annotated images")
    lines = [
        ("part", "settings, where they are not the defaults"),
        ("data set", f"{dataset}{_classes(run)}"),
        ("left out", _left_out(run)),
    ]
    for field, (title, *always) in CONFIGS.items():
        config = getattr(recipe, field, None)
        if config is not None:
            lines.append((title, _fields(config, *always)))
    lines += [
        (
            "schedule",
            f"{recipe.steps:,} steps of {recipe.batch:,} examples, "
            f"{recipe.epochs:,} epochs of {recipe.epoch_steps:,} steps"
            f"{_last_epoch(recipe)}",
        ),
        ("optimizer", _fields(recipe.optimizer, "name", "schedule")),
        ("computation", _fields(recipe.training, "precision")),
        ("seed", str(recipe.seed)),
    ]
    return f"## What was trained\n\n{tables.markdown(lines)}"


def machines(run: RunFolder) -> str:
    """Write versions and machines of each start of the run."""
    starts = run.read_versions()
    if not starts:
        return "## Machines and versions\n\nNo start is recorded."
    times: dict[tuple, list[str]] = collections.defaultdict(list)
    for start in starts:
        times[_environment(start)].append(start.get("started") or "")
    head = ("starts", "first", "commit", "Python", "packages", "machine")
    lines = [
        (len(dates), dates[0], *environment)
        for environment, dates in times.items()
    ]
    again = len(starts) - 1
    often = "once" if again == 1 else f"{again} times"
    start_time = str(starts[0].get("started") or "a time that is not recorded")
    return (
        "## Machines and versions\n\n"
        f"Started at {quoting.one_line(start_time)} "
        f"and {f'resumed {often}' if again else 'never resumed'}.\n\n"
        f"{tables.markdown([head, *lines])}"
    )


def _reference(run: RunFolder, recipe: BaseRecipe, rows: Sequence[Row]) -> str:
    """Tabulate the recipe's published reference beside this run."""
    reference = recipe.reference
    if reference is None:
        return "The recipe names no result of others to compare with."
    starts = run.read_versions()
    machine = starts[-1].get("machine") or "" if starts else ""
    lines = [
        ("", f"{reference.table}, {reference.row}", "this run"),
        ("result", reference.expected, _reached(run, rows)),
        ("hardware", reference.hardware, machine),
        ("hours", reference.hours, _hours(rows)),
    ]
    return tables.markdown(lines)


def _reached(run: RunFolder, rows: Sequence[Row]) -> str:
    measured = run.read_result()
    if measured is not None:
        top = {k: v for k, v in measured.items() if k not in GUESSING}
        shares = [
            f"{name} {value}"
            for name, value in _flat(top, skip=ELSEWHERE)
            if value.endswith("%")
        ]
        scores = measured.get("scores") or {}
        shares += [
            f"{name.replace('_', ' ')} {100 * value:.1f}"
            for name, value in scores.items()
            if name.endswith("_AP")
        ]
        return ", ".join(shares) or "see below"
    if rows and rows[-1].get("val_accuracy") is not None:
        reached = tables.percent(rows[-1]["val_accuracy"] or 0)
        return f"not tested yet; validation accuracy {reached}"
    return "not tested yet"


def _hours(rows: Sequence[Row]) -> str:
    seconds = sum(row.get("seconds") or 0 for row in rows)
    return f"{seconds / 3600:.3g} in training and validation"


def image_stage(run: RunFolder, recipe: BaseRecipe) -> str:
    """Write the result of the image stage, if any, and link its report."""
    if getattr(recipe, "image_stage", None) is None:
        return ""
    stage = RunFolder(run.image_stage)
    if not stage.recipe_path.exists():
        return "The image stage is not in this folder."
    measured = stage.read_result() or {}
    accuracy = measured.get("accuracy")
    came = "" if accuracy is None else f", accuracy {tables.percent(accuracy)}"
    name = quoting.one_line(stage.read_recipe().name)
    if (stage.path / "report.md").exists():
        link = f"{stage.path.name}/report.md"
        return f"Image stage: [{name}]({link}){came}."
    workdir = quoting.shell(stage.path)
    command = f"nonlocal-tf report --workdir {workdir}"
    return (
        f"Image stage: {name}{came}; for its report: "
        f"{quoting.markdown_code(command)}"
    )


def _flat(values: Mapping, skip=frozenset(), prefix: str = "") -> list:
    """Return (name, value) pairs as text, of nested dictionaries too."""
    lines: list[tuple[str, str]] = []
    for key, value in values.items():
        name = prefix + str(key).replace("_", " ")
        if key in skip or value is None:
            continue
        if isinstance(value, Mapping):
            lines += _flat(value, prefix=f"{name}: ")
        else:
            lines.append((name, _value(name, value)))
    return lines


def _value(name: str, value) -> str:
    if isinstance(value, bool) or isinstance(value, str):
        return str(value)
    if isinstance(value, list):
        if len(value) > LONG_LIST:
            return f"{len(value):,} values, in result.json"
        return ", ".join(_value(name, item) for item in value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        is_share = any(word in name.lower() for word in SHARES)
        if is_share and 0 <= value <= 1:
            small = 0 < value < 0.01
            return f"{100 * value:.2g} %" if small else tables.percent(value)
        return f"{value:.4g}"
    return str(value)


def _fields(config, *always: str) -> str:
    """Format fields as "name=value": those in `always`, and changed ones."""
    rows_shown = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            rows_shown.append(f"{field.name}=({_fields(value)})")
        elif value != field.default or field.name in always:
            rows_shown.append(f"{field.name}={value}")
    return ", ".join(rows_shown)


def _last_epoch(recipe: BaseRecipe) -> str:
    steps = recipe.steps % recipe.epoch_steps
    return f", the last of {steps:,}" if steps else ""


def _classes(run: RunFolder) -> str:
    if not run.data_path.exists():
        return ""
    try:
        text = run.data_path.read_bytes()
        classes = json_text.parse_as(text, run_shapes.DATA)["classes"]
    except ValueError:
        return ", data.json cannot be read"
    return f", {len(classes):,} classes"


def _left_out(run: RunFolder) -> str:
    """Count the inputs of each split that could not be read."""
    for inputs in ("videos", "images"):
        path = run.bad_inputs_path(inputs)
        if not path.exists():
            continue
        rows = csv.DictReader(io.StringIO(path.read_text("utf-8"), newline=""))
        counts = collections.Counter(row.get("split", "?") for row in rows)
        splits = ", ".join(
            f"{count:,} of {split}" for split, count in counts.items()
        )
        return f"{counts.total():,} {inputs} ({splits}), see {path.name}"
    return "nothing"


def _environment(start: Mapping) -> tuple[str, str, str, str]:
    """(commit, Python, packages, machine) of a start."""
    packages = start.get("packages") or {}
    names = [
        f"{name} {version}" for name, version in packages.items() if version
    ]
    listed = ("started", "commit", "python", "packages", "machine")
    unlisted = {k: v for k, v in start.items() if k not in listed}
    extra_values = [f"{name} {value}" for name, value in _flat(unlisted)]
    return (
        (start.get("commit") or "unknown")[:10]
        + ("+changes" if "+" in (start.get("commit") or "") else ""),
        start.get("python") or "unknown",
        ", ".join(names),
        "; ".join([start.get("machine") or "unknown", *extra_values]),
    )
