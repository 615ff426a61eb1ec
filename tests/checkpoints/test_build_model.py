"""The network of a file, and what is told and refused of it."""

import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf.checkpoints import CheckpointError
from nonlocal_tf.checkpoints.write import to_arrays
from tests.checkpoints import checkpoint_files
from tests.checkpoints.small_resnets import (
    OPTIONS,
    arrays_of,
    equal,
    file_of,
    random,
    zeros,
)
from tests.models.tiny import CLIP, IMAGE


@pytest.mark.parametrize(
    ("name", "form", "options"),
    [
        ("c2d_r50", "caffe2", {}),
        ("i3d_r50", "slowfast", {"stem": "slowfast"}),
        pytest.param("i3d_nl10_r50", "caffe2", {}, marks=pytest.mark.slow),
        pytest.param(
            *("i3d_r50", "caffe2", {"inflation": "3x3x3"}),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *("c2d_nl1_r101", "slowfast", {"stem": "slowfast"}),
            marks=pytest.mark.slow,
        ),
        ("c2d_nl5_r50", "caffe2", {"norm": "affine"}),
        ("image_r50", "torchvision", {}),
    ],
)
def test_the_network_is_read_off_the_file(name, form, options, tmp_path):
    expected = random(name, **options)
    path = checkpoint_files.write(
        tmp_path / "a", form, to_arrays(expected, form)
    )
    chosen = {"clip_shape": IMAGE} if name.startswith("image") else OPTIONS
    model, report = nl.from_checkpoint(path, **chosen)
    assert (model.name, report.format) == (name, form)
    assert not report.kept + report.unused + report.converted
    equal(model, expected)


def test_places_are_read_off_the_file(tmp_path):
    places = {"res2": (0,), "res5": (1, 2)}
    path = file_of(tmp_path, "c2d_nl1_r50", nonlocal_places=places)
    model, _ = nl.from_checkpoint(path, **OPTIONS)
    names = [x.name for x in model.layers if x.name.endswith("_nonlocal")]
    assert names == [
        "res2_block0_nonlocal",
        "res5_block1_nonlocal",
        "res5_block2_nonlocal",
    ]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("caffe2", {"sampling": "32x2", "stem": "official_strided"}),
        ("slowfast", {"sampling": "8x8"}),
    ],
)
def test_what_the_file_does_not_say_is_told(form, expected, tmp_path):
    path = file_of(tmp_path, "c2d_nl1_r50", form)
    _, report = nl.from_checkpoint(path, clip_shape=CLIP)
    function = {"pairwise": "embedded_gaussian", "scale": "rsqrt"}
    assert report.assumed == {**expected, **function}
    assert "assumed scale='rsqrt'" in str(report)
    _, report = nl.from_checkpoint(
        path, **OPTIONS, pairwise="dot_product", stem="slowfast"
    )
    assert report.assumed == {}


@pytest.mark.parametrize("scale", [1, 0.5, "rsqrt"])
def test_the_scale_can_be_said(scale, tmp_path):
    path = file_of(tmp_path, "c2d_nl1_r50")
    model, _ = nl.from_checkpoint(path, **OPTIONS, scale=scale)
    assert model.get_layer("res4_block4_nonlocal").pairwise.scale == scale


def test_larger_clips_get_a_fully_convolutional_head(tmp_path):
    path = file_of(tmp_path, "c2d_r50")
    for side, shape in ((64, (None, 7)), (96, (None, 1, 2, 2, 7))):
        model, _ = nl.from_checkpoint(
            path, sampling="8x8", clip_shape=(8, side, side, 3), crop_px=64
        )
        assert model.output_shape == shape


def test_unknown_sizes_can_be_asked_for(tmp_path):
    path = file_of(tmp_path, "c2d_nl1_r50")
    model, _ = nl.from_checkpoint(
        path, sampling="8x8", clip_shape=(None, None, None, 3)
    )
    assert model.output_shape == (None, 7)


def test_a_file_without_a_classifier_gives_features(tmp_path):
    arrays = arrays_of("c2d_r50")
    del arrays["pred_w"], arrays["pred_b"]
    path = checkpoint_files.write(tmp_path / "a", "caffe2", arrays)
    model, _ = nl.from_checkpoint(path, **OPTIONS)
    assert model.output_shape == (None, 4, 2, 2, 128)


def test_other_classes_get_a_new_classifier(tmp_path):
    path = file_of(tmp_path, "c2d_r50")
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
        ({"nonlocal_places": "res3"}, "does not fit the model"),
        ({"nonlocal_groups": {"res3": 4}}, "Unknown stage with non-local"),
    ],
)
def test_an_argument_that_contradicts_the_file_is_refused(
    options, message, tmp_path
):
    path = file_of(tmp_path, "c2d_nl1_r50")
    with pytest.raises(ValueError, match=message):
        nl.from_checkpoint(path, **{**OPTIONS, **options})


@pytest.mark.parametrize(
    "options", [{"pairwise": "embedded_gaussian"}, {"scale": 1}]
)
def test_arguments_of_blocks_need_blocks_in_the_file(options, tmp_path):
    path = file_of(tmp_path, "c2d_r50")
    with pytest.raises(ValueError, match="goes with a model that has"):
        nl.from_checkpoint(path, **OPTIONS, **options)


def test_a_misspelt_argument_is_told(tmp_path):
    path = file_of(tmp_path, "c2d_r50")
    with pytest.raises(TypeError, match="Did you mean 'sampling'"):
        nl.from_checkpoint(path, samplng="8x8")


def test_clips_have_the_files_channels(tmp_path):
    path = file_of(tmp_path, "c2d_r50", clip_shape=(8, 64, 64, 2))
    model, _ = nl.from_checkpoint(path)
    assert model.input_shape[-1] == 2


def test_blocks_may_have_half_the_channels_of_another_stage(tmp_path):
    path = file_of(
        tmp_path,
        "c2d_nl1_r50",
        nonlocal_places={"res3": (0,), "res4": (0,)},
        nonlocal_block={"bottleneck": 16},  # half of those of res3
    )
    model, _ = nl.from_checkpoint(path, **OPTIONS)
    assert model.get_layer("res4_block0_nonlocal").bottleneck == 16


def test_arguments_of_clips_do_not_apply_to_images(tmp_path):
    path = file_of(tmp_path, "image_r50", "torchvision")
    with pytest.raises(ValueError, match="'sampling' does not apply"):
        nl.from_checkpoint(path, sampling="8x8")


def test_a_network_that_looks_along_time_elsewhere_is_refused(tmp_path):
    arrays = arrays_of("c2d_r50", "slowfast")
    for stage, blocks in ((4, 6), (5, 3)):
        for block in range(blocks):
            name = f"s{stage}.pathway0_res{block}.branch2.a.weight"
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
