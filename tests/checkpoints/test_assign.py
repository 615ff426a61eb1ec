"""What fits a model that is there, and what is refused."""

import h5py
import keras
import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf.checkpoints import CheckpointError
from nonlocal_tf.checkpoints.write import to_arrays
from nonlocal_tf.models.inflation import inflate_kernel
from tests import harness
from tests.checkpoints import checkpoint_files
from tests.checkpoints.small_resnets import (
    OPTIONS,
    arrays_of,
    file_of,
    random,
    zeros,
)
from tests.models.tiny import CLIP, IMAGE, shallow, tiny


def snapshot(model):
    return [np.asarray(weight) for weight in model.weights]


def assert_unchanged(model, before):
    for weight, old in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(np.asarray(weight), old)


def test_images_are_inflated(tmp_path):
    image = random("image_r50")
    path = checkpoint_files.write(
        tmp_path / "a", "torchvision", to_arrays(image, "torchvision")
    )
    model = tiny("i3d_r50")
    report = nl.load_weights(model, path)
    assert "conv1/kernel" in report.inflated
    np.testing.assert_array_equal(
        np.asarray(model.get_layer("conv1").kernel),
        inflate_kernel(np.asarray(image.get_layer("conv1").kernel), 5),
    )


@pytest.mark.parametrize("form", ["torchvision", "keras_resnet"])
def test_images_start_networks_with_blocks(form, tmp_path):
    stride_on = "1x1" if form == "keras_resnet" else "3x3"
    arrays = to_arrays(random("image_r50", stride_on=stride_on), form)
    if form == "keras_resnet":
        with h5py.File(tmp_path / "a", "w") as file:
            layers = sorted({name.split("/")[0] for name in arrays})
            file.attrs["layer_names"] = layers
            for layer in layers:
                names = [n for n in arrays if n.split("/")[0] == layer]
                file.create_group(layer).attrs["weight_names"] = names
                for name in names:
                    file[layer][name] = arrays[name]
    else:
        checkpoint_files.write(tmp_path / "a", form, arrays)
    model = tiny("i3d_nl5_r50", num_classes=3)
    report = nl.load_weights(model, tmp_path / "a")
    kept = {path.split("/")[0].split("_")[-1] for path in report.kept}
    assert kept == {"nonlocal", "logits"}
    assert len(report.kept) == 5 * 12 + 2
    stride = "stride_on is '3x3', in the file's network '1x1'"
    assert report.differences == ((stride,) if form == "keras_resnet" else ())


def test_an_inflated_c2d_equals_the_image_network_on_a_static_clip(tmp_path):
    image = random("image_r50", pool_padding=0)
    path = checkpoint_files.write(
        tmp_path / "a", "torchvision", to_arrays(image, "torchvision")
    )
    model = tiny("c2d_r50")
    nl.load_weights(model, path)
    x = harness.normal((2, *IMAGE))
    clip = np.repeat(x[:, None], 8, axis=1)
    expected = np.asarray(image(x, training=False))
    y = np.asarray(model(clip, training=False))
    bound = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(y, expected, atol=bound)


def test_an_inflated_i3d_equals_it_where_zeros_do_not_reach(tmp_path):
    shape = (32, 32, 3)
    image = random(
        "image_r50", pool_padding=0, width=2, head="none", image_shape=shape
    )
    path = checkpoint_files.write(
        tmp_path / "a", "torchvision", to_arrays(image, "torchvision")
    )
    model = tiny("i3d_r50", width=2, head="none", clip_shape=(64, *shape))
    nl.load_weights(model, path)
    x = harness.normal((1, *shape))
    y = np.asarray(model(np.repeat(x[:, None], 64, axis=1), training=False))
    expected = np.asarray(image(x, training=False))
    # Zeros beyond the ends reach 2 + 3 frames in by res2, 3 after the pool,
    # and with 2 + 3 + 1 more kernels 9 of the 32 that are left.
    bound = 1e-5 * np.abs(expected).max()
    for frame in range(9, 32 - 9):
        np.testing.assert_allclose(y[:, frame], expected, atol=bound)
    assert np.abs(y[:, 0] - expected).max() > 10 * bound


