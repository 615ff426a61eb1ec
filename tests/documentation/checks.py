"""Checks of snippets of the documentation."""

import pkgutil
import re

from tests.documentation import commands, snippets
from tests.documentation.snippets import ROOT

# Names in a span, such as `training.predict` or `nl.create_model(...)`.
NAME = re.compile(r"(nl|nonlocal_tf|training|detection|layers|tests)(\.\w+)+")
# Folders that the tree holds, but those that commands write.
FOLDERS = "docs|nonlocal_tf|training|tests|notebooks|savedmodels/clients"
PATH = re.compile(rf"({FOLDERS})(/[\w.-]+)+/?")


def failures(pieces, check) -> list[str]:
    """List the errors of a check on snippets."""
    wrong = []
    for piece in pieces:
        try:
            check(piece.text)
        except commands.DocumentationError as error:
            wrong.append(f"{piece}: {error}")
    return wrong


def check_span(text: str) -> None:
    """Check the options, settings, names and files in a span."""
    if not snippets.TYPED.match(text) and "pytest" not in text:
        commands.check_prose(text)
    name = re.split(r"[=(]", text)[0]
    if NAME.fullmatch(name):
        _check_name(name)
    if PATH.fullmatch(text) and not (ROOT / text).exists():
        raise commands.DocumentationError("there is no such file")


def _check_name(name: str) -> None:
    full = re.sub(r"^nl\.", "nonlocal_tf.", name)
    full = re.sub(r"^(detection|layers)\.", r"nonlocal_tf.\1.", full)
    for suffix in ("py", "json", "npz"):  # a file that is not of the tree
        full = full.removesuffix(f".{suffix}")
    try:
        pkgutil.resolve_name(full)
    except (ImportError, AttributeError):
        commands.check_setting(name)  # else it is a field of a recipe
