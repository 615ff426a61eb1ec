"""A SavedModel in a C program, which is how a C++ server would load it.

The program is built against the libraries in TensorFlow's Python package.
"""

import json
import pathlib
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from training.saved_model import SavedModel

SOURCE = pathlib.Path(__file__).parents[2] / "savedmodels/clients/classify.c"
CLIP = np.random.default_rng(5).integers(0, 256, (8, 32, 32, 3), "uint8")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler is installed")
    path = tmp_path_factory.mktemp("c") / "classify"
    libraries = pathlib.Path(tf.sysconfig.get_lib())
    subprocess.run(
        [
            compiler,
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-Werror",
            SOURCE,
            "-o",
            path,
        ]
        + [f"-I{libraries / 'include'}", libraries / "libtensorflow_cc.so.2"]
        + [libraries / "libtensorflow_framework.so.2"]
        + [f"-Wl,-rpath,{libraries}"],
        check=True,
    )
    return path


def run(program, version, output, clip=CLIP, **changed):
    names = json.loads((version / "assets.extra/tensors.json").read_text())
    of = names["serving_default"]
    sizes = changed.get("sizes", clip.shape[:3])
    return subprocess.run(
        [program, version, of["inputs"]["clips"]]
        + [of["outputs"].get(output, output), *map(str, sizes)],
        input=clip.tobytes(),
        capture_output=True,
        timeout=300,
    )


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(8, 32, 32, 3), (3, 41, 27, 3)])
def test_it_has_the_same_probabilities(program, tiny, shape):
    clip = np.resize(CLIP, shape)
    done = run(program, tiny[1], "probabilities", clip)
    assert done.returncode == 0, done.stderr
    got = np.array(done.stdout.split(), "float32")
    (expected,) = SavedModel(tiny[1]).probabilities(clip[None])
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("output", "changed", "message"),
    [
        ("nothing:0", {}, b"no such tensor"),
        ("class_name", {}, b"is not float32"),
        ("logits", {"sizes": (9, 32, 32)}, b"TIME x HEIGHT x WIDTH x 3 bytes"),
        ("logits", {"sizes": (0, 32, 32)}, b"expected a size from 1"),
    ],
)
def test_what_is_wrong_is_one_line(program, tiny, output, changed, message):
    done = run(program, tiny[1], output, **changed)
    assert done.returncode == 2
    (line,) = [x for x in done.stderr.splitlines() if x.startswith(b"error")]
    assert message in line


@pytest.mark.slow
def test_a_directory_that_is_no_model_says_so(program, tiny, tmp_path):
    done = subprocess.run(
        [program, tmp_path, "a:0", "b:0", "1", "1", "1"], capture_output=True
    )
    assert done.returncode == 2 and b"Could not find SavedModel" in done.stderr
