"""Check command lines with the parsers and recipes of the commands."""

import argparse
import configparser
import functools
import importlib
import importlib.util
import pathlib
import re
import shlex
import sys
from collections.abc import Sequence
from unittest import mock

from tests.documentation.snippets import FILLED_IN, ROOT
from training.__main__ import COMMANDS
from training.check import CheckConfig
from training.exporting import server_configs
from training.io.user_error import UserError
from training.recipes import RECIPES, get_recipe, overrides

CLIENTS = ROOT / "savedmodels" / "clients"
# Programs whose arguments are not checked.
OTHERS = ("docker", "kubectl", "curl", "export", ".", "cd", "unzip", "tar")
# Of Docker, kubectl and Beam's runners.
FOREIGN = ("--build-arg", "--profile", "--replicas", "--runner")
# A command creates its parser by one of these.
HAS_PARSER = re.compile(
    r"Parser\(|(cli|command)\.pars|predict_options|fuzzing\.main"
)
# Recipes of the reader, and "1" in place of a value that is filled in.
OWN = re.compile(r"my_|1$")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
MODULE = re.compile(r"(?:python3?|§) -m ([a-z][\w.]+)|nonlocal-tf ([a-z]\w+)")
SETTING = re.compile(r"--set[= ]([\w.§]+)(=(?:'[^']*'|\"[^\"]*\"|\S*))?")


class DocumentationError(Exception):
    """A documented command, name or file does not exist."""


class _Parser(Exception):
    """Carries the parser of a command out of its main function."""


@functools.cache
def parser_of(module: str) -> argparse.ArgumentParser:
    """Return the parser that a command creates.

    Raises:
        DocumentationError: there is no such command.
    """

    def capture(parser, *_, **__):
        raise _Parser(parser)

    spec = importlib.util.find_spec(module)
    if spec is None:
        raise DocumentationError(f"there is no module {module}")
    is_package = spec.submodule_search_locations is not None
    command = importlib.import_module(module + ".__main__" * is_package)
    with (
        mock.patch.object(argparse.ArgumentParser, "parse_args", capture),
        mock.patch.object(sys, "argv", [module]),
    ):
        try:
            command.main()
        except _Parser as caught:
            return caught.args[0]
        except AttributeError as error:
            raise DocumentationError(
                f"{module} is no command: {error}"
            ) from error
    raise DocumentationError(f"{module} takes no arguments")


def check(line: str) -> None:
    """Check a shell line: programs, options, values, files.

    Raises:
        DocumentationError: part of it does not work.
    """
    try:
        words = shlex.split(line.removeprefix("$ "), comments=True)
    except ValueError as error:
        raise DocumentationError(str(error)) from error
    command: list[str] = []
    for word in [*words, "&&"]:
        if word not in ("&&", "||", ";", "|"):
            command.append(word)
            continue
        if command:
            _check_command(command)
        command = []


def _check_command(words: list[str]) -> None:
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if not words:
        return
    program, *rest = words
    if ">" in rest:
        rest = rest[: rest.index(">")]
    name = pathlib.PurePath(program).name
    if name in ("python", "python3"):
        _check_python(rest)
    elif name == "nonlocal-tf":
        _check_console_command(rest)
    elif name == "pip":
        _check_pip(rest)
    elif name == "make":
        _check_make(rest)
    elif program not in OTHERS:
        raise DocumentationError(
            f"what {program!r} takes is not known to this test"
        )
    for word in words:
        _check_path(word)


def _check_python(words: list[str]) -> None:
    if words[:1] == ["-m"] and len(words) > 1:
        module, arguments = words[1], words[2:]
        if module == "pydoc":
            _check_modules(arguments)
        elif module not in ("venv", "pytest", "pip"):
            check_arguments(module, arguments)
    elif words and words[0].endswith(".py"):
        path = ROOT / words[0]
        if not path.is_file():
            raise DocumentationError(f"there is no script {words[0]}")
        module = words[0].removesuffix(".py").replace("/", ".")
        if path.parent == CLIENTS:
            module = path.stem
        elif module.startswith("training."):
            raise DocumentationError(
                f"{words[0]} finds `training` only as python -m"
            )
        with mock.patch.object(sys, "path", [*sys.path, str(CLIENTS)]):
            check_arguments(module, words[1:])


def _check_console_command(words: list[str]) -> None:
    if words and words[0] != FILLED_IN:
        if words[0] not in COMMANDS:
            raise DocumentationError(f"nonlocal-tf has no command {words[0]}")
        check_arguments(f"training.{words[0]}", words[1:])


def _check_modules(names: Sequence[str]) -> None:
    for name in names:
        if FILLED_IN not in name and importlib.util.find_spec(name) is None:
            raise DocumentationError(f"there is no module {name}")


def check_arguments(module: str, arguments: list[str]) -> None:
    """Parse arguments as the command does, and apply its settings."""
    if FILLED_IN in module or module in without_options():
        return
    parser = parser_of(module)
    words = [word.replace(FILLED_IN, "1") for word in arguments]
    try:
        options = _parse(parser, words)
    except DocumentationError:  # N and K are for numbers
        numbers = [re.sub(r"^[A-Z]$", "1", word) for word in words]
        if numbers == words:
            raise
        options = _parse(parser, numbers)
    check_settings(module, options)


def _parse(parser: argparse.ArgumentParser, words: list[str]):
    def fail(message):
        raise DocumentationError(f"{parser.prog}: {message}")

    with mock.patch.object(parser, "error", fail):
        try:
            return parser.parse_args(words)
        except SystemExit:  # --help
            return argparse.Namespace()


