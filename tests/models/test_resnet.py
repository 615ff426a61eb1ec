"""Residual networks: sizes, names, initialization and precision.

Values are tested on TensorFlow: JAX compiles each operation of each shape, and
tests/models/test_registry.py runs a network there.
"""

import keras
import numpy as np
import pytest

from nonlocal_tf.layers import Affine, NonLocalBlock
from tests import harness
from tests.harness import array, normal
from tests.layers.blocks import tensorflow_only
from tests.models.tiny import shallow, shallow_outline

pytestmark = tensorflow_only
# Time, height and width of table 1 at 224 x 224, after each stage.
SIZES = {
    "8x8": [(8, 112), (8, 55), (8, 55), (4, 28), (4, 14), (4, 7)],
    "32x2": [(16, 112), (8, 55), (8, 55), (4, 28), (4, 14), (4, 7)],
    "32x4": [(32, 112), (32, 55), (32, 55), (16, 28), (16, 14), (16, 7)],
    "128x1": [(64, 112), (32, 55), (32, 55), (16, 28), (16, 14), (16, 7)],
}
STAGES = ("conv1", "pool1", *(f"res{i}_block0_relu" for i in (2, 3, 4, 5)))


@pytest.mark.parametrize("sampling", SIZES)
def test_feature_maps_have_the_papers_sizes(sampling):
    model = shallow_outline("i3d", sampling=sampling, clip_shape=None)
    shapes = [model.get_layer(s).output.shape[1:4] for s in STAGES]
    assert shapes == [(t, side, side) for t, side in SIZES[sampling]]


@pytest.mark.parametrize(
    ("sampling", "pool"), [("8x8", (1, 3, 3)), ("32x2", (2, 3, 3))]
)
def test_pool_of_the_authors_code(sampling, pool):
    model = shallow_outline("i3d", sampling=sampling, clip_shape=None)
    assert model.get_layer("pool1").pool_size == pool


def test_feature_maps_of_a_crop_of_256():
    model = shallow_outline("c2d", clip_shape=(8, 256, 256, 3))
    shapes = [model.get_layer(s).output.shape[2] for s in STAGES]
    assert shapes == [128, 63, 63, 32, 16, 8]


@pytest.mark.parametrize(
    ("stem", "expected"),
    [("slowfast", (8, 56, 56)), ("mmaction2", (2, 56, 56))],
)
def test_other_stems_pad_their_pool(stem, expected):
    model = shallow_outline("i3d", clip_shape=(8, 224, 224, 3), stem=stem)
    assert model.get_layer("pool1").output.shape[1:4] == expected


def test_weight_paths_are_an_interface(i3d_nl5_r50):
    paths = {weight.path for weight in i3d_nl5_r50.weights}
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
    assert len(paths) == 327  # as in the authors' file of this network


def test_first_blocks_of_stages_have_projection_shortcuts(i3d_nl5_r50):
    names = [layer.name for layer in i3d_nl5_r50.layers]
    shortcuts = [name for name in names if name.endswith("_shortcut")]
    assert shortcuts == [f"res{stage}_block0_shortcut" for stage in range(2, 6)]


def test_stride_is_on_the_3x3_convolution(i3d_nl5_r50):
    strides = [
        i3d_nl5_r50.get_layer(f"res3_block0_conv{i}").strides for i in (1, 2, 3)
    ]
    assert strides == [(1, 1, 1), (1, 2, 2), (1, 1, 1)]


@pytest.mark.parametrize(
    ("inflation", "kernels"),
    [
        ("3x1x1", [(3, 1, 1), (1, 3, 3), (1, 1, 1)]),
        ("3x3x3", [(1, 1, 1), (3, 3, 3), (1, 1, 1)]),
    ],
)
def test_inflated_convolution_of_every_second_block(inflation, kernels):
    model = shallow_outline("i3d", (1, 2, 1, 1), inflation=inflation)
    plain = [(1, 1, 1), (1, 3, 3), (1, 1, 1)]
    for block, expected in (("res3_block0", kernels), ("res3_block1", plain)):
        sizes = [
            model.get_layer(f"{block}_conv{i}").kernel_size for i in (1, 2, 3)
        ]
        assert sizes == expected


