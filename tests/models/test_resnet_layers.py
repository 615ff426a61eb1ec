"""Residual blocks: groups of convolutions, and options of a network."""

import keras
import numpy as np
import pytest

from nonlocal_tf.models.resnet_layers import Style, bottleneck
from tests.harness import normal
from tests.layers.blocks import tensorflow_only

pytestmark = tensorflow_only


def grouped_bottleneck(conv_groups):
    """Build a block on images: 7 channels to 6 to 12, with stride 2."""
    inputs = keras.Input((5, 9, 7))
    style = Style(rank=2, norm="affine", conv_groups=conv_groups, expansion=2)
    x = bottleneck(inputs, 6, 1, 2, style, "block")
    model = keras.Model(inputs, x)
    for number, weight in enumerate(model.weights):
        weight.assign(normal(weight.shape, number))
    return model


def convolution_by_loops(x, kernel, groups, stride):
    """Convolve with padding in float64, one output at a time."""
    size, _, group_channels, fan_out = kernel.shape
    pad = size // 2
    x = np.pad(x.astype("float64"), [(0, 0), (pad, pad), (pad, pad), (0, 0)])
    height, width = ((n - size) // stride + 1 for n in x.shape[1:3])
    y = np.zeros((len(x), height, width, fan_out))
    for i, j, o in np.ndindex(height, width, fan_out):
        first = o // (fan_out // groups) * group_channels
        rows = slice(i * stride, i * stride + size)
        columns = slice(j * stride, j * stride + size)
        window = x[:, rows, columns, first : first + group_channels]
        y[:, i, j, o] = np.sum(window * kernel[..., o], axis=(1, 2, 3))
    return y


@pytest.mark.parametrize("groups", [1, 3])
def test_grouped_bottleneck_equals_the_loops(groups):
    model = grouped_bottleneck(groups)
    x = normal((2, 5, 9, 7))

    def conv_affine(x, name, groups=1, stride=1):
        kernel = model.get_layer(f"block_{name}").kernel.numpy()
        gamma, beta = model.get_layer(f"block_{name}_affine").get_weights()
        return convolution_by_loops(x, kernel, groups, stride) * gamma + beta

    y = np.maximum(conv_affine(x, "conv1"), 0)
    y = np.maximum(conv_affine(y, "conv2", groups, stride=2), 0)
    y = conv_affine(y, "conv3") + conv_affine(x, "shortcut", stride=2)
    expected = np.maximum(y, 0)
    assert expected.shape == (2, 3, 5, 12)
    # float32 sums of up to 54 products, three in a row.
    tolerance = 1e-5 * expected.max()
    np.testing.assert_allclose(model(x), expected, rtol=0, atol=tolerance)


def test_only_the_3x3_kernel_is_grouped():
    model = grouped_bottleneck(3)
    assert model.get_layer("block_conv2").kernel.shape == (3, 3, 2, 6)
    assert model.get_layer("block_conv3").kernel.shape == (1, 1, 6, 12)


@pytest.mark.parametrize("name", ["conv_groups", "expansion"])
@pytest.mark.parametrize("value", [0, 2.0, None])
def test_invalid_groups_and_expansion_are_errors(name, value):
    message = f"Expected `{name}` to be an integer.*Received: {name}={value}"
    with pytest.raises(ValueError, match=message):
        Style(**{name: value})
