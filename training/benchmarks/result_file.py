"""The JSON file that a benchmark writes its result to."""

import json
import pathlib
from collections.abc import Callable


def check(path: pathlib.Path | None, render: Callable[[dict], str]) -> None:
    """Stop unless a result can be written without replacing another file.

    Args:
        path: of the file, if there is to be one.
        render: makes a table of a result, and so tells one from other files.

    Raises:
        SystemExit: there is a file that is no result of this benchmark.
    """
    if path is None or not path.exists():
        return
    try:
        render(json.loads(path.read_text("utf-8")))
    except Exception as error:  # render fails in as many ways as files differ
        raise SystemExit(
            f"error: {path} exists and is no result of this benchmark: it is "
            "not replaced. Give another --out."
        ) from error


def write(path: pathlib.Path | None, result: dict) -> None:
    """Write a result as JSON, if there is a file for it."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
