"""What fits a network, what is told of it, and what is refused."""

import dataclasses

import h5py
import keras
import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf.models.inflate import inflate_kernel
from nonlocal_tf.weights import CheckpointError
from nonlocal_tf.weights.write import to_arrays
from tests import harness
from tests.models.tiny import CLIP, IMAGE, shallow, tiny
from tests.weights import files

OPTIONS = {"sampling": "8x8", "clip_shape": CLIP}


def random(name, **options):
    model = tiny(name, **options)
    harness.randomise(model, 0.2)
    return model


def arrays_of(name, form="caffe2", **options):
    return to_arrays(random(name, **options), form)


def file_of(tmp_path, name, form="caffe2", **options):
    return files.write(
        tmp_path / "weights", form, arrays_of(name, form, **options)
    )


def equal(model, other):
    x = harness.normal((2, *model.input_shape[1:]))
    y, expected = (np.asarray(one(x, training=False)) for one in (model, other))
    # The same float32 products; affine forms scale before they shift.
    bound = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(y, expected, atol=bound)


def snapshot(model):
    return [np.asarray(weight) for weight in model.weights]


def assert_unchanged(model, before):
    for weight, old in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(np.asarray(weight), old)


# ------------------------------------------------- the network of a file


@pytest.mark.parametrize(
    ("name", "form", "options"),
    [
        ("c2d_r50", "caffe2", {}),
        ("i3d_r50", "slowfast", {"stem": "slowfast"}),
        ("i3d_nl10_r50", "caffe2", {}),
        ("i3d_r50", "caffe2", {"inflation": "3x3x3"}),
        ("c2d_nl1_r101", "slowfast", {"stem": "slowfast"}),
        ("c2d_nl5_r50", "caffe2", {"norm": "affine"}),
        ("image_r50", "torchvision", {}),
    ],
)
def test_the_network_is_read_off_the_file(name, form, options, tmp_path):
    expected = random(name, **options)
    path = files.write(tmp_path / "a", form, to_arrays(expected, form))
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
    path = files.write(tmp_path / "a", "caffe2", arrays)
    model, _ = nl.from_checkpoint(path, **OPTIONS)
    assert model.output_shape == (None, 4, 2, 2, 128)


def test_other_classes_get_a_new_classifier(tmp_path):
    path = file_of(tmp_path, "c2d_r50")
    model, report = nl.from_checkpoint(path, num_classes=5, **OPTIONS)
    assert model.output_shape == (None, 5)
    assert report.kept == ("logits/kernel", "logits/bias")
    assert report.unused == ("pred_w", "pred_b")


@pytest.mark.parametrize("wrapped", [True, False])
def test_blobs_may_be_wrapped(wrapped, tmp_path):
    arrays = {**arrays_of("c2d_r50"), "model_iter": 7, "lr": np.float32(0.1)}
    arrays["conv1_w_momentum"] = np.zeros(3, "float32")
    path = tmp_path / "a.pkl"
    if wrapped:
        files.write(path, "caffe2", arrays)
    else:
        import pickle

        path.write_bytes(pickle.dumps(arrays))
    _, report = nl.from_checkpoint(path, **OPTIONS)
    assert set(report.ignored) == {"model_iter", "lr", "conv1_w_momentum"}


def test_prefixes_of_parallel_training_do_not_matter(tmp_path):
    arrays = arrays_of("c2d_r50", "slowfast")
    arrays = {f"module.{name}": array for name, array in arrays.items()}
    path = files.write(tmp_path / "a", "slowfast", arrays)
    assert nl.from_checkpoint(path, **OPTIONS)[0].name == "c2d_r50"


def test_sub_batch_statistics_are_those_of_the_whole(tmp_path):
    arrays = arrays_of("c2d_r50", "slowfast")
    renamed = {
        name.replace("bn.running", "bn.bn.running"): array
        for name, array in arrays.items()
    }
    renamed["s1.pathway0_stem.bn.split_bn.running_mean"] = np.zeros(
        8, "float32"
    )
    path = files.write(tmp_path / "a", "slowfast", renamed)
    _, report = nl.from_checkpoint(path, **OPTIONS)
    assert report.ignored == ("s1.pathway0_stem.bn.split_bn.running_mean",)