def test_blocks_stay_at_their_start_without_blocks_in_the_file(tmp_path):
    path = file_of(tmp_path, "i3d_r50")
    plain, _ = nl.from_checkpoint(path, **OPTIONS)
    model = tiny("i3d_nl5_r50")
    report = nl.load_weights(model, path)
    assert {path.split("/")[0].split("_")[-1] for path in report.kept} == {
        "nonlocal"
    }
    x = harness.normal((1, *CLIP))
    np.testing.assert_array_equal(
        np.asarray(model(x, training=False)),
        np.asarray(plain(x, training=False)),
    )


def test_a_graph_that_is_not_that_of_the_source_is_told(tmp_path):
    source = random("i3d_nl1_r50", stem="slowfast")
    path = checkpoint_files.write(
        tmp_path / "a", "slowfast", to_arrays(source, "slowfast")
    )
    assert nl.load_weights(source, path).differences == ()
    other = tiny("i3d_nl1_r50", nonlocal_block={"pool_position": "after"})
    report = nl.load_weights(other, path)
    of = "in the file's network"
    assert report.differences == (
        f"stem is 'official', {of} 'slowfast'",
        f"pool_position is 'after', {of} 'before'",
    )
    assert "differences 2: stem is" in str(report)
    report = nl.load_weights(tiny("i3d_nl1_r50", scale=1), path)
    assert report.differences[-1] == f"scale is 1.0, {of} 'rsqrt'"


@pytest.mark.parametrize(
    ("source", "target", "sentence"),
    [
        (
            {"nonlocal_groups": {"res3": 2}},
            {},
            "nonlocal_groups is {}, in the file's network {'res3': 2}",
        ),
        (
            {"pairwise": "gaussian", "scale": 0.1},
            {"pairwise": "gaussian"},
            "scale is 1.0, in the file's network 0.1",
        ),
        (
            {},
            {"pairwise": "dot_product"},
            "pairwise is 'dot_product', in the file's network 'embedded_gau",
        ),
    ],
)
def test_so_is_one_that_is_not_that_of_our_file(
    source, target, sentence, tmp_path
):
    nl.save_weights(shallow("c2d", **source), tmp_path / "a.weights.h5", "h5")
    model = shallow("c2d", **target)
    report = nl.load_weights(model, tmp_path / "a.weights.h5")
    assert report.differences[0].startswith(sentence)


def test_a_new_head_can_be_asked_for(tmp_path):
    path = file_of(tmp_path, "c2d_r50")
    model = tiny("c2d_r50")
    before = np.asarray(model.get_layer("logits").kernel)
    report = nl.load_weights(model, path, new_head=True)
    np.testing.assert_array_equal(
        np.asarray(model.get_layer("logits").kernel), before
    )
    assert report.kept == ("logits/kernel", "logits/bias")


