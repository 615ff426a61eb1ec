"""SavedModels between the TensorFlow of URLs and the newest, both ways."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from training.exporting.saved_model import SavedModel

pytestmark = pytest.mark.usefixtures("tensorflow_io")
ROOT = pathlib.Path(__file__).parents[2]
OTHER = ROOT / ".venv" / "bin" / "python"
CLIPS = np.random.default_rng(7).integers(0, 256, (2, 8, 32, 32, 3), "uint8")
RUN_SIGNATURES = """
import sys, numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
clips = tf.constant(np.load(sys.argv[2]))
values = {"clips": clips, "block": tf.constant(["", ""])}
values["query"] = tf.constant([[7, 31, 0], [2, 5, 9]])
values["frames_bytes"] = tf.stack(
    [tf.stack([tf.io.encode_png(f) for f in clip]) for clip in clips])
named = {"serving_default": ["clips"], "features": ["clips"],
         "attention": ["clips", "block", "query"],
         "serve_frames": ["frames_bytes"]}
outputs = {}
for name, inputs in named.items():
    got = model.signatures[name](**{key: values[key] for key in inputs})
    for key, value in got.items():
        if value.dtype != tf.string:
            outputs[f"{name} {key}"] = value.numpy().tolist()
import json
print(json.dumps([tf.__version__, outputs]))
"""

OUTPUTS = {
    *("serving_default probabilities", "serving_default logits"),
    *("serve_frames probabilities", "serve_frames top_k_scores"),
    "features features",
    *(f"attention {key}" for key in ("weights", "cell", "stride", "first")),
}


@pytest.fixture(scope="module")
def other():
    """Python of the environment with the newest TensorFlow, if there is one."""
    if (
        not OTHER.exists()
        or OTHER.parent == pathlib.Path(sys.executable).parent
    ):
        pytest.skip("there is no other environment in .venv")
    return OTHER


def run_signatures(python, version, folder):
    np.save(folder / "clips.npy", CLIPS)
    command = [python, "-c", RUN_SIGNATURES, version, folder / "clips.npy"]
    process = subprocess.run(
        command, capture_output=True, text=True, check=True
    )
    release, outputs = json.loads(process.stdout.splitlines()[-1])
    return release, {key: np.array(value) for key, value in outputs.items()}


def compare(version, other, folder):
    """Compare the outputs of two TensorFlows; return the probabilities."""
    release, outputs = run_signatures(sys.executable, version, folder)
    other_release, other_outputs = run_signatures(other, version, folder)
    assert outputs.keys() == other_outputs.keys() == OUTPUTS
    for key, value in outputs.items():
        np.testing.assert_allclose(other_outputs[key], value, rtol=0, atol=1e-5)
    assert release != other_release
    return outputs["serving_default probabilities"]


def test_the_newest_release_loads_models_of_this_one(tiny, other, tmp_path):
    probabilities = compare(tiny[1], other, tmp_path)
    expected = SavedModel(tiny[1]).probabilities(CLIPS)
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-5)


def test_this_release_loads_models_of_the_newest(tiny, other, tmp_path):
    subprocess.run(
        [other, "-m", "training.export", f"--workdir={tiny[0]}"]
        + [f"--out={tmp_path / 'x'}"],
        cwd=ROOT,
        check=True,
    )
    probabilities = compare(tmp_path / "x" / "1", other, tmp_path)
    expected = SavedModel(tiny[1]).probabilities(CLIPS)
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-5)
