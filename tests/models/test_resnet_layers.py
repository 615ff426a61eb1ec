"""Residual blocks: groups of convolutions, and options of a network."""

import keras
import numpy as np
import pytest

from nonlocal_tf.models.resnet_layers import Style, bottleneck
from tests.harness import normal
from tests.layers.blocks import tensorflow_only


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
