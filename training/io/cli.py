"""Command lines: parsers, argument types, exit codes, error messages."""

import argparse
import errno
import io
import os
import pathlib
import sys
from collections.abc import Callable, Sequence

import keras

from . import paths, plugins
from .user_error import UserError

USER_ERROR = 2
INTERRUPTED = 130

Main = Callable[[Sequence[str] | None], None]


def run(main: Main, arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    User errors print one line and exit with code 2; other exceptions are
    defects of the program and keep their traceback.
    """
    # Logs are written line by line, and names that the terminal cannot encode
    # do not end a command.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    try:
        if keras.config.backend() != "tensorflow":
            raise UserError(
                "The commands train and export with TensorFlow. Received: "
                f"KERAS_BACKEND={keras.config.backend()}; unset it."
            )
        main(arguments)
    except UserError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(_describe(error))
    except KeyboardInterrupt:
        print("Stopped; nothing that was saved is lost.", file=sys.stderr)
        return INTERRUPTED
    return 0


def parser(name: str, description: str, example: str):
    """Return an argument parser whose help ends with an example.

    Args:
        name: of a command, such as `train`, or of another module of the
            program that can be run, such as `reproduce.ablations`.
        description: what it does.
        example: a command line that works.
    """
    is_module = "." in name
    parser = argparse.ArgumentParser(
        prog=f"python -m training.{name}"
        if is_module
        else f"nonlocal-tf {name}",
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument_group("modules of your own").add_argument(
        "--plugin",
        metavar="MODULE",
        action="append",
        default=[],
        help="a Python module, installed or in the current folder, that "
        "registers data sets, recipes, networks or pairwise functions; "
        "repeatable",
    )
    return parser


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None):
    """Parse arguments and import the modules of `--plugin`.

    Returns:
        The options, and whether there were any arguments.
    """
    if arguments is None:
        arguments = sys.argv[1:]
    words = [_expand_home(word) for word in arguments]
    options = parser.parse_args(words)
    plugins.load(getattr(options, "plugin", ()))  # of `parser` above
    return options, bool(words)


def _expand_home(word: str) -> str:
    """Expand ~ at the start of an argument: shells keep it in --out=~/x."""
    option, equals, value = word.partition("=")
    if equals and option.startswith("--"):
        return f"{option}={os.path.expanduser(value)}"
    return os.path.expanduser(word)


def count(text: str) -> int:
    """Parse a whole number from 1; an argument type."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"expected a number from 1, received {text!r}"
        )
    return int(text)


def positive(text: str) -> float:
    """Parse a number above 0; an argument type."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(
            f"expected a number above 0, received {text!r}"
        )
    return number


def sizes(text: str) -> tuple[int, ...]:
    """Parse sizes such as 8x256x256; an argument type."""
    parts = text.split("x")
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(
            f"expected sizes such as 8x256x256, received {text!r}"
        )
    return tuple(map(int, parts))


def overview(title: str, root: str, marker: str, example: str) -> str:
    """List the folders below `root` with a file `marker`, and an example.

    Printed by a command without arguments.
    """
    markers = sorted(pathlib.Path(root).glob(f"*/{marker}"))
    names = dict.fromkeys(path.relative_to(root).parts[0] for path in markers)
    listed = ", ".join(f"{root}/{name}" for name in names)
    return (
        f"{title}: {listed or f'none below {root}/ yet'}\n\n"
        f"Example:\n  {example}"
    )


def overview_of_runs(example: str) -> str:
    """List the run folders, for commands that take one."""
    return overview("Runs", "runs", "recipe.json", example)


def parse_or_list_runs(
    parser: argparse.ArgumentParser,
    arguments: Sequence[str] | None,
    example: str,
) -> argparse.Namespace | None:
    """Parse arguments; without any, print the run folders and return None."""
    options, has_arguments = parse(parser, arguments)
    if has_arguments:
        return options
    print(overview_of_runs(example))
    return None


def list_failures(reasons: Sequence[str], count: int) -> None:
    """Print why inputs of a command could not be read.

    Args:
        reasons: a line for each input that failed.
        count: inputs of the command.

    Raises:
        UserError: all of them failed.
    """
    if len(reasons) == count == 1:
        raise UserError(reasons[0])
    if reasons:
        print(f"{len(reasons)} of {count} could not be read:")
    for reason in reasons:
        print(f"  {reason}")
    if len(reasons) == count:
        raise UserError(
            f"None of {count} could be read; the reasons are above."
        )


def _describe(error: OSError) -> str:
    path = error.filename or "a file"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return (
            f"No space left to write {path}. Free some and run the same "
            "command again; what was saved before is intact."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"No permission to write or read {path}."
    return f"{error.strerror or error}: {path}" if error.errno else str(error)


def _fail(message: str) -> int:
    message = paths.without_credentials(" ".join(message.split()))
    print(f"error: {message}", file=sys.stderr)
    return USER_ERROR
