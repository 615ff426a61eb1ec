"""Backbones: weights, groups of ResNeXts, and non-local blocks."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from nonlocal_tf.detection.backbone import build_backbone
from nonlocal_tf.detection.config import X152_32X8D, DetectorConfig
from nonlocal_tf.layers import PAIRWISE
from tests.detection import tiny_detectors
from tests.harness import normal
from tests.models.tiny import without_weights

# Three groups of 4 channels in res2, which ends with 24.
SMALL = {
    "layers": (1, 1, 2, 1),
    "width": 6,
    "groups": 3,
    "group_width": 4,
    "fpn_channels": 5,
}
IMAGES = (1, 64, 96, 3)


def small(**options):
    return build_backbone(DetectorConfig(**SMALL, **options))


def count_resnet_params(layers, groups, group_width):
    """Count kernels, and a scale and a shift of each channel, of table 1."""
    total, inputs = 7 * 7 * 3 * 64 + 2 * 64, 64
    for stage, count in enumerate(layers):
        inner, outputs = groups * group_width * 2**stage, 256 * 2**stage
        total += inputs * outputs + 2 * outputs  # the shortcut
        for _ in range(count):
            total += inputs * inner + 2 * inner
            total += 3 * 3 * (inner // groups) * inner + 2 * inner
            total += inner * outputs + 2 * outputs
            inputs = outputs
    return total


def copy_weights(source, target):
    """Copy weights to layers of the same names."""
    for weight in source.weights:
        layer, role = weight.path.split("/")[-2:]
        getattr(target.get_layer(layer), role).assign(weight)


def test_formula_counts_the_weights_of_torchvisions_resnext101():
    # torchvision's number for resnext101_32x8d, without the classifier.
    expected = 88_791_336 - (2048 * 1000 + 1000)
    assert count_resnet_params((3, 4, 23, 3), 32, 8) == expected


@pytest.mark.slow
def test_x152_has_as_many_weights_as_its_table():
    with without_weights():
        model = build_backbone(DetectorConfig(**X152_32X8D))
    count = sum(
        int(np.prod(weight.shape))
        for weight in model.weights
        if weight.path.startswith(("conv1", "res"))
    )
    assert count == count_resnet_params((3, 8, 36, 3), 32, 8) == 120_323_392
    for stage, inner in zip((2, 3, 4, 5), (256, 512, 1024, 2048), strict=True):
        kernel = model.get_layer(f"res{stage}_block1_conv2").kernel
        assert kernel.shape == (3, 3, inner // 32, inner)


@pytest.mark.slow
def test_the_block_of_x152_is_between_blocks_34_and_35():
    config = DetectorConfig(**X152_32X8D, nonlocal_block={})
    with without_weights():
        model = build_backbone(config)
    (block,) = (x for x in model.layers if x.name.endswith("_nonlocal"))
    assert block.name == "res4_block34_nonlocal"
    assert block.input.shape[-1] == 1024
    assert block.theta.units == 512
    following = model.get_layer("res4_block35_conv1")
    assert following.input is block.output


def test_the_grouped_convolution_has_the_stride():
    model = small()
    conv1, conv2 = (model.get_layer(f"res3_block0_conv{i}") for i in (1, 2))
    assert (conv1.strides, conv2.strides) == ((1, 1), (2, 2))
    assert (conv1.groups, conv2.groups) == (1, 3)
    assert conv2.kernel.shape == (3, 3, 8, 24)


def test_weight_paths_of_a_resnext_equal_those_of_a_resnet():
    options = {k: v for k, v in SMALL.items() if "group" not in k}
    plain = build_backbone(DetectorConfig(**options))
    assert [w.path for w in small().weights] == [w.path for w in plain.weights]


def test_a_new_block_keeps_the_maps_of_a_resnext_bit_equal():
    x = normal(IMAGES)
    plain, model = small(), small(nonlocal_block={})
    copy_weights(plain, model)
    assert "res4_block0_nonlocal" in {layer.name for layer in model.layers}
    for actual, expected in zip(model(x), plain(x), strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("pairwise", sorted(PAIRWISE))
def test_a_new_block_keeps_all_maps_bit_equal(pairwise):
    name = "tiny_mask_rcnn"
    x, _ = tiny_detectors.inputs(name)
    plain = tiny_detectors.detector(name).pyramid
    block = {"pairwise": pairwise}
    config = tiny_detectors.config_of(name, nonlocal_block=block)
    model = build_backbone(config)
    copy_weights(plain, model)
    for actual, expected in zip(model(x), plain(x), strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(
    ("layers", "number"),
    [((3, 4, 6, 3), 4), ((3, 4, 23, 3), 21), ((3, 8, 36, 3), 34)],
)
def test_the_block_precedes_the_last_residual_block_of_res4(layers, number):
    config = tiny_detectors.config_of("tiny_mask_rcnn", nonlocal_block={})
    config = dataclasses.replace(config, layers=layers)
    names = [layer.name for layer in build_backbone(config).layers]
    (block,) = (n for n in names if n.endswith("_nonlocal"))
    assert block == f"res4_block{number}_nonlocal"
    following = names[names.index(block) :]
    assert f"res4_block{number + 1}_conv1" in following
    assert f"res4_block{number + 2}_conv1" not in names


def test_the_block_of_res4_has_as_many_weights_as_in_the_paper():
    config = tiny_detectors.config_of("tiny_mask_rcnn")
    plain = dataclasses.replace(config, layers=(1, 1, 2, 1), width=64)
    with_block = dataclasses.replace(plain, nonlocal_block={})
    count = build_backbone(with_block).count_params()
    count -= build_backbone(plain).count_params()
    # 1024 to 512 three times and back, with biases, and a scale and a shift.
    assert count == 3 * (1024 * 512 + 512) + 512 * 1024 + 3 * 1024
    assert count == 2_101_760


def test_invalid_places_of_stride_and_block_are_rejected():
    with pytest.raises(ValueError, match="stride_on"):
        tiny_detectors.config_of("tiny_mask_rcnn", stride_on="5x5")
    with pytest.raises(ValueError, match="last residual block of res4"):
        tiny_detectors.config_of("tiny_keypoint_rcnn", nonlocal_block={})


def test_all_groups_get_a_gradient_in_a_graph():
    model, x = small(), normal(IMAGES)
    kernels = [
        model.get_layer(f"{block}_conv2").kernel
        for block in ("res2_block0", "res3_block0", "res5_block0")
    ]

    # Sizes are unknown: a training step takes images of any size.
    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3))])
    def gradients(images):
        with tf.GradientTape() as tape:
            loss = sum(tf.reduce_mean(m**2) for m in model(images))
        return tape.gradient(loss, [kernel.value for kernel in kernels])

    for kernel, gradient in zip(kernels, gradients(x), strict=True):
        assert gradient.shape == kernel.shape
        groups = np.split(gradient.numpy(), 3, axis=-1)
        assert all(np.abs(group).max() > 0 for group in groups)
