"""The builder: sizes, names, padding, heads.

What takes a network's values is for TensorFlow alone: JAX compiles each
operation of each shape, and tests/models/test_registry.py runs one there.
"""

import keras
import numpy as np
import pytest

from nonlocal_tf import models
from nonlocal_tf.layers import Affine, NonLocalBlock
from nonlocal_tf.models import specs
from nonlocal_tf.models.resnet3d import Style, bottleneck
from tests import harness
from tests.harness import normal
from tests.layers.blocks import tensorflow_only
from tests.models.tiny import outline, shallow, tiny, without_weights

# Time, height and width of table 2.4 (224 x 224), after each stage.
SIZES = {
    "8x8": [(8, 112), (8, 55), (8, 55), (4, 28), (4, 14), (4, 7)],
    "32x2": [(16, 112), (8, 55), (8, 55), (4, 28), (4, 14), (4, 7)],
    "32x4": [(32, 112), (32, 55), (32, 55), (16, 28), (16, 14), (16, 7)],
    "128x1": [(64, 112), (32, 55), (32, 55), (16, 28), (16, 14), (16, 7)],
}
STAGES = ("conv1", "pool1", "res2_block2_relu", "res3_block3_relu")
STAGES += ("res4_block5_relu", "res5_block2_relu")


@pytest.mark.parametrize("sampling", SIZES)
@pytest.mark.parametrize("name", ["c2d_r50", "i3d_r50"])
def test_feature_maps_have_the_papers_sizes(name, sampling):
    with without_weights():
        model = models.create_model(name, sampling=sampling, width=2)
    shapes = [model.get_layer(s).output.shape[1:4] for s in STAGES]
    assert shapes == [(t, side, side) for t, side in SIZES[sampling]]


def test_a_crop_of_256_leaves_eight_by_eight():
    model = outline("c2d_r50", clip_shape=(8, 256, 256, 3))
    shapes = [model.get_layer(s).output.shape[2] for s in STAGES]
    assert shapes == [128, 63, 63, 32, 16, 8]


@pytest.mark.parametrize(
    ("stem", "expected"),
    [("slowfast", (8, 56, 56)), ("mmaction2", (2, 56, 56))],
)
def test_other_stems_pad_their_pool(stem, expected):
    model = outline("i3d_r50", clip_shape=(8, 224, 224, 3), stem=stem)
    assert model.get_layer("pool1").output.shape[1:4] == expected


def test_weight_paths_are_an_interface():
    model = outline("i3d_nl5_r50")
    paths = {weight.path for weight in model.weights}
    assert {
        "conv1/kernel",
        "conv1_bn/moving_variance",
        "res2_block0_shortcut/kernel",
        "res2_block0_shortcut_bn/gamma",
        "res3_block1_conv2/kernel",
        "res3_block1_conv2_bn/beta",
        "res3_block1_nonlocal/theta/kernel",
        "res4_block5_nonlocal/out/bias",
        "res4_block5_nonlocal/bn/moving_mean",
        "res5_block2_conv3/kernel",
        "logits/kernel",
    } <= paths
    assert len(paths) == 327  # as the authors' file of this network


def test_only_first_blocks_have_projections():
    model = outline("c2d_r50")
    names = [x.name for x in model.layers if x.name.endswith("_shortcut")]
    assert names == [f"res{stage}_block0_shortcut" for stage in range(2, 6)]


def test_the_stride_is_on_the_3x3_convolution():
    model = outline("c2d_r50")
    strides = [
        model.get_layer(f"res3_block0_conv{i}").strides for i in (1, 2, 3)
    ]
    assert strides == [(1, 1, 1), (1, 2, 2), (1, 1, 1)]


@pytest.mark.parametrize(
    ("inflation", "kernels"),
    [
        ("3x1x1", [(3, 1, 1), (1, 3, 3), (1, 1, 1)]),
        ("3x3x3", [(1, 1, 1), (3, 3, 3), (1, 1, 1)]),
    ],
)
def test_inflation_says_which_convolution_sees_three_frames(inflation, kernels):
    model = outline("i3d_r50", inflation=inflation)
    for block, inflated in (("res3_block0", True), ("res3_block1", False)):
        sizes = [
            model.get_layer(f"{block}_conv{i}").kernel_size for i in (1, 2, 3)
        ]
        plain = [(1, 1, 1), (1, 3, 3), (1, 1, 1)]
        assert sizes == (kernels if inflated else plain)


