"""Loading of files with prefixes and wrappers, and of other files."""

import dataclasses
import pickle

import keras
import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf.checkpoints import CheckpointError
from nonlocal_tf.checkpoints.write import to_arrays
from tests.checkpoints import checkpoint_files
from tests.checkpoints.shallow_resnets import (
    IMAGE,
    OPTIONS,
    arrays_of,
    assert_equal_outputs,
    build,
    file_of,
    random,
    zeros,
)
from tests.models import nested_models


@pytest.mark.parametrize("is_nested", [True, False])
def test_blobs_may_be_nested(is_nested, tmp_path):
    arrays = {**arrays_of("c2d"), "model_iter": 7, "lr": np.float32(0.1)}
    arrays["conv1_w_momentum"] = np.zeros(3, "float32")
    path = tmp_path / "a.pkl"
    if is_nested:
        checkpoint_files.write(path, "caffe2", arrays)
    else:
        path.write_bytes(pickle.dumps(arrays))
    _, report = nl.from_checkpoint(path, **OPTIONS)
    assert set(report.ignored) == {"model_iter", "lr", "conv1_w_momentum"}


def test_the_prefix_of_data_parallel_training_is_stripped(tmp_path):
    arrays = arrays_of("c2d", "slowfast")
    arrays = {f"module.{name}": array for name, array in arrays.items()}
    path = checkpoint_files.write(tmp_path / "a", "slowfast", arrays)
    assert nl.from_checkpoint(path, **OPTIONS)[0].name == "c2d_r14"


def test_sub_batch_normalization_has_the_statistics_of_the_batch(tmp_path):
    arrays = arrays_of("c2d", "slowfast")
    renamed = {
        name.replace("bn.running", "bn.bn.running"): array
        for name, array in arrays.items()
    }
    renamed["s1.pathway0_stem.bn.split_bn.running_mean"] = np.zeros(
        8, "float32"
    )
    path = checkpoint_files.write(tmp_path / "a", "slowfast", renamed)
    _, report = nl.from_checkpoint(path, **OPTIONS)
    assert report.ignored == ("s1.pathway0_stem.bn.split_bn.running_mean",)


def test_a_keras_file_is_loaded_as_it_is(tmp_path):
    expected = random("i3d_nl1", pairwise="gaussian")
    expected.save(tmp_path / "a.keras")
    model, report = nl.from_checkpoint(tmp_path / "a.keras")
    assert_equal_outputs(model, expected)
    assert report.format == "keras"
    with pytest.raises(ValueError, match="determines the whole model"):
        nl.from_checkpoint(tmp_path / "a.keras", sampling="8x8")


@pytest.fixture(scope="module")
def c2d():
    return build("c2d")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"404: not found\n", "The file is text.*404"),
        (b"\x80\x04\x95 half a pickle", "The pickle is damaged"),
        (b"\xff\xd8\xff\xe0 an image", "is an image"),
        (b"PK\x03\x04 not much of an archive", "damaged or cut off"),
        (b"\x89HDF\r\n\x1a\n not much of one", "damaged or cut off"),
        (b"\x80\x02]\x2e", "Expected a dictionary of weights"),
        (b"\x80\x02}\x2e", "Received 0 arrays"),
    ],
)
def test_other_files_are_refused(content, message, c2d, tmp_path):
    path = tmp_path / "file.pkl"
    path.write_bytes(content)
    for load in (
        lambda: nl.from_checkpoint(path),
        lambda: nl.load_weights(c2d, path),
    ):
        with pytest.raises(CheckpointError, match=message) as caught:
            load()
        assert "file.pkl" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("layer1.0.conv1.weight", "residual network of bottleneck"),
        ("s1.pathway1_stem.conv.weight", "two pathways"),
        ("blocks.0.multipathway_blocks.0.conv.weight", "two pathways"),
        ("blocks.0.conv.conv_t.weight", "X3D"),
        ("blocks.2.res_blocks.0.branch2.conv_a.weight", "'s Slow, which has"),
        ("blocks.1.res_blocks.0.branch2.conv_b.conv_t.weight", r"R\(2\+1\)D"),
        ("module.conv1.0.weight", "three convolutions in its stem"),
        ("layer1.0.se.fc1.weight", "channel attention"),
    ],
)
def test_weights_of_an_unsupported_network_are_refused(name, message, tmp_path):
    arrays = {name: zeros(2), "s1.pathway0_stem.conv.weight": zeros(2)}
    if "layer1" in name:
        del arrays["s1.pathway0_stem.conv.weight"]
    path = checkpoint_files.write(tmp_path / "a", "slowfast", arrays)
    with pytest.raises(CheckpointError, match=message):
        nl.from_checkpoint(path)