def test_a_keras_file_is_taken_as_it_is(tmp_path):
    expected = random("i3d_nl1_r50", pairwise="gaussian")
    expected.save(tmp_path / "a.keras")
    model, report = nl.from_checkpoint(tmp_path / "a.keras")
    equal(model, expected)
    assert report.format == "keras"
    with pytest.raises(ValueError, match="says everything of its model"):
        nl.from_checkpoint(tmp_path / "a.keras", sampling="8x8")


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


# ------------------------------------------------ into a model that is there


def test_images_are_inflated(tmp_path):
    image = random("image_r50")
    path = files.write(
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
        files.write(tmp_path / "a", form, arrays)
    model = tiny("i3d_nl5_r50", num_classes=3)
    report = nl.load_weights(model, tmp_path / "a")
    kept = {path.split("/")[0].split("_")[-1] for path in report.kept}
    assert kept == {"nonlocal", "logits"}
    assert len(report.kept) == 5 * 12 + 2
    stride = "stride_on is '3x3', in the file's network '1x1'"
    assert report.differs == ((stride,) if form == "keras_resnet" else ())


def test_an_inflated_c2d_equals_the_image_network_on_a_static_clip(tmp_path):
    image = random("image_r50", pool_padding=0)
    path = files.write(
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
    path = files.write(
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


@pytest.mark.parametrize(
    ("source", "target", "block"),
    [
        ("batch", "affine", None),
        ("batch", "affine", "affine"),
        ("affine", "batch", None),
        ("affine", "batch", "batch"),
    ],
)
def test_normalisations_change_their_form(source, target, block, tmp_path):
    options = {"nonlocal_block": {"norm": block} if block else None}
    expected = random("c2d_nl1_r50", norm=source, **options)
    path = files.write(tmp_path / "a", "caffe2", to_arrays(expected, "caffe2"))
    model = tiny("c2d_nl1_r50", norm=target)
    report = nl.load_weights(model, path)
    assert "conv1_" in report.converted[0]
    assert not report.kept + report.unused
    equal(model, expected)
    built, _ = nl.from_checkpoint(path, norm=target, **OPTIONS)
    equal(built, expected)


def test_a_shift_needs_a_bias_to_go_into(tmp_path):
    path = file_of(tmp_path, "c2d_nl1_r50")
    model = tiny("c2d_nl1_r50", norm="affine", nonlocal_block={"out_bias": 0})
    with pytest.raises(CheckpointError, match="out_bias=True"):
        nl.load_weights(model, path)


def test_a_graph_that_is_not_that_of_the_source_is_told(tmp_path):
    source = random("i3d_nl1_r50", stem="slowfast")
    path = files.write(
        tmp_path / "a", "slowfast", to_arrays(source, "slowfast")
    )
    assert nl.load_weights(source, path).differs == ()
    other = tiny("i3d_nl1_r50", nonlocal_block={"pool_position": "after"})
    report = nl.load_weights(other, path)
    of = "in the file's network"
    assert report.differs == (
        f"stem is 'official', {of} 'slowfast'",
        f"pool_position is 'after', {of} 'before'",
    )
    assert "differs 2: stem is" in str(report)
    report = nl.load_weights(tiny("i3d_nl1_r50", scale=1), path)
    assert report.differs[-1] == f"scale is 1.0, {of} 'rsqrt'"


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
    assert report.differs[0].startswith(sentence)


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
    path = files.write(
        tmp_path / "a", "mmaction2", to_arrays(source, "mmaction2")
    )
    model = tiny("i3d_nl1_r50")
    report = nl.load_weights(model, path)
    assert report.converted == ("res4_block4_nonlocal/out/bias",)
    bias = model.get_layer("res4_block4_nonlocal").out.bias
    assert not np.asarray(bias).any()


# ------------------------------------------------------------ what is refused


def change(arrays, name, value):
    return {**arrays, name: value}


def zeros(*shape, dtype="float32"):
    return np.zeros(shape, dtype)


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
    "one more": (lambda a: {**a, "else_w": zeros(2)}, r"nothing for 'else_w'"),
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
        r"'conv1_w' has numbers that are not finite",
    ),
    "too large a number": (
        lambda a: change(
            a, "conv1_w", np.full(a["conv1_w"].shape, 1e300, "float64")
        ),
        r"'conv1_w' has numbers that are not finite",
    ),
    "whole numbers": (
        lambda a: change(a, "conv1_w", a["conv1_w"].astype("int32")),
        r"'conv1_w' to have numbers with a point",
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
    path = files.write(tmp_path / "weights.pkl", "caffe2", spoil(arrays))
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
        ("c2d_r50", "c2d_r101"),
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
    with pytest.raises(CheckpointError, match="residual network of create_mod"):
        nl.load_weights(model, path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"<html>\n just some page", "The file is text.*<html>"),
        (b"\x80\x04\x95 half a pickle", "The pickle is damaged"),
        (b"\xff\xd8\xff\xe0 an image", "The pickle is damaged"),
        (b"PK\x03\x04 not much of an archive", "damaged or cut off"),
        (b"\x89HDF\r\n\x1a\n not much of one", "damaged or cut off"),
        (b"\x80\x02]\x2e", "Expected a dictionary of weights"),
        (b"\x80\x02}\x2e", "Received 0 arrays"),
    ],
)
def test_a_file_of_something_else_is_one_error(content, message, tmp_path):
    path = tmp_path / "file.pkl"
    path.write_bytes(content)
    for load in (
        lambda: nl.from_checkpoint(path),
        lambda: nl.load_weights(tiny("c2d_r50"), path),
    ):
        with pytest.raises(CheckpointError, match=message) as caught:
            load()
        assert "file.pkl" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("layer1.0.conv1.weight", "residual network of bottleneck"),
        ("s1.pathway1_stem.conv.weight", "two pathways"),
    ],
)
def test_weights_of_another_kind_of_network_are_refused(
    name, message, tmp_path
):
    arrays = {name: zeros(2), "s1.pathway0_stem.conv.weight": zeros(2)}
    if "layer1" in name:
        del arrays["s1.pathway0_stem.conv.weight"]
    path = files.write(tmp_path / "a", "slowfast", arrays)
    with pytest.raises(CheckpointError, match=message):
        nl.from_checkpoint(path)