def test_kernels_start_with_the_deviation_of_their_outputs():
    model = tiny("c2d_r50")
    layer = model.get_layer("res5_block0_conv3")
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    *_, ins, outs = kernel.shape
    assert outs == 4 * ins
    # 512 and more draws deviate by 3 %; those of the inputs would be doubled.
    assert kernel.size >= 512
    assert kernel.std() == pytest.approx((2 / outs) ** 0.5, rel=0.2)


@tensorflow_only
def test_residual_blocks_start_as_their_shortcuts():
    model = tiny("c2d_r50")
    x = normal((1, *model.input_shape[1:]))
    at = ("res3_block0_relu", "res3_block1_relu")
    features = keras.Model(
        model.input, [model.get_layer(name).output for name in at]
    )
    before, after = features(x, training=False)
    np.testing.assert_array_equal(np.asarray(before), np.asarray(after))


@tensorflow_only
def test_zero_initialised_blocks_leave_the_logits_as_they_are():
    plain = tiny("i3d_r50", zero_init_residual=False)
    blocks = tiny("i3d_nl10_r50", zero_init_residual=False)
    for layer in plain.layers:
        blocks.get_layer(layer.name).set_weights(layer.get_weights())
    x = normal((2, *plain.input_shape[1:]))
    np.testing.assert_array_equal(
        np.asarray(plain(x, training=False)),
        np.asarray(blocks(x, training=False)),
    )


def test_affine_networks_have_no_statistics():
    model = outline("i3d_nl5_r50", norm="affine")
    kinds = {type(layer) for layer in model.layers}
    assert Affine in kinds
    assert not any("moving" in weight.path for weight in model.weights)
    assert not any("gamma" in w.path for w in model.trainable_weights)
    blocks = [x for x in model.layers if isinstance(x, NonLocalBlock)]
    assert {block.norm for block in blocks} == {"none"}


@tensorflow_only
def test_affine_networks_learn_in_every_residual_block():
    model = shallow(
        "i3d",
        norm="affine",
        zero_init_residual=None,
        nonlocal_block={"out_initializer": "he_normal"},
    )
    _, *gradients = harness.logits_and_gradients(
        model, normal((2, *model.input_shape[1:]))
    )
    weights = model.trainable_weights
    for weight, gradient in zip(weights, gradients, strict=True):
        # What is added to all of a softmax's logits does not matter.
        if not weight.path.endswith("phi/bias"):
            assert np.abs(gradient).max() > 0, weight.path


@tensorflow_only
@pytest.mark.parametrize(
    ("policy", "backbone"),
    [
        ("mixed_bfloat16", "c2d"),
        ("mixed_bfloat16", "i3d"),
        ("mixed_float16", "c2d"),
    ],
)
def test_half_precision_trains_like_float32(policy, backbone):
    options = {"width": 8, "clip_shape": (4, 64, 64, 3)}
    wide = shallow(backbone, **options)
    keras.config.set_dtype_policy(policy)
    try:
        narrow = shallow(backbone, **options)
    finally:
        keras.config.set_dtype_policy("float32")
    narrow.set_weights(wide.get_weights())
    assert {w.dtype for w in narrow.weights if "seed" not in w.path} == {
        "float32"
    }
    x = normal((4, *wide.input_shape[1:]))
    (y, *all_ours), (expected, *all_theirs) = (
        harness.logits_and_gradients(m, x) for m in (narrow, wide)
    )
    ours, theirs = (
        np.concatenate([np.ravel(g).astype("float64") for g in gradients])
        for gradients in (all_ours, all_theirs)
    )
    assert np.isfinite(ours).all()
    # The same direction through fifteen layers there and back, of 8 bits each:
    # over inputs and processors logits are up to three degrees apart and
    # gradients up to 13.
    assert cosine(y, expected) > 0.996  # five degrees
    assert cosine(ours, theirs) > 0.95  # 18 degrees