def test_hugging_face_files_without_a_classifier_are_read(tmp_path):
    expected = random("image", head="none", num_classes=0)
    arrays = {
        name.removeprefix("resnet."): array
        for name, array in to_arrays(expected, "huggingface").items()
    }
    assert "encoder.stages.3.layers.0.layer.2.convolution.weight" in arrays
    path = checkpoint_files.write(tmp_path / "a", "huggingface", arrays)
    model, report = nl.from_checkpoint(path, image_shape=IMAGE)
    assert report.format == "huggingface" and not report.unused
    assert_equal_outputs(model, expected)


@pytest.mark.parametrize("file_format", ["torchvision", "huggingface"])
def test_group_normalization_is_refused(file_format, tmp_path):
    arrays = {
        name: array
        for name, array in arrays_of("image", file_format).items()
        if "running" not in name
    }
    path = checkpoint_files.write(tmp_path / "a", file_format, arrays)
    with pytest.raises(CheckpointError, match="resnet50_gn"):
        nl.load_weights(build("c2d"), path)


def test_a_missing_file_is_a_file_not_found_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        nl.from_checkpoint(tmp_path / "none.pkl")


def test_a_report_lists_all_names_briefly():
    report = nl.checkpoints.LoadReport(
        "a.pkl",
        "caffe2",
        {"conv1/kernel": ("conv1_w",)},
        kept=("a", "b", "c", "d"),
        assumed={"sampling": "8x8"},
    )
    assert str(report).splitlines() == [
        "a.pkl (caffe2): 1 variables loaded",
        "  kept 4: a, b, c, ...",
        "  assumed sampling='8x8'",
    ]
    assert dataclasses.replace(report, kept=()).kept == ()


def around(network, name="network"):
    """Build a model with another head around a network."""
    inputs = keras.Input(network.input_shape[1:])
    features = keras.Model(
        network.input, network.get_layer("logits").input, name=name
    )
    return keras.Model(inputs, keras.layers.Dense(2)(features(inputs)))


def test_part_of_a_model_is_loaded(tmp_path):
    path = file_of(tmp_path, "c2d")
    expected = build("c2d")
    nl.load_weights(expected, path)
    model = around(build("c2d"))
    report = nl.load_weights(model, path, part="network")
    assert report.kept == () and report.unused == ("pred_w", "pred_b")
    part = model.get_layer("network")
    arrays = expected.get_weights()[: len(part.weights)]
    for got, array in zip(part.get_weights(), arrays, strict=True):
        np.testing.assert_array_equal(got, array)


def small(name="network", last="logits"):
    """Build a small network on images up to a layer."""
    network = nl.create_model("image_small", image_shape=(16, 8, 3))
    outputs = network.get_layer(last).output
    return keras.Model(network.input, outputs, name=name)


@pytest.mark.parametrize(
    ("wrap", "part"),
    [
        (keras.layers.TimeDistributed, "frames/network"),
        (lambda network, name: keras.Sequential([network], name=name), None),
        (nested_models.Classifier, "network"),
    ],
    ids=["frames", "whole", "subclassed"],
)
def test_weights_go_into_wrappers(wrap, part, tmp_path):
    source = small()
    nl.save_weights(source, tmp_path / "a.weights.h5")
    network = small(last="head_conv_relu" if part == "network" else "logits")
    shape = (3, 16, 8, 3) if part == "frames/network" else (16, 8, 3)
    layer = wrap(network, name="frames")
    x = np.zeros((1, *shape), "float32")
    layer(x)
    model = layer
    if not isinstance(layer, keras.Model):
        inputs = keras.Input(shape)
        model = keras.Model(inputs, layer(inputs))
    nl.load_weights(model, tmp_path / "a.weights.h5", part=part)
    arrays = source.get_weights()[: len(network.weights)]
    for got, expected in zip(network.get_weights(), arrays, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_two_networks_of_equal_names_are_loaded_one_by_one(tmp_path):
    nl.save_weights(small(), tmp_path / "a.weights.h5")
    inputs = [keras.Input((16, 8, 3)) for _ in range(2)]
    streams = [small(name) for name in ("rgb", "flow")]
    scores = [net(x) for net, x in zip(streams, inputs, strict=True)]
    model = keras.Model(inputs, keras.layers.add(scores))
    with pytest.raises(
        CheckpointError, match="two of this path.*'rgb' or 'flow"
    ):
        nl.load_weights(model, tmp_path / "a.weights.h5")
    nl.load_weights(model, tmp_path / "a.weights.h5", part="rgb")
    kernels = [stream.get_weights()[0] for stream in streams]
    assert np.abs(kernels[0] - kernels[1]).max() > 0


def test_error_names_the_parts(tmp_path):
    path = file_of(tmp_path, "c2d")
    model = around(build("c2d"))
    with pytest.raises(CheckpointError, match="part='network'"):
        nl.load_weights(model, path)
    with pytest.raises(ValueError, match="Unknown part 'neck'.*: network"):
        nl.load_weights(model, path, part="neck")