def test_initial_deviation_of_kernels_is_by_fan_out():
    kernel = shallow("c2d").get_layer("res5_block0_conv3").kernel
    *_, fan_in, fan_out = kernel.shape
    assert fan_out == 4 * fan_in
    # 4096 draws deviate by 1 %; fan_in would double the deviation.
    kernel = keras.ops.convert_to_numpy(kernel)
    assert kernel.std() == pytest.approx((2 / fan_out) ** 0.5, rel=0.2)


def test_residual_blocks_are_initialized_as_their_shortcuts():
    model = shallow("c2d", (1, 2, 1, 1), (), zero_init_residual=None)
    x = normal((1, *model.input_shape[1:]))
    names = ("res3_block0_relu", "res3_block1_relu")
    features = keras.Model(
        model.input, [model.get_layer(name).output for name in names]
    )
    before, after = features(x, training=False)
    np.testing.assert_array_equal(array(before), array(after))


def test_new_nonlocal_blocks_do_not_change_the_logits():
    plain = shallow("i3d", nonlocal_res3=())
    blocks = shallow("i3d", nonlocal_block={})
    for layer in plain.layers:
        blocks.get_layer(layer.name).set_weights(layer.get_weights())
    x = normal((2, *plain.input_shape[1:]))
    np.testing.assert_array_equal(
        array(plain(x, training=False)),
        array(blocks(x, training=False)),
    )


AFFINE = {"norm": "affine", "zero_init_residual": None}


def test_affine_networks_have_no_statistics():
    model = shallow_outline("i3d", **AFFINE, nonlocal_block={})
    assert Affine in {type(layer) for layer in model.layers}
    assert not any("moving" in weight.path for weight in model.weights)
    assert not any("gamma" in w.path for w in model.trainable_weights)
    blocks = [x for x in model.layers if isinstance(x, NonLocalBlock)]
    assert [block.norm for block in blocks] == ["none"]


def test_affine_networks_have_gradients_in_every_residual_block():
    model = shallow(
        "i3d", **AFFINE, nonlocal_block={"out_initializer": "he_normal"}
    )
    _, *gradients = harness.logits_and_gradients(
        model, normal((2, *model.input_shape[1:]))
    )
    weights = model.trainable_weights
    for weight, gradient in zip(weights, gradients, strict=True):
        # phi's bias adds the same to all logits of a softmax.
        if not weight.path.endswith("phi/bias"):
            assert np.abs(gradient).max() > 0, weight.path


@pytest.mark.parametrize(
    ("policy", "backbone"),
    [("mixed_bfloat16", "i3d"), ("mixed_float16", "c2d")],
)
def test_half_precision_trains_like_float32(policy, backbone):
    options = {"width": 8, "clip_shape": (4, 64, 64, 3)}
    wide = shallow(backbone, **options)
    keras.config.set_dtype_policy(policy)
    try:
        half = shallow(backbone, **options)
    finally:
        keras.config.set_dtype_policy("float32")
    half.set_weights(wide.get_weights())
    assert {w.dtype for w in half.weights if "seed" not in w.path} == {
        "float32"
    }
    x = normal((4, *wide.input_shape[1:]))
    (y, *gradients), (expected_y, *expected_gradients) = (
        harness.logits_and_gradients(m, x) for m in (half, wide)
    )
    actual, expected = (
        np.concatenate([np.ravel(g).astype("float64") for g in arrays])
        for arrays in (gradients, expected_gradients)
    )
    assert np.isfinite(actual).all()
    # The same direction after fifteen layers of 8 bits in both passes: over
    # inputs and processors logits are up to three degrees apart and gradients
    # up to 13.
    assert cosine(y, expected_y) > 0.996  # five degrees
    assert cosine(actual, expected) > 0.95  # 18 degrees


def cosine(a, b):
    return np.vdot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)
