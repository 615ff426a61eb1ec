"""Error of commands in this folder about their missing extra."""

import contextlib
import sys
from collections.abc import Iterator

from training.io import cli
from training.io.user_error import missing_extra


@contextlib.contextmanager
def required(module: str) -> Iterator[None]:
    """End a command with one line if imports in the block fail.

    Args:
        module: `__name__` of the importing module; a test that imports it
            gets the error as it is.
    """
    try:
        yield
    except ImportError:
        if module != "__main__":
            raise
        needed = missing_extra("tensorflow-serving-api", "serving")
        print(f"error: {needed}", file=sys.stderr)
        raise SystemExit(cli.USER_ERROR) from None
