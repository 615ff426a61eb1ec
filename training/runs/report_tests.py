"""Section of a run's report with the results of its evaluations."""

from ..coco import coco_scores
from ..evaluation import class_metrics, metrics
from ..io import json_text, paths, tables
from ..io.user_error import UserError
from .run_folder import RunFolder

CLASSES_LISTED = 60  # of more, the file has them alone
# Keys of metrics.json, and the titles of their columns.
TEXTS = {"views": "views", "annotations": "annotations"}
METRICS = {
    **metrics.names(),
    "box_AP": "box AP",
    "mask_AP": "mask AP",
    "keypoint_AP": "keypoint AP",
    "reading_seconds": "waiting for pixels",
    "computing_seconds": "computing",
}
TITLES = {"test": "test", **TEXTS, **METRICS}
SHAPE = {
    **dict.fromkeys(TEXTS, (str, None)),
    **dict.fromkeys(METRICS, (float, None)),
}


def section(run: RunFolder) -> str:
    """Tabulate the tests of a run; "" without any."""
    tests = [path for path in (run.path / "tests").glob("*/metrics.json")]
    tests.sort(key=lambda path: path.parent.name)
    if not tests:
        return ""
    cells = [_cells(path) for path in tests]
    keys = [key for key in TITLES if any(row.get(key) for row in cells)]
    rows = [[row.get(key, "") for key in keys] for row in cells]
    head = [TITLES[key] for key in keys]
    text = f"## Tests\n\n{tables.markdown([head, *rows])}"
    for path in tests:
        classes = class_metrics.read(path.parent)
        if 0 < len(classes) <= CLASSES_LISTED:
            listed = tables.markdown(class_metrics.table(classes))
            text += f"\n\nClasses of {path.parent.name}:\n\n{listed}"
    return text


def _cells(path: paths.Path) -> dict[str, str]:
    """Format the entries of a metrics.json, by key."""
    try:
        results = json_text.parse_as(path.read_bytes(), SHAPE)
    except ValueError as error:
        raise UserError(
            f"{path} cannot be read ({error}). Delete it, or test again."
        ) from error
    texts = {key: results.get(key) or "" for key in TEXTS}
    numbers = {
        key: _number(key, results[key])
        for key in METRICS
        if results.get(key) is not None
    }
    return {"test": path.parent.name, **texts, **numbers}


def _number(key: str, value: float) -> str:
    if key.endswith("seconds"):
        return f"{value:.1f} s"
    if key.endswith("_AP"):
        return coco_scores.format_ap(value)
    return tables.percent(value)
