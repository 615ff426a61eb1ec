"""The builder: sizes, names, padding, heads.

What takes a network's values is for TensorFlow alone: JAX compiles each
operation of each shape, and tests/models/test_registry.py runs one there.
"""

import keras
import numpy as np
import pytest

from nonlocal_tf import models
from nonlocal_tf.layers import Affine, NonLocalBlock
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
