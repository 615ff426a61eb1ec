"""Files that are written, read back bit by bit."""

import pickle

import keras
import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf.checkpoints import (
    WRITABLE_FORMATS,
    CheckpointError,
    format_of_path,
)
from nonlocal_tf.checkpoints.formats import (
    FORMATS,
    from_keras_layout,
    parse_path,
    to_keras_layout,
)
from nonlocal_tf.checkpoints.write import to_arrays
from nonlocal_tf.layers import EmbeddedGaussian
from tests import harness
from tests.checkpoints.small_resnets import OPTIONS, random
from tests.models.tiny import CLIP, tiny


def slow(*values):
    """A case whose like is among the others."""
    return pytest.param(*values, marks=pytest.mark.slow)


def assert_equal(model, expected):
    ours, theirs = (
        {weight.path: np.asarray(weight) for weight in one.weights}
        for one in (model, expected)
    )
    assert ours.keys() == theirs.keys()
    for path, array in theirs.items():
        np.testing.assert_array_equal(ours[path], array, err_msg=path)


@pytest.mark.parametrize("form", WRITABLE_FORMATS)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("i3d_nl5_r50", {}),
        slow("i3d_r50", {"inflation": "3x3x3"}),
    ],
)
def test_weights_come_back_bit_by_bit(form, name, options, tmp_path):
    expected = random(name, **options)
    path = tmp_path / f"a{WRITABLE_FORMATS[form]}"
    nl.save_weights(expected, path, form)
    chosen = {} if form == "keras" else OPTIONS
    model, report = nl.from_checkpoint(path, **chosen)
    assert_equal(model, expected)
    assert not report.converted + report.inflated


@pytest.mark.parametrize("form", [slow("keras"), slow("h5"), "caffe2"])
def test_affine_networks_come_back_bit_by_bit(form, tmp_path):
    expected = random("i3d_nl5_r50", norm="affine")
    path = tmp_path / f"a{WRITABLE_FORMATS[form]}"
    nl.save_weights(expected, path, form)
    chosen = {} if form == "keras" else OPTIONS
    assert_equal(nl.from_checkpoint(path, **chosen)[0], expected)


@pytest.mark.parametrize("pairwise", ["gaussian", "concatenation"])
@pytest.mark.parametrize("form", ["keras", "h5"])
def test_every_function_comes_back_bit_by_bit(form, pairwise, tmp_path):
    expected = random("c2d_nl1_r50", pairwise=pairwise)
    path = tmp_path / f"a{WRITABLE_FORMATS[form]}"
    nl.save_weights(expected, path, form)
    chosen = {} if form == "keras" else OPTIONS
    assert_equal(nl.from_checkpoint(path, **chosen)[0], expected)


@pytest.mark.parametrize(
    ("form", "name", "options"),
    [
        ("caffe2", "i3d_nl1_r50", {"stem": "slowfast", "scale": 0.5}),
        ("slowfast", "i3d_r50", {"stem": "official_strided"}),
        slow("h5", "i3d_r50", {"stem": "mmaction2", "stride_on": "1x1"}),
        ("h5", "image_r50", {"stride_on": "1x1", "pool_padding": 0}),
        ("h5", "c2d_nl1_r50", {"pairwise": "dot_product", "axes": "time"}),
        slow("h5", "c2d_nl1_r50", {"pairwise": "gaussian", "scale": 0.5}),
        slow(
            "h5",
            "c2d_nl1_r50",
            {"nonlocal_block": {"pool_position": "after", "subsample": None}},
        ),
        ("caffe2", "c2d_nl5_r50", {"nonlocal_groups": {"res3": 2}}),
        slow("caffe2", "c2d_nl5_r50", {"sampling": "32x4"}),
        slow("h5", "c2d_nl1_r50", {"pairwise": EmbeddedGaussian()}),
    ],
)
def test_what_weights_do_not_show_comes_back(form, name, options, tmp_path):
    expected = random(name, **options)
    path = tmp_path / f"a{WRITABLE_FORMATS[form]}"
    nl.save_weights(expected, path, form)
    shape = expected.input_shape[1:]
    model, report = nl.from_checkpoint(path, clip_shape=shape)
    assert report.assumed == {}
    assert report.differences == ()
    x = harness.normal((1, *shape))
    np.testing.assert_array_equal(
        np.asarray(model(x, training=False)),
        np.asarray(expected(x, training=False)),
    )


def test_the_frames_come_back(tmp_path):
    nl.save_weights(tiny("c2d_r50"), tmp_path / "a.pkl", "caffe2")
    model, _ = nl.from_checkpoint(tmp_path / "a.pkl")
    assert model.input_shape == (None, 8, 224, 224, 3)


def test_the_frames_of_training_make_the_window(tmp_path):
    nl.save_weights(tiny("c2d_r50"), tmp_path / "a.pkl", "caffe2")
    model, report = nl.from_checkpoint(
        tmp_path / "a.pkl", clip_shape=(None, 256, 256, 3)
    )
    assert report.assumed == {}
    assert model.get_layer("pool5").pool_size == (4, 7, 7)


