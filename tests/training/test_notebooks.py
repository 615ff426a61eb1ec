"""Execution of the notebooks."""

import json
import pathlib
import re

import pytest

from tests.installed_name import installed_name

ROOT = pathlib.Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture
def place(tiny, tmp_path, monkeypatch):
    """A folder with a trained run and its SavedModel, as after `make train`.

    The names of the installed package are those of the tree.
    """
    run, version = tiny
    for name, path in (
        ("runs", run.parent),
        ("savedmodels", version.parents[1]),
    ):
        (tmp_path / name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    with installed_name():
        yield


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_first_to_last_cell(path, place, capsys):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    names: dict = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile(python_of(cell), str(path), "exec"), names)
    assert capsys.readouterr().out
    if path.stem == "attention":  # SavedModel and network
        assert names["difference"] < 1e-5


def python_of(cell):
    """Return the code of a cell without the commands of IPython."""
    return re.sub(r"^%.*$", "", "".join(cell["source"]), flags=re.M)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_begins_with_its_installation(path):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    first = next(cell for cell in cells if cell["cell_type"] == "code")
    assert '%pip install --quiet "nonlocal-tf[' in "".join(first["source"])
    assert "sys.path" not in path.read_text("utf-8")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_outputs_are_complete_without_local_paths(path):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    cells = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == [
        number + 1 for number in range(len(cells))
    ]
    outputs = json.dumps([cell["outputs"] for cell in cells])
    assert "/root" not in outputs and "/home" not in outputs
    assert "stderr" not in outputs
