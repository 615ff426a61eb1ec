"""Loading into a model: conversions, reports and refusals."""

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
from tests.checkpoints.shallow_resnets import (
    CLIP,
    IMAGE,
    OPTIONS,
    arrays_of,
    build,
    file_of,
    random,
    zeros,
)


def values_of(model):
    return [harness.array(weight) for weight in model.weights]


def assert_unchanged(model, before):
    for after, value in zip(values_of(model), before, strict=True):
        np.testing.assert_array_equal(after, value)


def test_kernels_of_images_are_inflated(tmp_path):
    image = random("image")
    path = checkpoint_files.write(
        tmp_path / "a", "torchvision", to_arrays(image, "torchvision")
    )
    model = build("i3d")
    report = nl.load_weights(model, path)
    assert "conv1/kernel" in report.inflated
    np.testing.assert_array_equal(
        harness.array(model.get_layer("conv1").kernel),
        inflate_kernel(harness.array(image.get_layer("conv1").kernel), 5),
    )


@pytest.mark.parametrize(
    "file_format", ["torchvision", "huggingface", "keras_resnet"]
)
def test_image_networks_initialise_networks_with_blocks(file_format, tmp_path):
    stride_on = "1x1" if file_format == "keras_resnet" else "3x3"
    arrays = to_arrays(random("image", stride_on=stride_on), file_format)
    if file_format == "keras_resnet":
        with h5py.File(tmp_path / "a", "w") as file:
            layers = sorted({name.split("/")[0] for name in arrays})
            file.attrs["layer_names"] = layers
            for layer in layers:
                names = [n for n in arrays if n.split("/")[0] == layer]
                file.create_group(layer).attrs["weight_names"] = names
                for name in names:
                    file[layer][name] = arrays[name]
    else:
        checkpoint_files.write(tmp_path / "a", file_format, arrays)
    model = build("i3d_nl2", num_classes=3)
    report = nl.load_weights(model, tmp_path / "a")
    kept = {path.split("/")[0].split("_")[-1] for path in report.kept}
    assert kept == {"nonlocal", "logits"}
    assert len(report.kept) == 2 * 12 + 2
    stride = "stride_on is '3x3', in the file's network '1x1'"
    differences = (stride,) if file_format == "keras_resnet" else ()
    assert report.differences == differences


def test_an_inflated_c2d_equals_the_image_network_on_a_still_clip(tmp_path):
    image = random("image", pool_padding=0)
    path = checkpoint_files.write(
        tmp_path / "a", "torchvision", to_arrays(image, "torchvision")
    )
    model = build("c2d")
    nl.load_weights(model, path)
    x = harness.normal((2, *IMAGE))
    clip = np.repeat(x[:, None], 8, axis=1)
    expected = harness.array(image(x, training=False))
    y = harness.array(model(clip, training=False))
    bound = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(y, expected, atol=bound)


def test_an_inflated_i3d_equals_it_away_from_the_temporal_padding(tmp_path):
    image = random("image", pool_padding=0, head="none")
    path = checkpoint_files.write(
        tmp_path / "a", "torchvision", to_arrays(image, "torchvision")
    )
    model = build("i3d", head="none", clip_shape=(32, *IMAGE))
    nl.load_weights(model, path)
    x = harness.normal((1, *IMAGE))
    y = harness.array(model(np.repeat(x[:, None], 32, axis=1), training=False))
    expected = harness.array(image(x, training=False))
    # Padding reaches 2 frames in the stem, 1 each in res2, and, behind the
    # pool that halves them, in res3 and res4: frames 4 to 11 of 16 are free.
    bound = 1e-5 * np.abs(expected).max()
    for frame in range(4, 12):
        np.testing.assert_allclose(y[:, frame], expected, atol=bound)
    assert np.abs(y[:, 0] - expected).max() > 10 * bound


def test_blocks_keep_their_values_if_the_file_has_none(tmp_path):
    path = file_of(tmp_path, "i3d")
    plain, _ = nl.from_checkpoint(path, **OPTIONS)
    model = build("i3d_nl2")
    report = nl.load_weights(model, path)
    assert {path.split("/")[0].split("_")[-1] for path in report.kept} == {
        "nonlocal"
    }
    x = harness.normal((1, *CLIP))
    np.testing.assert_array_equal(
        harness.array(model(x, training=False)),
        harness.array(plain(x, training=False)),
    )


def test_a_model_unlike_networks_of_the_format_is_reported(tmp_path):
    source = random("i3d_nl1", stem="slowfast")
    path = checkpoint_files.write(
        tmp_path / "a", "slowfast", to_arrays(source, "slowfast")
    )
    assert nl.load_weights(source, path).differences == ()
    model = build("i3d_nl1", nonlocal_block={"pool_position": "after"})
    report = nl.load_weights(model, path)
    assert report.differences == (
        "stem is 'official', in the file's network 'slowfast'",
        "pool_position is 'after', in the file's network 'before'",
    )
    assert "differences 2: stem is" in str(report)
    report = nl.load_weights(build("i3d_nl1", scale=1), path)
    assert report.differences[-1].startswith("scale is 1.0")


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
def test_a_model_unlike_the_metadata_of_the_file_is_reported(
    source, target, sentence, tmp_path
):
    nl.save_weights(build("c2d_nl2", **source), tmp_path / "a.weights.h5", "h5")
    model = build("c2d_nl2", **target)
    report = nl.load_weights(model, tmp_path / "a.weights.h5")
    assert report.differences[0].startswith(sentence)


