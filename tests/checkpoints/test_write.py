"""Saving in each format, and loading the files again."""

import pickle

import keras
import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf.checkpoints import (
    WRITABLE_FORMATS,
    CheckpointError,
)
from nonlocal_tf.checkpoints.write import to_arrays
from nonlocal_tf.layers import EmbeddedGaussian
from tests import harness
from tests.checkpoints.shallow_resnets import (
    CLIP,
    OPTIONS,
    build,
    random,
)


def assert_equal_weights(model, expected):
    weights, expected_weights = (
        {weight.path: harness.array(weight) for weight in network.weights}
        for network in (model, expected)
    )
    assert weights.keys() == expected_weights.keys()
    for path, array in expected_weights.items():
        np.testing.assert_array_equal(weights[path], array, err_msg=path)


def saved(model, tmp_path, file_format):
    """Save a model; return the path and arguments to load it."""
    path = tmp_path / f"a{WRITABLE_FORMATS[file_format]}"
    nl.save_weights(model, path, file_format)
    return path, {} if file_format == "keras" else OPTIONS


@pytest.mark.parametrize(
    ("file_format", "name", "options"),
    [
        *(
            (file_format, "i3d_nl2", {})
            for file_format in WRITABLE_FORMATS
            if file_format != "pytorchvideo"
        ),
        ("pytorchvideo", "i3d", {"stem": "slowfast"}),
        ("pytorchvideo", "c2d", {}),
        ("h5", "i3d", {"inflation": "3x3x3"}),
        ("h5", "c2d_nl1", {"norm": "affine"}),
        ("caffe2", "c2d_nl1", {"norm": "affine"}),
        ("keras", "c2d_nl1", {"pairwise": "concatenation"}),
        ("h5", "c2d_nl1", {"pairwise": "gaussian"}),
        ("h5", "c2d_nl1", {"pairwise": "concatenation"}),
        ("h5", "c2d_nl1", {"pairwise": "efficient"}),
        ("h5", "c2d_nl1", {"pairwise": "global_context"}),
    ],
)
def test_weights_are_restored_bit_by_bit(file_format, name, options, tmp_path):
    expected = random(name, **options)
    path, arguments = saved(expected, tmp_path, file_format)
    model, report = nl.from_checkpoint(path, **arguments)
    assert_equal_weights(model, expected)
    assert not report.converted + report.inflated


@pytest.mark.parametrize(
    ("file_format", "name", "options"),
    [
        ("caffe2", "i3d_nl1", {"stem": "slowfast", "scale": 0.5}),
        ("slowfast", "i3d", {"stem": "official_strided"}),
        ("caffe2", "c2d", {"stem": "slowfast_nopool"}),
        ("h5", "i3d", {"stem": "mmaction2", "stride_on": "1x1"}),
        ("h5", "image", {"stride_on": "1x1", "pool_padding": 0}),
        ("h5", "c2d_nl1", {"pairwise": "dot_product", "axes": "time"}),
        ("h5", "c2d_nl1", {"pairwise": "gaussian", "scale": 0.5}),
        (
            "h5",
            "c2d_nl1",
            {"nonlocal_block": {"pool_position": "after", "subsample": None}},
        ),
        ("caffe2", "c2d_nl2", {"nonlocal_groups": {"res3": 2}}),
        ("caffe2", "c2d_nl2", {"sampling": "32x4"}),
        ("h5", "c2d_nl1", {"pairwise": EmbeddedGaussian()}),
        (
            "h5",
            "c2d_nl1",
            {
                "position": "learned",
                "nonlocal_block": {
                    "bottleneck": 6,
                    "value_channels": 4,
                    "heads": 2,
                    "causal": True,
                    "gate": "scalar",
                    "norm": "none",
                },
            },
        ),
    ],
)
def test_architecture_metadata_are_restored(
    file_format, name, options, tmp_path
):
    expected = random(name, **options)
    path, _ = saved(expected, tmp_path, file_format)
    shape = expected.input_shape[1:]
    model, report = nl.from_checkpoint(path, clip_shape=shape)
    assert report.assumed == {}
    assert report.differences == ()
    x = harness.normal((1, *shape))
    np.testing.assert_array_equal(
        harness.array(model(x, training=False)),
        harness.array(expected(x, training=False)),
    )


def test_the_number_of_frames_is_restored(tmp_path):
    nl.save_weights(build("c2d"), tmp_path / "a.pkl", "caffe2")
    model, _ = nl.from_checkpoint(tmp_path / "a.pkl")
    assert model.input_shape == (None, 8, 224, 224, 3)


def test_the_pool_of_larger_clips_has_the_frames_of_training(tmp_path):
    nl.save_weights(build("c2d"), tmp_path / "a.pkl", "caffe2")
    model, report = nl.from_checkpoint(
        tmp_path / "a.pkl", clip_shape=(None, 256, 256, 3)
    )
    assert report.assumed == {}
    assert model.get_layer("pool5").pool_size == (4, 7, 7)