def check_settings(module: str, options: argparse.Namespace) -> None:
    """Apply `--set` to the recipe of a command."""
    settings = getattr(options, "set", None) or []
    name = getattr(options, "recipe", None)
    try:
        if module in ("training.check", "training.shards"):
            overrides.apply(CheckConfig(), settings)
        elif name is None or name.isupper() or OWN.match(name):
            for setting in settings:
                check_setting(setting)
        else:
            overrides.override(get_recipe(name), settings)
    except UserError as error:
        raise DocumentationError(str(error)) from error


def check_setting(setting: str) -> None:
    """Apply a setting to recipes of all kinds; one of them must accept it.

    Raises:
        DocumentationError: none accepts it.
    """
    field, _, value = setting.partition("=")
    last = field.rpartition(".")[2]
    if FILLED_IN in field or last.isupper() or last == "field":
        return
    reasons = []
    is_open = not value or value.isupper() or FILLED_IN in value
    for config in _configs():
        try:
            overrides.apply(config, [f"{field}={value}"])
            return
        except UserError as error:
            if is_open and ": expected " in str(error):
                return  # the field exists
            reasons.append(str(error))
        except ValueError as error:
            reasons.append(str(error))
    raise DocumentationError(reasons[0])


@functools.cache
def _configs() -> tuple:
    names = ("k400_i3d_nl5_r50_8x8", "digits_nl", "small")
    return tuple(map(get_recipe, names))


@functools.cache
def command_modules() -> tuple[str, ...]:
    """List the modules that are commands with options."""
    return tuple(name for name, takes in _scripts().items() if takes)


@functools.cache
def without_options() -> frozenset[str]:
    """List the modules that are commands without options."""
    return frozenset(name for name, takes in _scripts().items() if not takes)


@functools.cache
def _scripts() -> dict[str, bool]:
    """List modules that can be run, and whether they have a parser."""
    scripts = {}
    for folder in ("training", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text("utf-8")
            if "\nif __name__ ==" in text:
                name = path.relative_to(ROOT).as_posix().removesuffix(".py")
                has_parser = bool(HAS_PARSER.search(text))
                scripts[name.replace("/", ".")] = has_parser
    return scripts


@functools.cache
def all_options() -> frozenset[str]:
    """List the options of all commands."""
    with mock.patch.object(sys, "path", [*sys.path, str(CLIENTS)]):
        parsers = [parser_of(name) for name in command_modules()]
        parsers.append(parser_of("video_client"))
    return frozenset(
        option
        for parser in parsers
        for action in parser._actions
        for option in action.option_strings
    )


def check_prose(text: str) -> None:
    """Check the commands, options and settings in a sentence.

    Raises:
        DocumentationError: one of them does not exist.
    """
    for match in MODULE.finditer(text):
        module = (match[1] or f"training.{match[2]}").rstrip(".")
        if module in without_options() or module in (
            "pydoc",
            "pytest",
            "venv",
            "pip",
        ):
            continue
        _check_prose_options(module, text[match.end() :].split())
    for option in OPTION.findall(text):
        if option not in (*FOREIGN, *all_options()):
            raise DocumentationError(f"no command has {option}")
    for name in re.findall(r"--recipe ([a-z]\w+)", text):
        if name not in RECIPES and not OWN.match(name):
            raise DocumentationError(f"there is no recipe {name}")
    for match in SETTING.finditer(text):
        field, value = match[1].rstrip("."), (match[2] or "")[1:]
        if "." in field or value:
            check_setting(f"{field}={value.rstrip('.,;:)`')}")


def _check_prose_options(module: str, words: list[str]) -> None:
    """Check the options that follow a command in a sentence."""
    parser = parser_of(module)
    actions = {o: a for a in parser._actions for o in a.option_strings}
    while words and words[0].startswith("--"):
        option = words.pop(0).rstrip(".,;:)`").partition("=")[0]
        if option not in actions:
            raise DocumentationError(f"{parser.prog} has no {option}")
        if actions[option].nargs != 0 and words:
            words.pop(0)


@functools.cache
def extras() -> dict[str, list[str]]:
    """Read the extras of setup.cfg with their packages."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", "utf-8")
    listed = config["options.extras_require"].items()
    return {name: value.split("\n")[1:] for name, value in listed}


def _check_pip(words: list[str]) -> None:
    for extra in re.findall(r"(?:\.|nonlocal-tf)\[([^]]*)\]", " ".join(words)):
        for name in extra.split(","):
            if FILLED_IN not in name and not name.isupper():
                if name not in extras():
                    raise DocumentationError(f"setup.cfg has no extra {name!r}")
    if "-c" in words:
        path = words[words.index("-c") + 1]
        if not (ROOT / path).is_file():
            raise DocumentationError(f"there is no file {path}")


@functools.cache
def _targets() -> frozenset[str]:
    text = (ROOT / "Makefile").read_text("utf-8")
    return frozenset(re.findall(r"^([\w-]+):", text, re.M))


def _check_make(words: list[str]) -> None:
    for word in words:
        if "=" not in word and word not in _targets():
            raise DocumentationError(f"Makefile has no target {word!r}")


def _check_path(word: str) -> None:
    """Check that a file exists, or is generated."""
    folder = "savedmodels/serving/"
    if word.startswith(folder):
        if word.removeprefix(folder) not in server_configs.FILES:
            raise DocumentationError(f"serve_config does not write {word}")
    elif word.startswith(("training/", "tests/", "savedmodels/clients/")):
        if "*" not in word and not (ROOT / word).exists():
            raise DocumentationError(f"there is no {word}")
