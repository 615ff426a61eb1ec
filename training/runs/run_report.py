"""Report of a run: report.md and curves.png, from the files in its folder."""

import csv
import io
from collections.abc import Sequence

from ..io import atomic_files, curves, paths, quoting, tables
from ..io.user_error import UserError
from ..loop import best_epoch
from ..recipes.schema import BaseRecipe
from . import report_sections, report_tests
from .run_folder import RunFolder

REPORT, CURVES = "report.md", "curves.png"
NOT_METRICS = ("epoch", "step", "learning_rate")
VALIDATION = "val_"
MOST_ROWS = 20  # of the table of epochs

Row = dict[str, float | None]


def write(run: RunFolder) -> paths.Path:
    """Write report.md, and curves.png if matplotlib is installed.

    Returns:
        Path of the report.

    Raises:
        UserError: this is no run folder, or a file of it cannot be read.
        OSError: they cannot be written.
    """
    recipe = run.read_recipe()
    rows = read_metrics(run)
    sections = [
        _head(run, recipe, rows),
        report_sections.result(run, recipe, rows),
        report_sections.image_stage(run, recipe),
        report_tests.section(run),
        _curves(run, rows),
        report_sections.time(recipe, rows),
        report_sections.repeat(recipe),
        report_sections.trained(run, recipe),
        report_sections.machines(run),
    ]
    path = run.path / REPORT
    atomic_files.write_text(path, "\n\n".join(filter(None, sections)) + "\n")
    return path


def read_metrics(run: RunFolder) -> list[Row]:
    """Read the rows of metrics.csv; missing values are None.

    Raises:
        UserError: the file is damaged.
    """
    if not run.metrics_path.exists():
        return []
    try:
        text = run.metrics_path.read_text("utf-8")
        read = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        rows = [
            {key: float(value) if value else None for key, value in row.items()}
            for row in read
        ]
        if any(row["step"] is None or row["epoch"] is None for row in rows):
            raise ValueError("a row without epoch or step")
    except (ValueError, TypeError, KeyError, csv.Error) as error:
        raise UserError(
            f"{run.metrics_path} cannot be read ({error!r}). It is written "
            "anew when training goes on."
        ) from error
    return rows


def panels(rows: Sequence[Row]) -> list[curves.Panel]:
    """Return the panels of the curves: loss, metrics and learning rate."""
    columns = dict.fromkeys(key for row in rows for key in row)
    names = dict.fromkeys(
        column.removeprefix(VALIDATION)
        for column in columns
        if column not in NOT_METRICS and not column.endswith("seconds")
    )
    drawn_panels = []
    # Of COCO's metrics the first of each kind: the table has all.
    metric_names = [n for n in names if "_AP" not in n or n.endswith("_AP")]
    for name in sorted(metric_names, key=lambda name: name != "loss"):
        parts = [
            curves.Curve(part, [row.get(prefix + name) for row in rows], look)
            for look, (part, prefix) in enumerate(
                [("training", ""), ("validation", VALIDATION)]
            )
            if prefix + name in columns
        ]
        words = name.replace("_", " ")
        drawn_panels.append(
            curves.Panel(words, parts, may_be_log=name == "loss")
        )
    if "learning_rate" in columns:
        title = "learning rate at the end of each epoch"
        rates = [row.get("learning_rate") for row in rows]
        drawn_panels.append(curves.Panel(title, [curves.Curve(title, rates)]))
    return drawn_panels


def _head(run: RunFolder, recipe: BaseRecipe, rows: Sequence[Row]) -> str:
    is_stopped = best_epoch.is_stopped(recipe.training, rows)
    if run.read_result() is not None:
        steps = recipe.plan.steps_after(len(rows))
        status = f"Finished: {steps:,} steps, and tested."
        if is_stopped:
            status += f" Early stopping before all {recipe.steps:,}."
    elif len(rows) == recipe.epochs or is_stopped:
        status = "**Not finished:** trained, but not tested yet."
    else:
        status = (
            f"**Not finished:** {len(rows):,} of {recipe.epochs:,} epochs, "
            f"{recipe.plan.steps_after(len(rows)):,} of {recipe.steps:,} "
            f"steps. To resume: {_command('train', run)}"
        )
    name = quoting.one_line(recipe.name)
    return f"# {name}\n\n{quoting.one_line(recipe.description)}\n\n{status}"


def _command(name: str, run: RunFolder) -> str:
    """Return a command on a run as Markdown code."""
    workdir = quoting.shell(run.path)
    return quoting.markdown_code(f"nonlocal-tf {name} --workdir {workdir}")


def _curves(run: RunFolder, rows: Sequence[Row]) -> str:
    """Draw curves.png, and write its section with a table of epochs."""
    if not rows:
        return "## Curves\n\nNo epoch is finished yet."
    drawn = panels(rows)
    try:
        picture = curves.png([row["step"] or 0 for row in rows], drawn)
    except UserError as error:
        content = (
            f"{error}; then draw the curves with: {_command('report', run)}"
        )
    else:
        atomic_files.write_bytes(run.path / CURVES, picture)
        titles = ", ".join(panel.title for panel in drawn)
        content = f"![Curves over the steps: {titles}]({CURVES})"
    return f"## Curves\n\n{content}\n\n{_epochs(rows)}"


def _epochs(rows: Sequence[Row]) -> str:
    """Tabulate evenly spaced epochs, with the first and the last."""
    last = len(rows) - 1
    parts = min(last, MOST_ROWS - 1)
    chosen = [rows[round(n * last / max(parts, 1))] for n in range(parts + 1)]
    columns = [
        column
        for column in dict.fromkeys(key for row in rows for key in row)
        if not column.endswith("_seconds")  # section Time has them
    ]
    head = [column.replace("_", " ") for column in columns]
    lines = [[_number(row.get(key)) for key in columns] for row in chosen]
    note = (
        "" if len(chosen) == len(rows) else f"{len(chosen)} epochs of these; "
    )
    return (
        f"{note}metrics.csv has all digits"
        f"{' and rows' if note else ''}:\n\n{tables.markdown([head, *lines])}"
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if value.is_integer() else f"{value:.4g}"
