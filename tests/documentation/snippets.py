"""Collect commands, names and files in documentation and messages."""

import ast
import dataclasses
import functools
import json
import pathlib
import re
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parents[2]
# Folders of the tree that hold documentation and messages.
FOLDERS = ("nonlocal_tf", "training", "savedmodels/clients", "tests")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)
# Placeholder of an interpolated value in a message.
FILLED_IN = "\N{SECTION SIGN}"
# A code block; a comment before it says why no test runs it as it stands.
FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+) -->\n)?"
    r"```(?P<language>\w*)\n(?P<code>.*?)^```",
    re.M | re.S,
)
SPAN = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+){0,2})`(?!`)")
HINT = re.compile(
    r"nonlocal-tf \w|python3? |pip install|make \w|--[a-z]|missing_extra"
)
# Start of a shell command.
TYPED = re.compile(
    r"(?:\$ )?(?:(?:nonlocal-tf|python3?|pip|docker|kubectl|curl) \S"
    r"|make [\w-]+( [\w-]+)?\s*(#|$))"
)


@dataclasses.dataclass(frozen=True)
class Snippet:
    """A piece of text with its location.

    Attributes:
        place: file and line, such as "README.md:12".
        text: of one command, block, span or message.
        module: name of the Python module, "" for other files.
        language: of a code block.
        reason: why no test runs the block, "" if one does.
    """

    place: str
    text: str
    module: str = ""
    language: str = ""
    reason: str = ""

    def __str__(self) -> str:
        text = self.text if len(self.text) < 200 else f"{self.text[:200]}..."
        return f"{self.place}: {text!r}"


def markdown_files() -> list[pathlib.Path]:
    """List the documents of the tree, without the changelog."""
    folders = [ROOT, ROOT / "savedmodels", ROOT / "savedmodels" / "clients"]
    paths = [path for folder in folders for path in folder.glob("*.md")]
    for folder in ("docs", "training", "nonlocal_tf", "tests"):
        paths += (ROOT / folder).rglob("*.md")
    return sorted(path for path in paths if path.name != "CHANGELOG.md")


def documents() -> Iterator[tuple[str, str]]:
    """Yield name and text of each document, including notebooks."""
    for path in markdown_files():
        yield path.relative_to(ROOT).as_posix(), path.read_text("utf-8")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        text = ["".join(c["source"]) for c in cells if c["cell_type"] != "code"]
        yield path.relative_to(ROOT).as_posix(), "\n\n".join(text)


def python_files() -> list[pathlib.Path]:
    """List modules that name a command, an option or an extra."""
    paths = (p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py"))
    return sorted(p for p in paths if HINT.search(p.read_text("utf-8")))


def fences(name: str, text: str, *languages: str) -> list[Snippet]:
    """List the code blocks of some languages."""
    return [
        Snippet(
            f"{name}:{_line(text, match.start('code'))}",
            match["code"],
            language=match["language"],
            reason=match["reason"] or "",
        )
        for match in FENCE.finditer(text)
        if match["language"] in languages
    ]


def spans(name: str, text: str) -> list[Snippet]:
    """List the spans between backticks, without code blocks."""
    prose = FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)
    return [
        Snippet(f"{name}:{_line(prose, m.start())}", " ".join(m[1].split()))
        for m in SPAN.finditer(prose)
    ]


def lines(block: Snippet) -> list[Snippet]:
    r"""The command lines of a block; \ at the end goes on."""
    file, _, first = block.place.rpartition(":")
    joined: list[Snippet] = []
    begun = ""
    for number, line in enumerate(block.text.split("\n"), int(first)):
        begun += line.strip()
        if begun.endswith("\\"):
            begun = begun.removesuffix("\\")
            continue
        if begun and not begun.startswith("#"):
            joined.append(Snippet(f"{file}:{number}", begun))
        begun = ""
    return joined


def indented(name: str, text: str, first: int = 1) -> list[Snippet]:
    """List the command lines of indented blocks."""
    prose = FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)
    block = "\n".join(
        line if line.startswith("    ") else "" for line in prose.split("\n")
    )
    collected = lines(Snippet(f"{name}:{first}", block))
    return [snippet for snippet in collected if TYPED.match(snippet.text)]


def shell_commands(name: str, text: str) -> list[Snippet]:
    """List all command lines of a document, in blocks and spans."""
    commands = [
        line for block in fences(name, text, "sh") for line in lines(block)
    ]
    commands += indented(name, text)
    return commands + [
        snippet for snippet in spans(name, text) if _is_typed(snippet.text)
    ]


def docstrings(path: pathlib.Path) -> Iterator[Snippet]:
    """List the docstrings of a module, its classes and functions."""
    for node in ast.walk(_parsed(path)):
        if isinstance(node, DOCUMENTED):
            text = ast.get_docstring(node, clean=False)
            if text:
                yield _snippet(path, node.body[0].lineno, text)


def messages(path: pathlib.Path) -> Iterator[Snippet]:
    """The other strings of a module, with § where values are filled in."""
    skip = set()
    for node in ast.walk(_parsed(path)):  # parents come before what is in them
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, False):
            skip.add(node.body[0].value)
        elif node in skip:
            continue
        elif isinstance(node, ast.JoinedStr):
            skip |= set(ast.walk(node))
            text = "".join(
                str(part.value) if isinstance(part, ast.Constant) else FILLED_IN
                for part in node.values
            )
            yield _snippet(path, node.lineno, text)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield _snippet(path, node.lineno, node.value)


def _is_typed(text: str) -> bool:
    """Return True for a command; `make` alone names the program."""
    return bool(TYPED.match(text)) and not text.endswith(" -m")


def _snippet(path: pathlib.Path, line: int, text: str) -> Snippet:
    name = path.relative_to(ROOT).as_posix()
    module = name.removesuffix(".py").replace("/", ".")
    return Snippet(f"{name}:{line}", text, module)


@functools.cache
def _parsed(path: pathlib.Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1
