"""Import Python modules of the user: `--plugin`, and names as MODULE:NAME."""

import importlib
import os
import sys
from collections.abc import Iterable
from typing import Any

from .user_error import UserError

# This program, and the name under which it is imported otherwise.
PROGRAM = __package__.rpartition(".")[0]
INSTALLED = "nonlocal_tf.training"


def load(modules: Iterable[str]) -> None:
    """Import modules, which register data sets, recipes, layers and networks.

    Args:
        modules: names of modules that are installed or in the current folder.

    Raises:
        UserError: there is no such module.
    """
    for name in modules:
        _import(name)


def load_attribute(name: str) -> Any:
    """Return a function or class of a module.

    Args:
        name: module and attribute, such as `my_module:my_function`.

    Raises:
        UserError: there is no such module, or it has no such attribute.
    """
    module_name, _, attribute = name.partition(":")
    module = _import(module_name)
    try:
        return getattr(module, attribute)
    except AttributeError:
        public = [n for n in vars(module) if not n.startswith("_")]
        raise UserError(
            f"Expected a name of module {module_name}, such as "
            f"{', '.join(public[-5:])}. Received: {name}"
        ) from None


def _import(name: str) -> Any:
    """Import a module; an error inside of it keeps its traceback."""
    parts = name.split(".")
    if parts[1:][-1:] == ["py"] or not all(map(str.isidentifier, parts)):
        raise UserError(
            "Expected the name of a Python module, without a folder or .py, "
            f"which is installed or in the current folder. Received: {name}"
        )
    folder = os.getcwd()
    if folder not in sys.path and "" not in sys.path:
        sys.path.insert(0, folder)  # the installed command's path lacks it
    was_imported = INSTALLED in sys.modules
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # of an import in the module
        raise UserError(
            f"There is no Python module {error.name}. Expected one that is "
            f"installed, or {error.name.replace('.', '/')}.py in the current "
            f"folder. Received: {name}"
        ) from None
    if PROGRAM != INSTALLED and INSTALLED in sys.modules and not was_imported:
        raise UserError(
            f"{name} imports {INSTALLED}, but this command runs as `python -m "
            f"{PROGRAM}`, whose tables are others. Run it as nonlocal-tf."
        )
    return module