def test_groups_that_no_sampling_has_are_kept(tmp_path):
    model = tiny("c2d_nl5_r50", nonlocal_groups={"res3": 2})
    nl.save_weights(model, tmp_path / "a.pkl", "caffe2")
    model, _ = nl.from_checkpoint(tmp_path / "a.pkl", **OPTIONS)
    assert model.get_layer("res3_block1_nonlocal").temporal_group_size == 2


def test_a_sampling_brings_the_authors_stem_to_any_format(tmp_path):
    nl.save_weights(tiny("c2d_r50"), tmp_path / "a.pyth", "slowfast")
    model, report = nl.from_checkpoint(tmp_path / "a.pyth", sampling="32x2")
    assert model.get_layer("pool1").pool_size == (2, 3, 3)
    stem = "stem is 'official_strided', in the file's network 'official'"
    assert report.differences == (stem,)


def test_the_users_own_function_is_asked_for(tmp_path):
    class Mine(EmbeddedGaussian):
        pass

    expected = random("c2d_nl1_r50", pairwise=Mine())
    path = tmp_path / "a.weights.h5"
    nl.save_weights(expected, path, "h5")
    with pytest.raises(ValueError, match="custom pairwise function, Mine"):
        nl.from_checkpoint(path, clip_shape=CLIP)
    model, _ = nl.from_checkpoint(path, clip_shape=CLIP, pairwise=Mine())
    assert_equal(model, expected)
    with pytest.raises(CheckpointError, match="pairwise is 'Mine'"):
        nl.save_weights(expected, path, "caffe2")


def test_the_sampling_that_is_asked_for_counts(tmp_path):
    model = tiny("c2d_nl5_r50", sampling="32x4", clip_shape=(8, 64, 64, 3))
    nl.save_weights(model, tmp_path / "a.pkl", "caffe2")
    model, report = nl.from_checkpoint(tmp_path / "a.pkl", sampling="32x2")
    assert model.input_shape[1] == 32
    assert model.get_layer("conv1").strides[0] == 2
    block = model.get_layer("res3_block1_nonlocal")
    assert block.temporal_group_size is None
    assert report.assumed == {}
    told = {sentence.split()[0] for sentence in report.differences}
    assert told == {"stem", "nonlocal_groups"}


def test_of_a_file_that_keras_wrote_more_is_assumed(tmp_path):
    tiny("c2d_nl1_r50").save_weights(tmp_path / "a.weights.h5")
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
        ({"nonlocal_block": {"norm": "none"}}, "norm='none' and out_bias=T"),
        ({"nonlocal_block": {"out_bias": False}}, "and out_bias=False, in n"),
        (
            {"nonlocal_block": {"pool_position": "after"}},
            "pool_position is 'after', in networks of",
        ),
    ],
)
@pytest.mark.parametrize("form", ["caffe2", "slowfast"])
def test_what_no_network_of_a_format_does_is_refused(
    form, options, message, tmp_path
):
    model = tiny("c2d_nl1_r50", **options)
    with pytest.raises(CheckpointError, match=message):
        nl.save_weights(model, tmp_path / "a", form)
    assert not list(tmp_path.iterdir())


def test_what_other_code_would_do_otherwise_is_told(tmp_path):
    model = tiny(
        "i3d_nl5_r50",
        scale=2,
        stride_on="1x1",
        stem="mmaction2",
        inflation="3x3x3",
        nonlocal_groups={"res4": 1},
        nonlocal_block={"subsample": None},
    )
    of = "in networks of slowfast"
    assert set(nl.save_weights(model, tmp_path / "a.pyth", "slowfast")) == {
        f"stem is 'mmaction2', {of} 'slowfast'",
        f"scale is 2.0, {of} 'rsqrt'",
        f"stride_on is '1x1', {of} '3x3'",
        f"inflation is '3x3x3', {of} '3x1x1'",
        f"nonlocal_groups is {{'res4': 1}}, {of} {{}}",
        f"subsample is None, {of} [1, 2, 2]",
    }
    stem = "stem is 'mmaction2', in networks of caffe2 'official'"
    assert stem in nl.save_weights(model, tmp_path / "a.pkl", "caffe2")
    assert nl.save_weights(model, tmp_path / "a.weights.h5", "h5") == ()


def test_the_authors_blobs_are_a_plain_pickle(tmp_path):
    model = random("c2d_r50")
    nl.save_weights(model, tmp_path / "a.pkl", "caffe2")
    with open(tmp_path / "a.pkl", "rb") as file:
        blobs = pickle.load(file)["blobs"]
    kernel = np.asarray(model.get_layer("res2_block0_conv2").kernel)
    # (time, height, width, in, out) to (out, in, time, height, width).
    np.testing.assert_array_equal(
        blobs["res2_0_branch2b_w"], kernel.transpose(4, 3, 0, 1, 2)
    )
    assert len(blobs) == 267