def test_new_head_keeps_the_classifier(tmp_path):
    path = file_of(tmp_path, "c2d")
    model = build("c2d")
    before = harness.array(model.get_layer("logits").kernel)
    report = nl.load_weights(model, path, new_head=True)
    np.testing.assert_array_equal(
        harness.array(model.get_layer("logits").kernel), before
    )
    assert report.kept == ("logits/kernel", "logits/bias")


def test_files_of_other_networks_of_the_library_are_loaded(tmp_path):
    for name in ("c2d_nl1_small", "image_small"):
        expected, model = nl.create_model(name), nl.create_model(name)
        harness.randomise(expected)
        expected.save(tmp_path / "a.keras")
        nl.load_weights(model, tmp_path / "a.keras")
        assert_unchanged(model, values_of(expected))


def test_a_missing_bias_of_mmaction2_is_zero(tmp_path):
    source = random(
        "i3d_nl1",
        stem="mmaction2",
        nonlocal_block={"out_bias": False, "pool_position": "after"},
    )
    path = checkpoint_files.write(
        tmp_path / "a", "mmaction2", to_arrays(source, "mmaction2")
    )
    model = build("i3d_nl1")
    report = nl.load_weights(model, path)
    assert report.converted == ("res4_block0_nonlocal/out/bias",)
    bias = model.get_layer("res4_block0_nonlocal").out.bias
    assert not harness.array(bias).any()


def without(name):
    return lambda arrays: {k: v for k, v in arrays.items() if k != name}


def with_value(name, compute):
    """Replace an array by a function of it."""
    return lambda arrays: {**arrays, name: compute(arrays.get(name))}


MISMATCHES = {
    "missing kernel": (without("res3_0_branch2b_w"), "'res3_0_branch2b_w'"),
    "missing mean": (
        without("res3_0_branch2b_bn_rm"),
        "no 'res3_0_branch2b_bn_rm'",
    ),
    "missing variance": (
        without("res_conv1_bn_riv"),
        "no 'res_conv1_bn_riv'",
    ),
    "missing scale": (
        without("nonlocal_conv4_0_bn_s"),
        "no 'nonlocal_conv4_0_bn_s'",
    ),
    "extra weight": (
        with_value("else_w", lambda _: zeros(2)),
        "no variable for 'else_w'",
    ),
    "shape of a scale": (
        with_value("res4_0_branch2a_bn_s", lambda _: zeros(5)),
        r"'res4_0_branch2a_bn_s' has the shape \(5,\)",
    ),
    "shape of a kernel": (
        with_value("res2_0_branch2b_w", lambda _: zeros(4, 4, 1, 5, 5)),
        "'res2_0_branch2b_w'",
    ),
    "missing bias of the classifier": (
        without("pred_b"),
        "pred_b|classifier",
    ),
    "shape of the classifier's bias": (
        with_value("pred_b", lambda _: zeros(3)),
        "pred_b|classifier",
    ),
    "scalar classifier": (
        with_value("pred_w", lambda _: np.float32(1)),
        "pred_w",
    ),
    "NaN": (
        with_value("conv1_w", lambda a: np.full_like(a, np.nan)),
        "'conv1_w' has values that are not finite",
    ),
    "overflow in float32": (
        with_value("conv1_w", lambda a: np.full(a.shape, 1e300, "float64")),
        "'conv1_w' has values that are not finite",
    ),
    "integers": (
        with_value("conv1_w", lambda a: a.astype("int32")),
        "a floating-point array 'conv1_w'",
    ),
    "negative variances": (
        with_value("res_conv1_bn_riv", lambda a: -1 - np.abs(a)),
        "'res_conv1_bn_riv' has negative variances",
    ),
}


@pytest.fixture(scope="module")
def model_and_arrays():
    return build("c2d_nl1"), arrays_of("c2d_nl1")


@pytest.mark.parametrize("name", MISMATCHES)
def test_a_mismatch_is_named_and_changes_nothing(
    name, model_and_arrays, tmp_path
):
    corrupt, message = MISMATCHES[name]
    model, arrays = model_and_arrays
    path = checkpoint_files.write(
        tmp_path / "weights.pkl", "caffe2", corrupt(arrays)
    )
    before = values_of(model)
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
        ("c2d_nl2", "c2d"),
        ("i3d", "c2d"),
        ("i3d", "image"),
    ],
)
def test_weights_of_another_residual_network_are_refused(
    source, target, tmp_path
):
    path = file_of(tmp_path, source)
    model = build(target)
    before = values_of(model)
    with pytest.raises(CheckpointError, match="weights"):
        nl.load_weights(model, path)
    assert_unchanged(model, before)


def test_a_network_that_is_not_residual_is_refused(tmp_path):
    path = file_of(tmp_path, "c2d")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(CheckpointError, match="Received another network"):
        nl.load_weights(model, path)
