"""Command line shared by the benchmarks: `--out` and `--render`."""

import argparse
import json
import os
import pathlib
from collections.abc import Callable

from ..io import atomic_files
from ..io.user_error import UserError


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
        type=output_file,
        metavar="FILE.json",
        help="write the results as JSON",
    )
    parser.add_argument(
        "--render",
        type=_user_path,
        metavar="FILE.json",
        help="print the tables of a stored result instead of measuring",
    )
    return parser


def run(
    options: argparse.Namespace,
    measure: Callable[[argparse.Namespace], dict],
    render: Callable[[dict], str],
) -> None:
    """Print the tables of a stored result, or measure, store and print.

    Args:
        options: of `parser`.
        measure: runs the benchmark; its result is plain data.
        render: makes the tables of a result.

    Raises:
        SystemExit: `--out` is not a result of this benchmark.
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
    """Check that writing a result would not replace another file.

    Args:
        path: of the result, if it is to be written.
        render: formats a result; fails for other files.

    Raises:
        SystemExit: the file is not a result of this benchmark.
    """
    if path is None or not path.exists():
        return
    try:
        render(json.loads(path.read_text("utf-8")))
    except Exception as error:  # any error of parsing another file
        raise SystemExit(
            f"error: {path} exists and is not a result of this benchmark. "
            "Give another --out."
        ) from error


def _write(path: pathlib.Path | None, result: dict) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


def output_file(text: str) -> pathlib.Path:
    """Parse the path of a file that can be written."""
    path = _user_path(text)
    try:
        atomic_files.check_writable(path)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return path


def _user_path(text: str) -> pathlib.Path:
    """Parse a path, expanding ~."""
    return pathlib.Path(os.path.expanduser(text))