def test_temporal_groups_unlike_any_sampling_are_restored(tmp_path):
    model = build("c2d_nl2", nonlocal_groups={"res3": 2})
    nl.save_weights(model, tmp_path / "a.pkl", "caffe2")
    model, _ = nl.from_checkpoint(tmp_path / "a.pkl", **OPTIONS)
    assert model.get_layer("res3_block0_nonlocal").temporal_group_size == 2


def test_sampling_overrides_the_stored_stem(tmp_path):
    nl.save_weights(build("c2d"), tmp_path / "a.pyth", "slowfast")
    model, report = nl.from_checkpoint(tmp_path / "a.pyth", sampling="32x2")
    assert model.get_layer("pool1").pool_size == (2, 3, 3)
    stem = "stem is 'official_strided', in the file's network 'official'"
    assert report.differences == (stem,)


def test_a_custom_pairwise_function_is_an_argument(tmp_path):
    class Custom(EmbeddedGaussian):
        pass

    expected = random("c2d_nl1", pairwise=Custom())
    path = tmp_path / "a.weights.h5"
    nl.save_weights(expected, path, "h5")
    with pytest.raises(ValueError, match="custom pairwise function, Custom"):
        nl.from_checkpoint(path, clip_shape=CLIP)
    model, _ = nl.from_checkpoint(path, clip_shape=CLIP, pairwise=Custom())
    assert_equal_weights(model, expected)
    with pytest.raises(CheckpointError, match="pairwise is 'Custom'"):
        nl.save_weights(expected, path, "caffe2")


def test_sampling_overrides_frames_stem_and_groups(tmp_path):
    model = build("c2d_nl2", sampling="32x4", clip_shape=CLIP)
    nl.save_weights(model, tmp_path / "a.pkl", "caffe2")
    model, report = nl.from_checkpoint(tmp_path / "a.pkl", sampling="32x2")
    assert model.input_shape[1] == 32
    assert model.get_layer("conv1").strides[0] == 2
    block = model.get_layer("res3_block0_nonlocal")
    assert block.temporal_group_size is None
    assert report.assumed == {}
    names = {sentence.split()[0] for sentence in report.differences}
    assert names == {"stem", "nonlocal_groups"}


def test_a_file_without_metadata_needs_more_assumptions(tmp_path):
    build("c2d_nl1").save_weights(tmp_path / "a.weights.h5")
    _, report = nl.from_checkpoint(tmp_path / "a.weights.h5", clip_shape=CLIP)
    assert report.assumed == {
        "sampling": "32x2",
        "stem": "official_strided",
        "pairwise": "embedded_gaussian",
        "scale": "rsqrt",
        "axes": "spacetime",
        "pool_position": "before",
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pairwise": "gaussian"}, "pairwise is 'gaussian', in networks of"),
        ({"axes": "space"}, "axes is 'space'"),
        ({"position": "sine"}, "position of the blocks is 'sine', which"),
        ({"nonlocal_block": {"heads": 2}}, "heads of the blocks is 2, which"),
        ({"nonlocal_block": {"norm": "none"}}, "norm='none' and out_bias=T"),
        ({"nonlocal_block": {"out_bias": False}}, "and out_bias=False, in n"),
        (
            {"nonlocal_block": {"pool_position": "after"}},
            "pool_position is 'after', in networks of",
        ),
    ],
)
def test_networks_that_a_format_cannot_have_are_refused(
    options, message, tmp_path
):
    model = build("c2d_nl1", **options)
    for file_format in ("caffe2", "slowfast"):
        with pytest.raises(CheckpointError, match=message):
            nl.save_weights(model, tmp_path / "a", file_format)
    assert not list(tmp_path.iterdir())


def test_save_weights_returns_the_differences(tmp_path):
    model = build(
        "i3d_nl2",
        scale=2,
        stride_on="1x1",
        stem="mmaction2",
        inflation="3x3x3",
        nonlocal_groups={"res4": 1},
        nonlocal_block={"subsample": None},
    )
    where = "in networks of slowfast"
    assert set(nl.save_weights(model, tmp_path / "a.pyth", "slowfast")) == {
        f"stem is 'mmaction2', {where} 'slowfast'",
        f"scale is 2.0, {where} 'rsqrt'",
        f"stride_on is '1x1', {where} '3x3'",
        f"inflation is '3x3x3', {where} '3x1x1'",
        f"nonlocal_groups is {{'res4': 1}}, {where} {{}}",
        f"subsample is None, {where} [1, 2, 2]",
    }
    stem = "stem is 'mmaction2', in networks of caffe2 'official'"
    assert stem in nl.save_weights(model, tmp_path / "a.pkl", "caffe2")
    assert nl.save_weights(model, tmp_path / "a.weights.h5", "h5") == ()


