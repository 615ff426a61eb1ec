"""Networks built from files: inference, assumptions, refusals."""

import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf.checkpoints import CheckpointError
from nonlocal_tf.checkpoints.write import to_arrays
from nonlocal_tf.models import backbones, video_resnet
from tests import harness
from tests.checkpoints import checkpoint_files
from tests.checkpoints.shallow_resnets import (
    CLIP,
    IMAGE,
    OPTIONS,
    arrays_of,
    assert_equal_outputs,
    file_of,
    random,
    zeros,
)
from tests.models.tiny import tiny


@pytest.mark.parametrize(
    ("name", "file_format", "options"),
    [
        ("c2d", "caffe2", {}),
        ("i3d", "slowfast", {"stem": "slowfast"}),
        ("i3d", "caffe2", {"inflation": "3x3x3"}),
        ("c2d_nl2", "caffe2", {"norm": "affine"}),
        ("image", "torchvision", {}),
    ],
)
def test_the_architecture_is_inferred(name, file_format, options, tmp_path):
    expected = random(name, **options)
    path = checkpoint_files.write(
        tmp_path / "a", file_format, to_arrays(expected, file_format)
    )
    arguments = {"clip_shape": IMAGE} if name == "image" else OPTIONS
    model, report = nl.from_checkpoint(path, **arguments)
    assert (model.name, report.format) == (f"{name}_r14", file_format)
    assert not report.kept + report.unused + report.converted
    assert_equal_outputs(model, expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["i3d_nl10_r50", "c2d_nl1_r101"])
def test_the_depth_is_inferred(name, tmp_path):
    expected = tiny(name)
    path = checkpoint_files.write(
        tmp_path / "a", "caffe2", to_arrays(expected, "caffe2")
    )
    assert nl.from_checkpoint(path)[0].name == name


def test_places_of_blocks_are_inferred(tmp_path):
    places = {"res2": (0,), "res3": (0,)}
    path = file_of(tmp_path, "c2d_nl1", nonlocal_places=places)
    model, _ = nl.from_checkpoint(path, **OPTIONS)
    names = [x.name for x in model.layers if x.name.endswith("_nonlocal")]
    assert names == ["res2_block0_nonlocal", "res3_block0_nonlocal"]


@pytest.mark.parametrize(
    ("file_format", "expected"),
    [
        ("caffe2", {"sampling": "32x2", "stem": "official_strided"}),
        ("slowfast", {"sampling": "8x8"}),
    ],
)
def test_assumptions_are_reported(file_format, expected, tmp_path):
    path = file_of(tmp_path, "c2d_nl1", file_format)
    _, report = nl.from_checkpoint(path, clip_shape=CLIP)
    block = {"pairwise": "embedded_gaussian", "scale": "rsqrt"}
    assert report.assumed == {**expected, **block}
    assert "assumed scale='rsqrt'" in str(report)
    _, report = nl.from_checkpoint(
        path, **OPTIONS, pairwise="dot_product", stem="slowfast"
    )
    assert report.assumed == {}


@pytest.mark.parametrize("scale", [1, 0.5, "rsqrt"])
def test_scale_is_an_argument(scale, tmp_path):
    path = file_of(tmp_path, "c2d_nl1")
    model, _ = nl.from_checkpoint(path, **OPTIONS, scale=scale)
    assert model.get_layer("res4_block0_nonlocal").pairwise.scale == scale


def test_larger_clips_get_a_fully_convolutional_head(tmp_path):
    path = file_of(tmp_path, "c2d")
    for side, shape in ((32, (None, 7)), (64, (None, 1, 2, 2, 7))):
        model, _ = nl.from_checkpoint(
            path, sampling="8x8", clip_shape=(8, side, side, 3), crop_px=32
        )
        assert model.output_shape == shape


def test_sizes_of_clips_may_be_unknown(tmp_path):
    path = file_of(tmp_path, "c2d_nl1")
    model, _ = nl.from_checkpoint(
        path, sampling="8x8", clip_shape=(None, None, None, 3)
    )
    assert model.output_shape == (None, 7)


def test_a_file_without_a_classifier_gives_features(tmp_path):
    arrays = arrays_of("c2d")
    del arrays["pred_w"], arrays["pred_b"]
    path = checkpoint_files.write(tmp_path / "a", "caffe2", arrays)
    model, _ = nl.from_checkpoint(path, **OPTIONS)
    assert model.output_shape == (None, 4, 1, 1, 128)


