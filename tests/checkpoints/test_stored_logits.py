"""Logits of loaded networks against those of the original software.

tests/data/video/README.md describes the data. Differences are relative to the
standard deviation of the logits: 2e-6 to 4e-6 from rounding in fifty layers of
float32, 7e-3 with another pairwise function.
"""

import json

import numpy as np
import pytest

import nonlocal_tf as nl
from tests.checkpoints import checkpoint_files
from tests.harness import array

BOUND = 2e-5
# In CI; small networks like the others are among the default tests.
IN_CI = ("slowfast_I3D_NLN_8x8_R50", "caffe2_i3d_nl5_r50_8x8_256")
STORED = {
    "slowfast_I3D_NLN_8x8_R50": ("slowfast", 7, {}),
    "caffe2_i3d_nl5_r50_8x8_256": (
        "caffe2",
        11,
        {"sampling": "8x8", "clip_shape": (8, 256, 256, 3)},
    ),
    "caffe2_i3d_r50_32x2": ("caffe2", 11, {}),
    "mmaction2_i3d_nl5_r50_dot_product": (
        "mmaction2",
        13,
        {"pairwise": "dot_product"},
    ),
    "pytorchvideo_c2d_r50_8x8": ("pytorchvideo", 17, {}),
    "pytorchvideo_i3d_r50_8x8": ("pytorchvideo", 17, {}),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=pytest.mark.slow if name in IN_CI else pytest.mark.full
        )
        for name in STORED
    ],
)
def test_logits_equal_those_of_the_original_software(name, tmp_path):
    source, seed, options = STORED[name]
    with np.load(checkpoint_files.DATA / f"{name}.npz") as stored:
        arrays = checkpoint_files.weights_of(stored["names"], stored["shapes"])
        shape, logits = stored["input"], stored["logits"]
        probabilities = stored.get("probs")
    path = checkpoint_files.write(tmp_path / "weights", source, arrays)
    model, report = nl.from_checkpoint(path, **options)
    assert report.format == source
    assert not report.kept + report.unused
    y = array(model(checkpoint_files.clip(shape, seed), training=False))
    assert checkpoint_files.relative_error(y, logits) < BOUND
    if probabilities is not None:
        exp = np.exp(y.reshape(-1, 400).astype("float64"))
        mean = (exp / exp.sum(-1, keepdims=True)).mean(0)
        np.testing.assert_allclose(mean, probabilities[0], rtol=1e-4)


@pytest.mark.parametrize(
    "name",
    [
        "i3d_r50_small",
        pytest.param("c2d_r50_small", marks=pytest.mark.full),
    ],
)
def test_logits_equal_those_of_pytorchvideo(name, tmp_path):
    with np.load(checkpoint_files.DATA / f"pytorchvideo_{name}.npz") as stored:
        arrays = checkpoint_files.weights_of(stored["names"], stored["shapes"])
        shape, logits = stored["input"].tolist(), stored["logits"]
    path = checkpoint_files.write(tmp_path / "a", "pytorchvideo", arrays)
    model, report = nl.from_checkpoint(path, clip_shape=shape[1:], crop_px=64)
    assert (report.format, report.assumed) == (
        "pytorchvideo",
        {"sampling": "8x8"},
    )
    assert not report.kept + report.unused + report.differences
    y = array(model(checkpoint_files.clip(shape, 17), training=False))
    # For larger clips its head averages the logits of a map.
    y = y.reshape(-1, 7).mean(0)
    assert checkpoint_files.relative_error(y, logits[0]) < 1e-5


@pytest.mark.parametrize("source", ["torchvision", "huggingface"])
def test_logits_equal_those_of_image_networks(source, tmp_path):
    with np.load(checkpoint_files.DATA / f"image_{source}.npz") as stored:
        arrays = checkpoint_files.weights_of(stored["names"], stored["shapes"])
        shape, logits = stored["input"].tolist(), stored["logits"]
    counts = np.zeros((), "int64" if source == "huggingface" else "float32")
    arrays |= {
        name.replace("running_var", "num_batches_tracked"): counts
        for name in arrays
        if name.endswith("running_var")
    }
    path = checkpoint_files.write(tmp_path / "a", source, arrays)
    model, report = nl.from_checkpoint(path, image_shape=shape[1:])
    assert (model.name, report.format) == ("image_r50", source)
    assert not report.kept + report.unused + report.differences
    assert report.assumed == {} and len(report.ignored) == 53
    y = model(checkpoint_files.clip(shape, 19), training=False)
    assert checkpoint_files.relative_error(y, logits) < 1e-5


with np.load(checkpoint_files.DATA / "tiny.npz") as _stored:
    TINY = {name: _stored[name] for name in _stored.files}
CASES = json.loads(str(TINY["cases"]))


def load_tiny(name, path, **options):
    """Write the file of a small network and load it."""
    case = CASES[name]
    arrays = checkpoint_files.weights_of(
        TINY[f"{name}/names"], TINY[f"{name}/shapes"]
    )
    checkpoint_files.write(path, case["source"], arrays)
    if case["pairwise"] == "dot_product":  # not inferred from weights
        options["pairwise"] = "dot_product"
    if "no pools" in name:  # neither
        options["stem"] = case["stem"]
    return nl.from_checkpoint(
        path,
        sampling=case["sampling"],
        clip_shape=case["clip"][1:],
        crop_px=64,
        **options,
    )


@pytest.mark.parametrize("name", CASES)
def test_logits_of_small_networks(name, tmp_path):
    case = CASES[name]
    model, report = load_tiny(name, tmp_path / "weights")
    assert not report.kept + report.unused
    if case["source"] == "mmaction2":
        assert report.differences == ()
    y = model(checkpoint_files.clip(case["clip"], 5), training=False)
    assert checkpoint_files.relative_error(y, TINY[f"{name}/logits"]) < BOUND
    depth, blocks = case["depth"], "_nl5" if case["blocks"] else ""
    assert model.name == f"{case['backbone']}{blocks}_r{depth}"


def test_another_pairwise_function_changes_the_logits(tmp_path):
    name = "slowfast dot product"
    case = CASES[name]
    arrays = checkpoint_files.weights_of(
        TINY[f"{name}/names"], TINY[f"{name}/shapes"]
    )
    path = checkpoint_files.write(tmp_path / "weights", "slowfast", arrays)
    model, _ = nl.from_checkpoint(path, clip_shape=case["clip"][1:], crop_px=64)
    y = model(checkpoint_files.clip(case["clip"], 5), training=False)
    assert (
        checkpoint_files.relative_error(y, TINY[f"{name}/logits"]) > 100 * BOUND
    )


def test_probabilities_are_an_option(tmp_path):
    name = "caffe2 i3d nl5 r50, larger"
    model, _ = load_tiny(name, tmp_path / "weights", outputs="probabilities")
    y = model(checkpoint_files.clip(CASES[name]["clip"], 5), training=False)
    exp = np.exp(TINY[f"{name}/logits"].astype("float64"))
    expected = (exp / exp.sum(-1, keepdims=True)).mean((1, 2, 3))
    np.testing.assert_allclose(array(y), expected, rtol=1e-4)