def test_caffe2_files_are_plain_pickles(tmp_path):
    model = random("c2d")
    nl.save_weights(model, tmp_path / "a.pkl", "caffe2")
    with open(tmp_path / "a.pkl", "rb") as file:
        blobs = pickle.load(file)["blobs"]
    kernel = harness.array(model.get_layer("res2_block0_conv2").kernel)
    # (time, height, width, in, out) to (out, in, time, height, width).
    np.testing.assert_array_equal(
        blobs["res2_0_branch2b_w"], kernel.transpose(4, 3, 0, 1, 2)
    )
    assert len(blobs) == len(model.weights) == 87


def test_slowfast_files_are_read_by_pytorch(tmp_path):
    torch = pytest.importorskip("torch")
    model = random("c2d_nl1")
    nl.save_weights(model, tmp_path / "a.pyth", "slowfast")
    state = torch.load(tmp_path / "a.pyth", weights_only=True)["model_state"]
    theta = harness.array(model.get_layer("res4_block0_nonlocal").theta.kernel)
    np.testing.assert_array_equal(
        state["s4.pathway0_nonlocal0.conv_theta.weight"].numpy()[..., 0, 0, 0],
        theta.T,
    )


@pytest.mark.parametrize("file_format", ["caffe2", "slowfast"])
def test_other_names_may_be_in_a_safetensors_file(file_format, tmp_path):
    expected = random("c2d_nl1", stem="slowfast")
    path = tmp_path / "a.safetensors"
    nl.save_weights(expected, path, file_format)
    model, report = nl.from_checkpoint(path, clip_shape=CLIP)
    assert report.format == file_format
    assert (report.assumed, report.differences) == ({}, ())
    assert_equal_weights(model, expected)


def test_safetensors_have_the_variables_of_any_network(tmp_path):
    path = tmp_path / "a.safetensors"
    model, expected = (
        nl.create_model("image_small", num_classes=3) for _ in range(2)
    )
    nl.save_weights(expected, path)
    report = nl.load_weights(model, path)
    assert report.format == "nonlocal_tf" and not report.kept + report.unused
    assert_equal_weights(model, expected)


def test_a_folded_model_is_refused(tmp_path):
    folded = nl.fold(build("c2d"))
    for file_format in ("h5", "safetensors", "caffe2", "slowfast"):
        with pytest.raises(CheckpointError, match="before folding"):
            nl.save_weights(folded, tmp_path / "a.weights.h5", file_format)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("c2d_nl1", {}, "pytorchvideo have no name for 'res4_block0_nonl"),
        ("image", {}, "have networks on clips"),
        ("c2d", {"stem": "slowfast_nopool"}, "without the pool behind res2"),
        ("i3d", {"norm": "affine"}, "have batch normalization"),
    ],
)
def test_networks_that_pytorchvideo_lacks_are_refused(
    name, options, message, tmp_path
):
    with pytest.raises(CheckpointError, match=message):
        nl.save_weights(build(name, **options), tmp_path / "a", "pytorchvideo")


def test_affine_networks_are_not_written_as_slowfast():
    with pytest.raises(CheckpointError, match="Write it as caffe2, keras or h"):
        to_arrays(build("c2d", norm="affine"), "slowfast")


def test_a_concatenation_is_not_written_as_caffe2():
    model = build("c2d_nl1", pairwise="concatenation")
    with pytest.raises(CheckpointError, match="no name for .*pairwise/w_f"):
        to_arrays(model, "caffe2")


@pytest.mark.parametrize("file_format", ["caffe2", "slowfast"])
def test_networks_that_are_not_residual_are_refused(file_format, tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Flatten()])
    with pytest.raises(CheckpointError, match="another network, 'seq"):
        nl.save_weights(model, tmp_path / "a", file_format)
    with pytest.raises(TypeError, match="Expected a keras.Model"):
        nl.save_weights(3, tmp_path / "a", file_format)


def test_the_error_names_the_network_itself():
    model = nl.create_model("image_small", num_classes=3)
    with pytest.raises(
        CheckpointError, match="write it as keras or h5"
    ) as caught:
        nl.save_weights(model, "a.pkl")
    assert "another network, 'image_small'" in str(caught.value)
    assert "create_model" not in str(caught.value)


def test_a_name_in_place_of_a_model_is_refused(tmp_path):
    for use in (nl.save_weights, nl.load_weights):
        with pytest.raises(TypeError, match=r"create_model\('c2d_nl1_small'\)"):
            use("c2d_nl1_small", tmp_path / "x.pkl")


def test_other_layers_have_no_names_in_a_format():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(CheckpointError, match="no name for"):
        to_arrays(model, "caffe2")
