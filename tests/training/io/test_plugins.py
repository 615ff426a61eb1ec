import sys

import pytest

from training.io import cli, plugins
from training.io.user_error import UserError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder, of which nothing stays imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_module_of_the_current_folder_is_imported(folder):
    (folder / "own_module_1.py").write_text("import sys\nsys.own_module_1 = 7")
    plugins.load(["own_module_1"])
    assert vars(sys).pop("own_module_1") == 7


def test_every_command_takes_plugins(folder):
    (folder / "own_module_2.py").write_text("value = 7")
    options, _ = cli.parse(
        cli.parser("train", "", ""), ["--plugin", "own_module_2"]
    )
    assert options.plugin == ["own_module_2"]
    assert sys.modules["own_module_2"].value == 7


def test_an_attribute_of_a_module_in_a_package(folder):
    (folder / "own_package").mkdir()
    (folder / "own_package" / "inner.py").write_text("def f(): return 5")
    assert plugins.load_attribute("own_package.inner:f")() == 5


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module", "no Python module no_such_module"),
        ("folder/module.py", "without a folder or .py"),
        ("module.py", "without a folder or .py"),
        ("", "name of a Python module"),
    ],
)
def test_a_wrong_module_is_named(name, message):
    with pytest.raises(UserError, match=message):
        plugins.load([name])


def test_an_import_that_fails_inside_a_module_keeps_its_error(folder):
    (folder / "own_module_3.py").write_text("import no_such_package_7")
    with pytest.raises(ModuleNotFoundError, match="no_such_package_7"):
        plugins.load(["own_module_3"])


def test_an_unknown_attribute_is_refused(folder):
    (folder / "own_module_4.py").write_text("def mine(): pass")
    with pytest.raises(UserError, match="such as mine"):
        plugins.load_attribute("own_module_4:other")


def test_a_plugin_of_another_copy_of_the_program_is_refused(
    folder, monkeypatch
):
    other = "a_program_installed_elsewhere"
    monkeypatch.setattr(plugins, "INSTALLED", other)
    (folder / f"{other}.py").write_text("")
    (folder / "own_module_5.py").write_text(f"import {other}")
    with pytest.raises(UserError, match="Run it as nonlocal-tf"):
        plugins.load(["own_module_5"])


def test_a_copy_that_was_imported_before_is_no_fault_of_a_plugin(
    folder, monkeypatch
):
    monkeypatch.setattr(plugins, "INSTALLED", "math")
    (folder / "own_module_6.py").write_text("import math")
    plugins.load(["own_module_6"])