def test_pytorch_reads_a_state_dict(tmp_path):
    torch = pytest.importorskip("torch")
    model = random("c2d_nl1_r50")
    nl.save_weights(model, tmp_path / "a.pyth", "slowfast")
    state = torch.load(tmp_path / "a.pyth", weights_only=True)["model_state"]
    theta = np.asarray(model.get_layer("res4_block4_nonlocal").theta.kernel)
    np.testing.assert_array_equal(
        state["s4.pathway0_nonlocal4.conv_theta.weight"].numpy()[..., 0, 0, 0],
        theta.T,
    )


@pytest.mark.parametrize("form", FORMATS)
def test_layouts_are_each_others_inverse(form):
    for path, shape in {
        "res3_block1_conv2/kernel": (1, 3, 3, 2, 5),
        "res3_block1_nonlocal/theta/kernel": (6, 3),
        "res3_block1_nonlocal/pairwise/w_f": (6, 1),
        "res3_block1_conv2_bn/gamma": (5,),
        "logits/kernel": (6, 7),
    }.items():
        weight, array = parse_path(path), harness.normal(shape)
        there = from_keras_layout(array, weight, FORMATS[form])
        back = to_keras_layout(there, weight.role, FORMATS[form])
        np.testing.assert_array_equal(back.reshape(shape), array)


@pytest.mark.parametrize("form", ["h5", "caffe2", "slowfast"])
def test_a_folded_model_is_not_written_where_it_cannot_be_read(form, tmp_path):
    folded = nl.fold(tiny("c2d_r50"))
    with pytest.raises(CheckpointError, match="Save the model before folding"):
        nl.save_weights(folded, tmp_path / "a.weights.h5", form)
    assert not list(tmp_path.iterdir())


def test_scales_and_shifts_have_no_place_in_a_state_dict():
    with pytest.raises(CheckpointError, match="Write it as caffe2, keras or h"):
        to_arrays(tiny("c2d_r50", norm="affine"), "slowfast")


def test_a_concatenation_has_no_place_in_the_authors_files():
    model = tiny("c2d_nl1_r50", pairwise="concatenation")
    with pytest.raises(CheckpointError, match="no name for .*pairwise/w_f"):
        to_arrays(model, "caffe2")


@pytest.mark.parametrize("form", ["caffe2", "slowfast"])
def test_other_networks_are_not_written_as_residual(form, tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Flatten()])
    with pytest.raises(CheckpointError, match="another network, 'seq"):
        nl.save_weights(model, tmp_path / "a", form)
    with pytest.raises(TypeError, match="Expected a keras.Model"):
        nl.save_weights(3, tmp_path / "a", form)


def test_a_small_network_is_not_called_anothers():
    model = nl.create_model("image_small", num_classes=3)
    with pytest.raises(CheckpointError, match="write it as keras or h5") as at:
        nl.save_weights(model, "a.pkl")
    assert "another network, 'image_small'" in str(at.value)
    assert "create_model" not in str(at.value)


def test_a_name_is_not_a_model(tmp_path):
    for use in (nl.save_weights, nl.load_weights):
        with pytest.raises(TypeError, match=r"create_model\('c2d_nl1_small'\)"):
            use("c2d_nl1_small", tmp_path / "x.pkl")


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.keras", "keras"),
        ("a.b/A.weights.h5", "h5"),
        ("a.pkl", "caffe2"),
        ("a.PYTH", "slowfast"),
    ],
)
def test_a_name_says_its_format(name, form):
    assert format_of_path(name) == form


@pytest.mark.parametrize("name", ["a.h5", "a.pth", "a", "keras"])
def test_a_name_that_does_not_say_its_format(name, tmp_path):
    model = nl.create_model("image_small", num_classes=3)
    with pytest.raises(ValueError, match=r"\.pkl \(caffe2\).* format='keras'"):
        nl.save_weights(model, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_model_that_is_not_ours_has_no_names():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(CheckpointError, match="no name for"):
        to_arrays(model, "caffe2")


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Did you mean 'caffe2'"):
        nl.save_weights(tiny("c2d_r50"), tmp_path / "a", "cafe2")


def test_the_users_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    model = nl.create_model("image_small", num_classes=3)
    for name in ("a.keras", "a.weights.h5"):
        nl.save_weights(model, f"~/{name}")
        assert (tmp_path / name).exists()
        nl.load_weights(model, f"~/{name}")
    built, _ = nl.from_checkpoint("~/a.keras")
    assert built.count_params() == model.count_params()


def test_a_file_is_replaced_only_if_asked(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"precious")
    model = tiny("c2d_r50")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        nl.save_weights(model, path, "caffe2")
    assert path.read_bytes() == b"precious"
    nl.save_weights(model, path, "caffe2", overwrite=True)
    assert path.read_bytes() != b"precious"
