"""Networks with published weights by name, from a copy of the files."""

import json
import pathlib
import re
from typing import Any

import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf.checkpoints.write import to_arrays
from nonlocal_tf.pretrained import create, published_weights
from tests import harness
from tests.checkpoints import checkpoint_files
from tests.pretrained.file_server import serving

# Arguments of each software's networks, as its own code has them.
OF_SOFTWARE: dict[str, dict[str, Any]] = {
    "authors": {},
    "slowfast": {"stem": "slowfast"},
    "pytorchvideo": {"stem": "slowfast"},
    "mmaction2": {"stem": "mmaction2"},
    "torchvision": {},
}
OF_BLOCKS: dict[str, dict[str, Any]] = {
    "slowfast": {"nonlocal_groups": {}},
    "mmaction2": {
        "nonlocal_groups": {},
        "nonlocal_block": {"pool_position": "after"},
    },
}
FORMATS = {"authors": "caffe2", "slowfast": "caffe2"}
LONG = {"128x1", "32x4"}
# One file of each kind; the others take minutes.
QUICK = {
    ("i3d_nl5_r50", "k400_32x4_authors"),
    ("i3d_nl5_r50", "k400_32x2_mmaction2_gaussian"),
    ("image_r50", "imagenet_torchvision_v1"),
}


def row_of(network, name):
    return published_weights.find(network, name)


def small(row):
    """Arguments of a narrow network on small clips."""
    if not row.clip:
        return {"image_shape": (32, 32, 3)}
    frames = int(row.clip.partition("x")[0])
    return {"clip_shape": (frames, 32, 32, 3)}


def is_of_images(row):
    """Tell if kernels have no time axis though the network takes clips."""
    return row.source == "mmaction2" and row.network.startswith("c2d")


def network_of(row):
    """Build a narrow network as the software does, with random weights."""
    arguments: dict[str, Any] = {"num_classes": row.num_classes, "width": 4}
    arguments |= OF_SOFTWARE[row.source]
    if is_of_images(row):
        arguments["stem"] = "official"  # unlike their I3D
    if "nopool" in row.file.lower():
        arguments["stem"] = "slowfast_nopool"
    if row.clip in ("8x8", "32x2", "32x4", "128x1"):
        arguments["sampling"] = row.clip
    if row.source == "authors" and row.clip in LONG:
        arguments["norm"] = "affine"
    if "_nl" in row.network:
        arguments |= OF_BLOCKS.get(row.source, {})
        pairwise = "embedded_gaussian"
        for name in ("dot_product", "gaussian"):
            if row.name.endswith(f"mmaction2_{name}"):
                pairwise = name
        arguments["pairwise"] = pairwise
        if row.source == "mmaction2" and pairwise == "embedded_gaussian":
            arguments["scale"] = 1.0
    model = nl.create_model(row.network, **arguments, **small(row))
    harness.randomise(model, 0.2)
    return model