def test_a_network_that_looks_along_time_elsewhere_is_refused(tmp_path):
    arrays = arrays_of("c2d_r50", "slowfast")
    for stage, blocks in ((4, 6), (5, 3)):
        for block in range(blocks):
            name = f"s{stage}.pathway0_res{block}.branch2.a.weight"
            arrays[name] = np.repeat(arrays[name], 3, axis=2)
    path = files.write(tmp_path / "slow.pyth", "slowfast", arrays)
    with pytest.raises(CheckpointError, match=r"slow.pyth.*Slow and SlowOnly"):
        nl.from_checkpoint(path)


def test_a_basic_block_resnet_is_refused(tmp_path):
    arrays = {
        "conv1.weight": zeros(64, 3, 7, 7),
        "layer1.0.conv1.weight": zeros(64, 64, 3, 3),
        "layer1.0.conv2.weight": zeros(64, 64, 3, 3),
    }
    path = files.write(tmp_path / "a", "torchvision", arrays)
    with pytest.raises(CheckpointError, match=r"'layer1.0.conv1.weight'"):
        nl.from_checkpoint(path)


def test_a_missing_file_is_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        nl.from_checkpoint(tmp_path / "none.pkl")


def test_a_report_says_what_became_of_everything():
    report = nl.weights.Report(
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