def cosine(a, b):
    return np.vdot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)


def test_long_clips_look_in_groups_of_four_frames_at_res3():
    with without_weights():
        model = models.create_model("i3d_nl5_r50", sampling="32x4", width=2)
    groups = {
        x.name: x.temporal_group_size
        for x in model.layers
        if isinstance(x, NonLocalBlock)
    }
    assert groups["res3_block1_nonlocal"] == 4
    assert groups["res4_block1_nonlocal"] is None


# ---------------------------------------------------------------------- heads

LARGER = (8, 96, 96, 3)


def with_logits(**options):
    """A network with random weights on clips larger than its training's."""
    model = tiny("c2d_r50", clip_shape=LARGER, crop_px=64, **options)
    harness.randomise(model)
    return model


def test_fully_convolutional_logits_are_a_map():
    model = outline(
        "c2d_r50", clip_shape=LARGER, crop_px=64, head="fully_convolutional"
    )
    assert model.output_shape == (None, 1, 2, 2, 7)


@tensorflow_only
def test_each_place_has_the_logits_of_its_window():
    whole = with_logits(head="fully_convolutional")
    features = keras.Model(
        whole.input, whole.get_layer("res5_block2_relu").output
    )
    x = normal((2, *LARGER))
    maps = np.asarray(features(x, training=False))  # (2, 4, 3, 3, c)
    kernel, bias = whole.get_layer("logits").get_weights()
    logits = np.asarray(whole(x, training=False))
    for i in range(2):
        for j in range(2):
            window = maps[:, :, i : i + 2, j : j + 2].mean((1, 2, 3))
            np.testing.assert_allclose(
                logits[:, 0, i, j], window @ kernel + bias, rtol=1e-4, atol=1e-5
            )


@tensorflow_only
def test_fully_convolutional_probabilities_are_means_of_softmaxes():
    logits, probabilities = (
        with_logits(head="fully_convolutional", outputs=outputs)
        for outputs in ("logits", "probabilities")
    )
    x = normal((2, *LARGER))
    exp = np.exp(np.asarray(logits(x, training=False)).astype("float64"))
    expected = (exp / exp.sum(-1, keepdims=True)).mean((1, 2, 3))
    y = np.asarray(probabilities(x, training=False))
    np.testing.assert_allclose(y, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("frames", "crop_px"), [(8, 100), (9, 64), (14, 112), (15, 100)]
)
@pytest.mark.parametrize("stem", specs.STEMS)
def test_the_window_is_all_that_is_left_of_a_training_clip(
    stem, crop_px, frames
):
    with without_weights():
        model = shallow(
            "i3d",
            clip_shape=(frames, crop_px, crop_px, 3),
            crop_px=crop_px,
            stem=stem,
            head="fully_convolutional",
        )
    assert model.output_shape[1:4] == (1, 1, 1)


@tensorflow_only
def test_on_a_clip_of_training_size_both_heads_agree():
    heads = [
        tiny("c2d_r50", head=head, crop_px=64)
        for head in ("classification", "fully_convolutional")
    ]
    for model in heads:
        harness.randomise(model)
    x = normal((2, *heads[0].input_shape[1:]))
    one, many = (np.asarray(model(x, training=False)) for model in heads)
    np.testing.assert_allclose(many[:, 0, 0, 0], one, rtol=1e-4, atol=1e-5)


@tensorflow_only
def test_multi_label_probabilities_are_sigmoids():
    model = tiny("c2d_r50", head="multi_label", outputs="probabilities")
    logits = keras.Model(model.input, model.get_layer("logits").output)
    x = normal((2, *model.input_shape[1:]))
    z = np.asarray(logits(x, training=False)).astype("float64")
    y = np.asarray(model(x, training=False))
    np.testing.assert_allclose(y, 1 / (1 + np.exp(-z)), rtol=1e-5)


def test_without_a_head_the_output_is_the_last_feature_map():
    model = outline("c2d_r50", head="none")
    assert model.output_shape == (None, 4, 2, 2, 128)
    assert model.layers[-1].name == "res5_block2_relu"


