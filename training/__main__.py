"""Run a command of nonlocal_tf, or list them: `nonlocal-tf COMMAND ...`."""

import ast
import difflib
import importlib
import pathlib
import sys

from .io import cli
from .io.user_error import UserError

FOLDER = pathlib.Path(__file__).parent
# In the order in which a user meets them.
GROUPS = {
    "Train and test": ("train", "evaluate", "predict", "report"),
    "See attention": ("app", "visualize"),
    "Deploy": ("export", "serve_config", "publish"),
    "Data, networks and weights": ("check", "shards", "models", "convert"),
    "The paper's claims": ("ablations",),
}
COMMANDS = tuple(name for names in GROUPS.values() for name in names)


def main() -> int:
    """Run the command named by the first argument; without one, list all."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview())
        return 0
    name, *rest = arguments
    return cli.run(lambda words: _main_of(name)(words), rest)


def overview() -> str:
    """Return the commands by group, one line each."""
    width = max(map(len, COMMANDS))
    lines = ["usage: nonlocal-tf COMMAND [OPTIONS]", ""]
    for title, names in GROUPS.items():
        lines.append(f"{title}:")
        lines += [f"  {name:{width}}  {_summary(name)}" for name in names]
    return "\n".join(
        [*lines, "", "All options of a command: nonlocal-tf COMMAND --help"]
    )


def _main_of(name: str) -> cli.Main:
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UserError(
            f"Unknown command. Expected one of {', '.join(COMMANDS)}. "
            f"Received: {name!r}.{hint}"
        )
    return importlib.import_module(f".{name}", __package__).main


def _summary(name: str) -> str:
    """Return the first line of a command's docstring, without importing it."""
    tree = ast.parse((FOLDER / f"{name}.py").read_text("utf-8"))
    return (ast.get_docstring(tree) or "").splitlines()[0]


if __name__ == "__main__":
    sys.exit(main())
