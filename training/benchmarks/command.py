"""Command line of the benchmarks: measure and store, or show what is stored."""

import argparse
import json
import os
import pathlib
from collections.abc import Callable

from ..io import cli


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with `--out` and `--render`.

    Args:
        description: of the benchmark, its module's docstring.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--out",
        type=cli.output_file,
        metavar="FILE.json",
        help="write all figures as JSON",
    )
    parser.add_argument(
        "--render",
        type=_user_path,
        metavar="FILE.json",
        help="measure nothing, print the tables of such a file",
    )
    return parser


def run(
    options: argparse.Namespace,
    measure: Callable[[argparse.Namespace], dict],
    render: Callable[[dict], str],
) -> None:
    """Print the tables of a stored result, or of a new one, which is stored.

    Args:
        options: of `parser`.
        measure: runs the benchmark; its result is plain data.
        render: makes the tables of a result.

    Raises:
        SystemExit: `--out` is a file that is no result of this benchmark.
    """
    if options.render:
        result = json.loads(options.render.read_text("utf-8"))
    else:
        check_replaceable(options.out, render)
        result = measure(options)
        _write(options.out, result)
    print(render(result))


def check_replaceable(
    path: pathlib.Path | None, render: Callable[[dict], str]
) -> None:
    """Stop unless a result can be written without replacing another file.

    Args:
        path: of the file, if there is to be one.
        render: makes tables of a result, and so tells one from other files.

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


def _write(path: pathlib.Path | None, result: dict) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


def _user_path(text: str) -> pathlib.Path:
    """Return a path as it is typed, with ~ expanded."""
    return pathlib.Path(os.path.expanduser(text))
