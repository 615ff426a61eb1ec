"""A SavedModel in a C program, loaded as a C++ server would.

The program is built against the libraries in TensorFlow's Python package.
"""

import shutil
import subprocess

import numpy as np
import pytest

from tests.savedmodels import everywhere
from training.exporting.saved_model import SavedModel

CLIP = np.random.default_rng(5).integers(0, 256, (8, 32, 32, 3), "uint8")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if not (shutil.which("cc") or shutil.which("gcc")):
        pytest.skip("no C compiler is installed")
    return everywhere.build_c(tmp_path_factory.mktemp("c") / "classify")


@pytest.mark.full
@pytest.mark.parametrize("shape", [(8, 32, 32, 3), (3, 41, 27, 3)])
def test_probabilities_equal_those_of_python(program, tiny, shape):
    clip = np.resize(CLIP, shape)
    got = everywhere.in_c(program, tiny[1], clip)
    (expected,) = SavedModel(tiny[1]).probabilities(clip[None])
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)


@pytest.mark.full
@pytest.mark.parametrize(
    ("output", "sizes", "message"),
    [
        ("nothing:0", (8, 32, 32), b"no such tensor"),
        ("class_name", (8, 32, 32), b"is not float32"),
        ("logits", (9, 32, 32), b"TIME x HEIGHT x WIDTH x 3 bytes"),
        ("logits", (0, 32, 32), b"expected a size from 1"),
    ],
)
def test_invalid_arguments_are_a_one_line_error(
    program, tiny, output, sizes, message
):
    process = everywhere.run_c(program, tiny[1], output, CLIP, sizes)
    assert process.returncode == 2
    (line,) = [x for x in process.stderr.splitlines() if x.startswith(b"error")]
    assert message in line


@pytest.mark.full
def test_a_directory_without_a_model_is_an_error(program, tiny, tmp_path):
    process = subprocess.run(
        [program, tmp_path, "a:0", "b:0", "1", "1", "1"], capture_output=True
    )
    assert (
        process.returncode == 2
        and b"Could not find SavedModel" in process.stderr
    )