def published(row, folder):
    """Write a file of a row, under its name; return the network and bytes."""
    model = network_of(row)
    file_format = FORMATS.get(row.source, row.source)
    arrays = to_arrays(model, file_format)
    # With a pool behind them, g and phi are the first of a sequence.
    arrays = {
        re.sub(r"(non_local_block\.(?:g|phi))\.", r"\1.0.", name): array
        for name, array in arrays.items()
    }
    if is_of_images(row):
        arrays = {
            name: array[:, :, 0] if array.ndim == 5 else array
            for name, array in arrays.items()
        }
    path = checkpoint_files.write(folder / row.file, file_format, arrays)
    return model, path.read_bytes()


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """Serve files at a mirror; the cache is the test's own."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(create, "_shown_licenses", set())
    monkeypatch.setattr(create, "_accepted", set())
    # Files of a test have other digests.
    monkeypatch.setattr(published_weights.PublishedWeights, "sha256", "")
    files: dict[str, bytes] = {}
    with serving(files) as address:
        monkeypatch.setenv(create.MIRROR, address)
        yield files


@pytest.mark.parametrize(
    ("network", "name"),
    [
        pytest.param(
            row.network,
            row.name,
            marks=[]
            if (row.network, row.name) in QUICK
            else [pytest.mark.full],
        )
        for row in published_weights.ROWS
        if row.network not in published_weights.DETECTORS
        and not row.is_included
    ],
)
def test_logits_equal_those_of_the_file(network, name, mirror, tmp_path):
    row = row_of(network, name)
    expected, mirror[f"/{row.file}"] = published(row, tmp_path)
    model = nl.create_model(
        network, weights=name, accept_license=True, **small(row)
    )
    x = harness.normal((1, *model.input_shape[1:]))
    y, y_expected = (
        harness.array(m(x, training=False)) for m in (model, expected)
    )
    assert y.shape == (1, row.num_classes)
    assert np.abs(y_expected).max() > 0
    np.testing.assert_array_equal(y, y_expected)


@pytest.fixture(scope="module")
def image_file(tmp_path_factory):
    row = row_of("image_r50", "imagenet_torchvision_v2")
    return published(row, tmp_path_factory.mktemp("image"))


@pytest.fixture
def with_images(mirror, image_file):
    row = row_of("image_r50", "imagenet_torchvision_v2")
    mirror[f"/{row.file}"] = image_file[1]
    return image_file[0]


def test_a_clip_network_starts_from_inflated_image_weights(with_images):
    model = nl.create_model(
        "i3d_r50",
        weights="imagenet_torchvision_v2",
        num_classes=3,
        width=4,
        clip_shape=(8, 32, 32, 3),
    )
    kernel, image_kernel = (
        harness.array(m.get_layer("conv1").kernel) for m in (model, with_images)
    )
    np.testing.assert_allclose(kernel.sum(0), image_kernel, atol=1e-6)
    assert model.output_shape == (None, 3)


def test_a_classifier_of_other_classes_is_new(with_images):
    model = nl.create_model(
        "image_r50",
        weights="imagenet_torchvision_v2",
        num_classes=3,
        image_shape=(32, 32, 3),
    )
    np.testing.assert_array_equal(
        harness.array(model.get_layer("conv1").kernel),
        harness.array(with_images.get_layer("conv1").kernel),
    )
    assert model.output_shape == (None, 3)


def test_the_second_time_it_is_read_from_the_cache(with_images, mirror):
    arguments: dict[str, Any] = {"image_shape": (32, 32, 3)}
    name = "imagenet_torchvision_v2"
    first = nl.create_model("image_r50", weights=name, **arguments)
    mirror.clear()
    second = nl.create_model("image_r50", weights=name, **arguments)
    for one, other in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(harness.array(one), harness.array(other))


def test_a_license_is_shown_once(with_images, capsys):
    row = row_of("image_r50", "imagenet_torchvision_v2")
    create.download_weights(row)
    create.download_weights(row)
    shown = capsys.readouterr().err
    assert shown.count("BSD-3-Clause, https://github.com/pytorch/vision") == 1


def test_a_license_has_to_be_accepted_before_the_download(mirror):
    with pytest.raises(ValueError, match=r"CC-BY-NC 4\.0: not for commercial"):
        nl.create_model("i3d_r50", weights="k400_8x8_authors")


def test_an_unknown_argument_is_an_error_before_the_download(mirror):
    with pytest.raises(TypeError, match="Unknown argument of i3d_r50"):
        nl.create_model("i3d_r50", weights="k400_8x8_slowfast", classes=3)


def test_without_the_file_its_place_is_told(mirror, tmp_path):
    row = row_of("i3d_r50", "k400_8x8_slowfast")
    place = tmp_path / "keras" / "nonlocal_tf" / "slowfast" / row.file
    with pytest.raises(nl.CheckpointError, match=f"yourself: {place}"):
        nl.create_model("i3d_r50", weights=row.name)
    place.write_bytes(b"no weights")
    with pytest.raises(nl.CheckpointError, match=str(place)):
        nl.create_model("i3d_r50", weights=row.name)


def test_a_file_of_another_network_is_refused(with_images, mirror):
    row = row_of("i3d_r50", "k400_8x8_slowfast")
    other = row_of("image_r50", "imagenet_torchvision_v2")
    mirror[f"/{row.file}"] = mirror[f"/{other.file}"]
    with pytest.raises((nl.CheckpointError, ValueError), match="image"):
        nl.create_model("i3d_r50", weights=row.name)


def test_weights_may_be_a_path(tmp_path):
    model = nl.create_model("c2d_nl1_small", num_classes=3)
    path = tmp_path / "own.weights.h5"
    nl.save_weights(model, path)
    for weights in (path, str(path)):
        loaded = nl.create_model("c2d_nl1_small", weights, num_classes=3)
        for one, other in zip(loaded.weights, model.weights, strict=True):
            np.testing.assert_array_equal(
                harness.array(one), harness.array(other)
            )


def test_the_cache_is_that_of_keras(monkeypatch):
    monkeypatch.delenv("KERAS_HOME", raising=False)
    row = row_of("i3d_r50", "k400_8x8_slowfast")
    expected = pathlib.Path.home() / ".keras/nonlocal_tf/slowfast" / row.file
    assert pathlib.Path(create.cache_path(row)) == expected


@pytest.fixture
def no_network(monkeypatch):
    """Let every connection fail."""

    def connect(*arguments):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("socket.socket.connect", connect)


INCLUDED = [
    pytest.param(row, id=row.file)
    for row in published_weights.ROWS
    if row.is_included
]


def float32_arrays(content):
    """Read the arrays of safetensors: a size, JSON, and what it describes."""
    start = 8 + int.from_bytes(content[:8], "little")
    facts = json.loads(content[8:start])
    facts.pop("__metadata__", None)
    arrays = {}
    for name, fact in facts.items():
        assert fact["dtype"] == "F32"
        begin, end = (start + offset for offset in fact["data_offsets"])
        array = np.frombuffer(content[begin:end], "<f4")
        arrays[name] = array.reshape(fact["shape"])
    return arrays


@pytest.mark.parametrize("row", INCLUDED)
def test_included_weights_are_those_of_their_file(row, no_network):
    model = nl.create_model(row.network, weights=row.name)
    assert model.output_shape == (None, row.num_classes)
    path = create.download_weights(row)
    assert pathlib.Path(path).stat().st_size <= 3_000_000
    arrays = float32_arrays(pathlib.Path(path).read_bytes())
    assert len(arrays) == len(model.weights)
    for weight in model.weights:
        np.testing.assert_array_equal(
            harness.array(weight), arrays[weight.path]
        )


def test_included_weights_take_another_classifier_and_size(no_network):
    model = nl.create_model(
        "i3d_strided_nl1_small",
        weights="made_motion",
        num_classes=3,
        clip_shape=(4, 16, 20, 3),
    )
    named = nl.create_model("i3d_strided_nl1_small", weights="made_motion")
    assert model.output_shape == (None, 3)
    for one, other in zip(model.weights[:-2], named.weights[:-2], strict=True):
        np.testing.assert_array_equal(harness.array(one), harness.array(other))
