"""The notebooks as they are stored; tests/wheel runs them."""

import json
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


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