def test_our_own_files_fit_every_model_of_ours(tmp_path):
    for name in ("c2d_nl1_small", "image_small"):
        expected, model = nl.create_model(name), nl.create_model(name)
        harness.randomise(expected)
        expected.save(tmp_path / "a.keras")
        nl.load_weights(model, tmp_path / "a.keras")
        for ours, theirs in zip(
            snapshot(model), snapshot(expected), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_mmaction2_has_no_bias_where_ours_may_have_one(tmp_path):
    source = random(
        "i3d_nl1_r50",
        stem="mmaction2",
        nonlocal_block={"out_bias": False, "pool_position": "after"},
    )
    path = checkpoint_files.write(
        tmp_path / "a", "mmaction2", to_arrays(source, "mmaction2")
    )
    model = tiny("i3d_nl1_r50")
    report = nl.load_weights(model, path)
    assert report.converted == ("res4_block4_nonlocal/out/bias",)
    bias = model.get_layer("res4_block4_nonlocal").out.bias
    assert not np.asarray(bias).any()


def change(arrays, name, value):
    return {**arrays, name: value}


MISFITS = {
    "a missing kernel": (
        lambda a: {k: v for k, v in a.items() if k != "res3_1_branch2b_w"},
        r"'res3_1_branch2b_w'",
    ),
    "a missing mean": (
        lambda a: {k: v for k, v in a.items() if k != "res3_1_branch2b_bn_rm"},
        r"no 'res3_1_branch2b_bn_rm'",
    ),
    "a missing variance": (
        lambda a: {k: v for k, v in a.items() if k != "res_conv1_bn_riv"},
        r"no 'res_conv1_bn_riv'",
    ),
    "a missing scale": (
        lambda a: {k: v for k, v in a.items() if k != "nonlocal_conv4_4_bn_s"},
        r"no 'nonlocal_conv4_4_bn_s'",
    ),
    "one more": (
        lambda a: {**a, "else_w": zeros(2)},
        r"no variable for 'else_w'",
    ),
    "another shape": (
        lambda a: change(a, "res4_2_branch2a_bn_s", zeros(5)),
        r"'res4_2_branch2a_bn_s' has the shape \(5,\)",
    ),
    "another kernel": (
        lambda a: change(a, "res2_1_branch2b_w", zeros(4, 4, 1, 5, 5)),
        r"'res2_1_branch2b_w'",
    ),
    "half a classifier": (
        lambda a: {k: v for k, v in a.items() if k != "pred_b"},
        r"pred_b|classifier",
    ),
    "a classifier of two minds": (
        lambda a: change(a, "pred_b", zeros(3)),
        r"pred_b|classifier",
    ),
    "a classifier that is a number": (
        lambda a: change(a, "pred_w", np.float32(1)),
        r"pred_w",
    ),
    "not a number": (
        lambda a: change(a, "conv1_w", np.full_like(a["conv1_w"], np.nan)),
        r"'conv1_w' has values that are not finite",
    ),
    "too large a number": (
        lambda a: change(
            a, "conv1_w", np.full(a["conv1_w"].shape, 1e300, "float64")
        ),
        r"'conv1_w' has values that are not finite",
    ),
    "whole numbers": (
        lambda a: change(a, "conv1_w", a["conv1_w"].astype("int32")),
        r"a floating-point array 'conv1_w'",
    ),
    "negative variances": (
        lambda a: change(
            a, "res_conv1_bn_riv", -1 - np.abs(a["res_conv1_bn_riv"])
        ),
        r"'res_conv1_bn_riv' has negative variances",
    ),
}


@pytest.fixture(scope="module")
def model_and_arrays():
    return tiny("c2d_nl1_r50"), arrays_of("c2d_nl1_r50")


@pytest.mark.parametrize("what", MISFITS)
def test_a_misfit_is_one_error_that_names_it_and_changes_nothing(
    what, model_and_arrays, tmp_path
):
    spoil, message = MISFITS[what]
    model, arrays = model_and_arrays
    path = checkpoint_files.write(
        tmp_path / "weights.pkl", "caffe2", spoil(arrays)
    )
    before = snapshot(model)
    for load in (
        lambda: nl.load_weights(model, path),
        lambda: nl.from_checkpoint(path, **OPTIONS),
    ):
        with pytest.raises(CheckpointError, match=message) as caught:
            load()
        assert "weights.pkl" in str(caught.value)
    assert_unchanged(model, before)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("c2d_nl5_r50", "c2d_r50"),
        pytest.param("c2d_r50", "c2d_r101", marks=pytest.mark.slow),
        ("i3d_r50", "c2d_r50"),
        ("i3d_r50", "image_r50"),
    ],
)
def test_another_network_is_refused(source, target, tmp_path):
    path = file_of(tmp_path, source)
    model = tiny(target)
    before = snapshot(model)
    with pytest.raises(CheckpointError, match="weights"):
        nl.load_weights(model, path)
    assert_unchanged(model, before)


def test_a_model_that_is_not_ours_is_refused(tmp_path):
    path = file_of(tmp_path, "c2d_r50")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(CheckpointError, match="Received another network"):
        nl.load_weights(model, path)
