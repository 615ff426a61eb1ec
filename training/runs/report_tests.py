"""The section of a run's report on what `training.evaluate` found."""

from ..io import json_text, paths, tables
from ..io.user_error import UserError
from .run_folder import RunFolder

# Figures of a test, and what they are called.
FIGURES = {
    "accuracy": "accuracy",
    "top5": "top-5",
    "mean_average_precision": "mAP",
    "reading_seconds": "waiting for pixels",
    "computing_seconds": "computing",
}
SHAPE = {**dict.fromkeys(FIGURES, (float, None)), "views": (str, None)}


def section(run: RunFolder) -> str:
    """A row for each test that there is, and where its time went."""
    tests = [path for path in (run.path / "tests").glob("*/metrics.json")]
    tests.sort(key=lambda path: path.parent.name)
    if not tests:
        return ""
    head = ("test", "views", *FIGURES.values())
    rows = [head, *(_row(path) for path in tests)]
    return f"## Tests\n\n{tables.markdown(rows)}"


def _row(path: paths.Path) -> tuple[str, ...]:
    try:
        figures = json_text.parse_as(path.read_bytes(), SHAPE)
    except ValueError as error:
        raise UserError(
            f"{path} cannot be read ({error}). Delete it, or test again."
        ) from error
    cells = [_cell(name, figures.get(name)) for name in FIGURES]
    return (path.parent.name, figures.get("views") or "", *cells)


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return ""
    if name.endswith("seconds"):
        return f"{value:.1f} s"
    return tables.percent(value)