def test_another_number_of_classes_gets_a_new_classifier(tmp_path):
    path = file_of(tmp_path, "c2d")
    model, report = nl.from_checkpoint(path, num_classes=5, **OPTIONS)
    assert model.output_shape == (None, 5)
    assert report.kept == ("logits/kernel", "logits/bias")
    assert report.unused == ("pred_w", "pred_b")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pairwise": "gaussian"}, "embedded_gaussian or dot_product"),
        ({"pairwise": "concatenation"}, "embedded_gaussian or dot_product"),
        ({"sampling": "8x9"}, "Unknown sampling"),
        ({"num_classes": -1}, "at least 1"),
        ({"clip_shape": 5}, "Expected the shape of clips"),
        ({"width": 8}, "has the shape"),
        ({"nonlocal_places": {"res3": (0,)}}, "does not fit the model"),
        ({"nonlocal_groups": {"res3": 4}}, "Unknown stage with non-local"),
    ],
)
def test_an_argument_that_contradicts_the_file_is_refused(
    options, message, tmp_path
):
    path = file_of(tmp_path, "c2d_nl1")
    with pytest.raises(ValueError, match=message):
        nl.from_checkpoint(path, **{**OPTIONS, **options})


@pytest.mark.parametrize(
    "options", [{"pairwise": "embedded_gaussian"}, {"scale": 1}]
)
def test_arguments_of_blocks_need_blocks_in_the_file(options, tmp_path):
    path = file_of(tmp_path, "c2d")
    with pytest.raises(ValueError, match="goes with a model that has"):
        nl.from_checkpoint(path, **OPTIONS, **options)


def test_a_misspelt_argument_gets_a_suggestion(tmp_path):
    path = file_of(tmp_path, "c2d")
    with pytest.raises(TypeError, match="Did you mean 'sampling'"):
        nl.from_checkpoint(path, samplng="8x8")


def test_clips_have_the_channels_of_the_file(tmp_path):
    path = file_of(tmp_path, "c2d", clip_shape=(8, 32, 32, 2))
    model, _ = nl.from_checkpoint(path)
    assert model.input_shape[-1] == 2


def test_blocks_may_have_half_the_channels_of_another_stage(tmp_path):
    path = file_of(
        tmp_path,
        "c2d_nl1",
        nonlocal_places={"res3": (0,), "res4": (0,)},
        nonlocal_block={"bottleneck": 16},  # half the channels of res3
    )
    model, _ = nl.from_checkpoint(path, **OPTIONS)
    assert model.get_layer("res4_block0_nonlocal").bottleneck == 16


def test_arguments_of_clips_do_not_apply_to_images(tmp_path):
    path = file_of(tmp_path, "image", "torchvision")
    with pytest.raises(ValueError, match="'sampling' does not apply"):
        nl.from_checkpoint(path, sampling="8x8")


def test_temporal_kernels_of_another_backbone_are_refused(tmp_path):
    arrays = arrays_of("c2d", "slowfast")
    for stage in (4, 5):
        name = f"s{stage}.pathway0_res0.branch2.a.weight"
        arrays[name] = np.repeat(arrays[name], 3, axis=2)
    path = checkpoint_files.write(tmp_path / "slow.pyth", "slowfast", arrays)
    with pytest.raises(CheckpointError, match=r"slow.pyth.*Slow and SlowOnly"):
        nl.from_checkpoint(path)


def test_a_basic_block_resnet_is_refused(tmp_path):
    arrays = {
        "conv1.weight": zeros(64, 3, 7, 7),
        "layer1.0.conv1.weight": zeros(64, 64, 3, 3),
        "layer1.0.conv2.weight": zeros(64, 64, 3, 3),
    }
    path = checkpoint_files.write(tmp_path / "a", "torchvision", arrays)
    with pytest.raises(CheckpointError, match=r"'layer1.0.conv1.weight'"):
        nl.from_checkpoint(path)


def test_a_heavy_i3d_has_temporal_kernels_in_every_block(tmp_path):
    config = backbones.resnet_config("i3d_heavy", (1, 1, 1, 1))
    options = {"num_classes": 7, "width": 4, **OPTIONS}
    expected = video_resnet.video_resnet(config, stem="slowfast", **options)
    harness.randomise(expected, 0.2)
    path = checkpoint_files.write(
        tmp_path / "a", "mmaction2", to_arrays(expected, "mmaction2")
    )
    model, report = nl.from_checkpoint(path, **OPTIONS)
    assert model.name == "i3d_heavy_r14"
    assert report.differences == () and "stem" not in report.assumed
    assert_equal_outputs(model, expected)
    other = video_resnet.video_resnet(config, stem="mmaction2", **options)
    stem = "stem is 'mmaction2', in the file's network 'slowfast'"
    assert nl.load_weights(other, path).differences == (stem,)


def test_mmaction2_has_two_c2ds_of_the_same_weights(tmp_path):
    path = file_of(tmp_path, "c2d", "mmaction2")
    model, report = nl.from_checkpoint(path, **OPTIONS)
    assert report.assumed["stem"] == "official"
    other, report = nl.from_checkpoint(path, stem="slowfast_nopool", **OPTIONS)
    assert report.differences == () and "stem" not in report.assumed
    names = {layer.name for layer in model.layers}
    assert names - {layer.name for layer in other.layers} == {"pool2"}
    assert other.get_layer("res5_block0_conv1").output.shape[1] == 8
