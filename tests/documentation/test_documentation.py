"""Commands, names and files in documentation and messages exist and work."""

import importlib
import inspect
import pathlib
import re
import shlex
import sys

import pytest

from docs import reference
from tests.documentation import commands, snippets
from tests.documentation.checks import check_span, failures
from tests.documentation.snippets import ROOT, Snippet
from training import train
from training.recipes import RECIPES, get_recipe
from training.runs.run_folder import RunFolder

DOCUMENTS = dict(snippets.documents())
# Commands that only print.
CHEAP = re.compile(
    r"nonlocal-tf train( .*--(list|print))?|nonlocal-tf models.*"
)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_command_lines_are_parsed(name):
    lines = snippets.shell_commands(name, DOCUMENTS[name])
    wrong = failures(lines, commands.check)
    assert not wrong, "\n".join(wrong)


def cheap_commands() -> list[str]:
    """List documented commands that read no data and train nothing."""
    lines = {
        line.text.partition("#")[0].strip()
        for name, text in DOCUMENTS.items()
        for line in snippets.shell_commands(name, text)
    }
    return sorted(line for line in lines if CHEAP.fullmatch(line))


@pytest.mark.parametrize("line", cheap_commands())
def test_cheap_command_lines_run(line, capsys, monkeypatch):
    program, *arguments = shlex.split(line)
    if program == "python":
        _, module, *arguments = arguments
    else:
        module = f"training.{arguments.pop(0)}"
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    importlib.import_module(module).main()
    assert capsys.readouterr().out.strip()


def test_blocks_have_a_language():
    kinds = ("sh", "python", "")
    for name, text in DOCUMENTS.items():
        count = len(snippets.fences(name, text, *kinds))
        assert count == len(snippets.FENCE.findall(text)), name


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_block_with_a_server_says_why_it_is_not_run(name):
    for block in snippets.fences(name, DOCUMENTS[name], "sh"):
        assert block.reason or "nonlocal-tf app" not in block.text, block.place


@pytest.mark.parametrize("name", DOCUMENTS)
def test_options_settings_names_and_files_in_prose_exist(name):
    lines = snippets.spans(name, DOCUMENTS[name])
    wrong = failures(lines, check_span)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_have_targets(name):
    folder = (ROOT / name).parent
    prose = snippets.FENCE.sub("", DOCUMENTS[name])
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        if path.startswith("reference/"):  # pages that are generated
            assert path in reference.PAGES, target
            continue
        file = folder / path if path else ROOT / name
        assert file.exists(), target
        if anchor:
            assert anchor in headings(file.read_text("utf-8")), target


def headings(text: str) -> set[str]:
    """List the anchors of a document, as GitHub creates them."""
    titles = re.findall(r"^#+ (.*)$", text, re.M)
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return {title.replace(" ", "-") for title in plain}


@pytest.mark.parametrize("module", commands.command_modules())
def test_examples_of_help_are_parsed(module):
    text = commands.parser_of(module).format_help()
    lines = snippets.indented(
        module, re.sub(r"^  (?=\S)", "    ", text, flags=re.M)
    )
    wrong = failures(lines, commands.check)
    wrong += failures([Snippet(module, text)], commands.check_prose)
    assert not wrong, "\n".join(wrong)


def test_commands_in_docstrings_are_parsed():
    wrong = []
    for path in snippets.python_files():
        for text in snippets.docstrings(path):
            name, _, line = text.place.rpartition(":")
            lines = snippets.indented(name, text.text, int(line))
            wrong += failures(lines, commands.check)
            wrong += failures([text], commands.check_prose)
    assert not wrong, "\n".join(wrong)


def test_commands_of_recipes_are_parsed():
    lines = [
        command
        for name, builder in RECIPES.items()
        for command in snippets.indented(name, inspect.getdoc(builder) or "")
    ]
    wrong = failures(lines, commands.check)
    assert len(lines) > len(RECIPES) / 2
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("exported", [None, pathlib.Path("savedmodels/a/1")])
@pytest.mark.parametrize("name", ["digits_nl", "finetune", "small"])
def test_commands_to_try_after_training_are_parsed(name, exported, tmp_path):
    result = {"accuracy": 0.5, "chance": 0.25, "examples": 7, "scores": {}}
    recipe, run = get_recipe(name), RunFolder(tmp_path)
    summary = train.summary(recipe, run, result, exported)
    typed = re.findall(
        r"(?:-m training\.|nonlocal-tf ).*", summary.partition("Try next")[2]
    )
    lines = [
        Snippet(name, f"python {line}" if line.startswith("-m") else line)
        for line in typed
    ]
    wrong = failures(lines, commands.check)
    assert len(lines) > 1 and not wrong, "\n".join(wrong)


def test_commands_and_options_in_messages_exist():
    wrong = []
    for path in snippets.python_files():
        if path.is_relative_to(ROOT / "tests"):
            continue
        for text in snippets.messages(path):
            is_whole = text.text.startswith(("python -m ", "nonlocal-tf "))
            check = commands.check if is_whole else commands.check_prose
            if " " in text.text:  # else an option itself
                wrong += failures([text], check)
    assert not wrong, "\n".join(wrong)


def test_extras_in_code_exist():
    for path in snippets.python_files():
        if path.is_relative_to(ROOT / "tests"):
            continue
        text = path.read_text("utf-8")
        for extra in re.findall(r"'\.\[([\w,-]+)\]'", text):
            assert set(extra.split(",")) <= set(commands.extras()), path


def test_missing_extras_have_the_package():
    source = "\n".join(p.read_text("utf-8") for p in snippets.python_files())
    calls = re.findall(r'missing_extra\(\s*"([\w-]+)",\s*"(\w+)"', source)
    assert calls
    for package, extra in calls:
        brought = " ".join(commands.extras()[extra]).replace("-", "_")
        assert package.replace("-", "_") in brought, (package, extra)


def test_table_of_extras_is_complete():
    page = DOCUMENTS["docs/pages/getting_started.md"]
    section = page.split("\n### Extras\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*?`) \|", section, re.M)
    named = set(re.findall(r"`([\w-]+)`", " ".join(rows)))
    assert named == set(commands.extras())