def test_a_clip_smaller_than_the_window_is_refused():
    with pytest.raises(ValueError, match="at least as large as a training"):
        outline("c2d_r50", head="fully_convolutional")


@tensorflow_only
@pytest.mark.parametrize("head", models.resnet3d.HEADS)
def test_everything_but_the_channels_may_be_unknown(head):
    model = tiny(
        "c2d_nl1_r50",
        clip_shape=(None, None, None, 3),
        head=head,
        crop_px=64,
        outputs="logits" if head == "none" else "probabilities",
    )
    y = model(normal((2, 8, 70, 96, 3)), training=False)
    assert tuple(y.shape)[0] == 2
    assert np.isfinite(np.asarray(y)).all()


def test_sums_are_float32_under_every_policy():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = outline("c2d_r50")
    finally:
        keras.config.set_dtype_policy("float32")
    dtypes = {x.name: x.compute_dtype for x in model.layers}
    assert dtypes["res5_block2_conv3"] == "bfloat16"
    assert dtypes["pool5"] == dtypes["logits"] == "float32"


def grouped_bottleneck(conv_groups):
    """Of images with 7 channels: 6 within, 12 at the end, stride 2."""
    inputs = keras.Input((5, 9, 7))
    style = Style(rank=2, norm="affine", conv_groups=conv_groups, expansion=2)
    x = bottleneck(inputs, 6, 1, 2, style, "block")
    model = keras.Model(inputs, x)
    for number, weight in enumerate(model.weights):
        weight.assign(normal(weight.shape, number))
    return model


def loops(x, kernel, groups, stride):
    """A padded convolution, an output of a group at a time, in float64."""
    size, _, each, fan_out = kernel.shape
    pad = size // 2
    x = np.pad(x.astype("float64"), [(0, 0), (pad, pad), (pad, pad), (0, 0)])
    high, wide = ((n - size) // stride + 1 for n in x.shape[1:3])
    y = np.zeros((len(x), high, wide, fan_out))
    for i, j, o in np.ndindex(high, wide, fan_out):
        first = o // (fan_out // groups) * each
        rows = slice(i * stride, i * stride + size)
        columns = slice(j * stride, j * stride + size)
        seen = x[:, rows, columns, first : first + each]
        y[:, i, j, o] = np.sum(seen * kernel[..., o], axis=(1, 2, 3))
    return y


@tensorflow_only
@pytest.mark.parametrize("groups", [1, 3])
def test_the_second_convolution_of_a_bottleneck_is_in_groups(groups):
    model = grouped_bottleneck(groups)
    x = normal((2, 5, 9, 7))

    def norm(x, name, groups=1, stride=1):
        kernel = model.get_layer(f"block_{name}").kernel.numpy()
        gamma, beta = model.get_layer(f"block_{name}_affine").get_weights()
        return loops(x, kernel, groups, stride) * gamma + beta

    y = np.maximum(norm(x, "conv1"), 0)
    y = np.maximum(norm(y, "conv2", groups, stride=2), 0)
    y = norm(y, "conv3") + norm(x, "shortcut", stride=2)
    expected = np.maximum(y, 0)
    assert expected.shape == (2, 3, 5, 12)
    # float32 sums of up to 54 products, three in a row.
    close = 1e-5 * expected.max()
    np.testing.assert_allclose(model(x), expected, rtol=0, atol=close)


def test_groups_have_their_channels_of_the_kernel():
    model = grouped_bottleneck(3)
    assert model.get_layer("block_conv2").kernel.shape == (3, 3, 2, 6)
    assert model.get_layer("block_conv3").kernel.shape == (1, 1, 6, 12)


@pytest.mark.parametrize("name", ["conv_groups", "expansion"])
@pytest.mark.parametrize("value", [0, 2.0, None])
def test_a_style_of_no_groups_is_refused(name, value):
    message = f"Expected `{name}` to be an integer.*Received: {name}={value}"
    with pytest.raises(ValueError, match=message):
        Style(**{name: value})
