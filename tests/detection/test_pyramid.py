"""Trunks in groups: ResNeXts."""

import numpy as np
import pytest
import tensorflow as tf

from nonlocal_tf.detection.config import X152_32X8D, DetectorConfig
from nonlocal_tf.detection.pyramid import build_pyramid
from tests.harness import normal

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
    return build_pyramid(DetectorConfig(**SMALL, **options))


def trunk_parameters(layers, groups, group_width):
    """Kernels, and two numbers a channel for each affine, as in table 1."""
    total, before = 7 * 7 * 3 * 64 + 2 * 64, 64
    for stage, count in enumerate(layers):
        inner, after = groups * group_width * 2**stage, 256 * 2**stage
        total += before * after + 2 * after  # the shortcut
        for _ in range(count):
            total += before * inner + 2 * inner
            total += 3 * 3 * (inner // groups) * inner + 2 * inner
            total += inner * after + 2 * after
            before = after
    return total


def test_the_formula_gives_torchvisions_resnext101():
    # As torchvision states them for resnext101_32x8d; a linear map ends it.
    of_trunk = 88_791_336 - (2048 * 1000 + 1000)
    assert trunk_parameters((3, 4, 23, 3), 32, 8) == of_trunk


@pytest.mark.slow
def test_x152_has_the_weights_of_its_table():
    model = build_pyramid(DetectorConfig(**X152_32X8D))
    found = sum(
        int(np.prod(weight.shape))
        for weight in model.weights
        if weight.path.startswith(("conv1", "res"))
    )
    assert found == trunk_parameters((3, 8, 36, 3), 32, 8) == 120_323_392
    for stage, inner in zip((2, 3, 4, 5), (256, 512, 1024, 2048), strict=True):
        kernel = model.get_layer(f"res{stage}_block1_conv2").kernel
        assert kernel.shape == (3, 3, inner // 32, inner)


@pytest.mark.slow
def test_the_block_of_x152_is_between_34_and_35():
    config = DetectorConfig(**X152_32X8D, nonlocal_block={})
    model = build_pyramid(config)
    (block,) = (x for x in model.layers if x.name.endswith("_nonlocal"))
    assert block.name == "res4_block34_nonlocal"
    assert block.input.shape[-1] == 1024
    assert block.theta.units == 512
    follows = model.get_layer("res4_block35_conv1")
    assert follows.input is block.output


def test_the_stride_is_in_the_convolution_in_groups():
    model = small()
    conv1, conv2 = (model.get_layer(f"res3_block0_conv{i}") for i in (1, 2))
    assert (conv1.strides, conv2.strides) == ((1, 1), (2, 2))
    assert (conv1.groups, conv2.groups) == (1, 3)
    assert conv2.kernel.shape == (3, 3, 8, 24)


def test_weight_paths_are_those_of_a_resnet():
    options = {k: v for k, v in SMALL.items() if "group" not in k}
    plain = build_pyramid(DetectorConfig(**options))
    assert [w.path for w in small().weights] == [w.path for w in plain.weights]


def test_a_new_block_leaves_all_maps_of_groups_bit_equal():
    x = normal(IMAGES)
    plain, model = small(), small(nonlocal_block={})
    for weight in plain.weights:
        layer, role = weight.path.split("/")
        getattr(model.get_layer(layer), role).assign(weight)
    assert "res4_block0_nonlocal" in {layer.name for layer in model.layers}
    for got, expected in zip(model(x), plain(x), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_gradient_reaches_all_groups_in_a_graph():
    model, x = small(), normal(IMAGES)
    kernels = [
        model.get_layer(f"{block}_conv2").kernel
        for block in ("res2_block0", "res3_block0", "res5_block0")
    ]

    # Sizes unknown, as images of any size come to a training step.
    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3))])
    def gradients(images):
        with tf.GradientTape() as tape:
            loss = sum(tf.reduce_mean(m**2) for m in model(images))
        return tape.gradient(loss, [kernel.value for kernel in kernels])

    for kernel, gradient in zip(kernels, gradients(x), strict=True):
        assert gradient.shape == kernel.shape
        of_groups = np.split(gradient.numpy(), 3, axis=-1)
        assert all(np.abs(group).max() > 0 for group in of_groups)
