"""Compare the probabilities of a model across runtimes.

    python -m tests.savedmodels.everywhere --model savedmodels/digits_nl \\
        --clip clip.npy --python /another/environment/bin/python

runs the newest version in this project, in a process without this project and
Keras, in C, over gRPC and REST through the contract server and the files of
`nonlocal-tf serve_config`, and in each `--python`, another TensorFlow. It fails
unless all are within 1e-5.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import tensorflow as tf

from tests.savedmodels.contract_server import ContractServer
from training import serve_config
from training.exporting.saved_model import SavedModel

CLIENTS = pathlib.Path(__file__).parents[2] / "savedmodels" / "clients"
CLOSE = 1e-5
WITHOUT_US = """
import json, sys
for name in ("nonlocal_tf", "training", "keras"):
    sys.modules[name] = None  # makes any import of it fail
import numpy as np
import tensorflow as tf
serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
outputs = serve(clips=tf.constant(np.load(sys.argv[2])[None]))
scores = outputs["probabilities"].numpy()[0].tolist()
print(json.dumps([tf.__version__, scores]))
"""


def ask(model: str, clip: np.ndarray, pythons=()) -> dict[str, np.ndarray]:
    """Compute probabilities `(classes,)` of a clip, by runtime."""
    version = SavedModel(model).path.resolve()  # asked from other folders
    scores_by_place = {
        "our code": SavedModel(version).probabilities(clip[None])[0]
    }
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        np.save(scratch / "clip.npy", clip)
        for python in (sys.executable, *pythons):
            release, scores = without_us(python, version, scratch / "clip.npy")
            scores_by_place[f"without our code, TensorFlow {release}"] = scores
        scores_by_place["C"] = in_c(
            build_c(scratch / "classify"), version, clip
        )
        scores_by_place |= over_the_network(version, clip, scratch)
    return scores_by_place


def without_us(python, version, clip_path) -> tuple[str, np.ndarray]:
    result = subprocess.run(
        [python, "-c", WITHOUT_US, version, clip_path],
        cwd=clip_path.parent,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    release, scores = json.loads(result.stdout.splitlines()[-1])
    return release, np.array(scores, "float32")


def build_c(path: pathlib.Path) -> pathlib.Path:
    """Compile classify.c against TensorFlow's Python package."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise FileNotFoundError("there is no C compiler (cc, gcc)")
    libraries = pathlib.Path(tf.sysconfig.get_lib())
    subprocess.run(
        [compiler, "-std=c11", "-Wall", "-Wextra", "-Werror"]
        + [CLIENTS / "classify.c", "-o", path]
        + [f"-I{libraries / 'include'}", libraries / "libtensorflow_cc.so.2"]
        + [libraries / "libtensorflow_framework.so.2"]
        + [f"-Wl,-rpath,{libraries}"],
        check=True,
    )
    return path


def run_c(program, version, output, clip, sizes=None):
    """Run classify for an output of serving_default, or a tensor."""
    names = json.loads((version / "assets.extra/tensors.json").read_text())
    names_of = names["serving_default"]
    return subprocess.run(
        [program, version, names_of["inputs"]["clips"]]
        + [names_of["outputs"].get(output, output)]
        + [str(size) for size in sizes or clip.shape[:3]],
        input=clip.tobytes(),
        capture_output=True,
        timeout=300,
    )


def in_c(program, version, clip) -> np.ndarray:
    result = run_c(program, version, "probabilities", clip)
    result.check_returncode()
    return np.array(result.stdout.split(), "float32")


def over_the_network(version, clip, scratch) -> dict[str, np.ndarray]:
    name = "model"
    shutil.copytree(version, scratch / name / "1")
    serve_config.write([str(scratch / name)], str(scratch / "serving"))
    sys.path.insert(0, str(CLIENTS))
    import serving_client

    scores_by_place = {}
    with ContractServer(scratch / "serving/models.config", scratch) as server:
        for way, address in (
            ("gRPC", server.grpc_address),
            ("REST", server.rest_address),
        ):
            client = serving_client.connect(address, name, way == "REST")
            outputs = client.predict("serving_default", clips=clip[None])
            scores_by_place[way] = np.array(
                outputs["probabilities"], "float32"
            )[0]
            client.close()
    return scores_by_place


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--clip", required=True, help=".npy of uint8 pixels")
    parser.add_argument("--python", action="append", default=[])
    options = parser.parse_args()
    scores_by_place = ask(options.model, np.load(options.clip), options.python)
    expected = scores_by_place["our code"]
    for place, scores in scores_by_place.items():
        error = float(np.abs(scores - expected).max())
        print(f"{place}: class {scores.argmax()}, at most {error:.1e} off")
        if scores.shape != expected.shape or not error <= CLOSE:
            raise SystemExit("That is too far.")


if __name__ == "__main__":
    main()
