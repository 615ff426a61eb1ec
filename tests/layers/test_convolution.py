import keras
import numpy as np
import pytest

from nonlocal_tf.layers import Conv2D, Conv3D
from tests import harness
from tests.harness import array, normal


@pytest.mark.parametrize("kernel", [(1, 3, 3), (3, 1, 1)])
def test_conv3d_as_a_layer(kernel):
    harness.check_layer(
        lambda **options: Conv3D(5, kernel, **options), (2, 4, 7, 6, 5)
    )


def test_grouped_conv2d_as_a_layer():
    harness.check_layer(
        lambda **options: Conv2D(6, 3, groups=3, **options), (2, 7, 5, 6)
    )


def test_grouped_kernel_has_the_channels_of_a_group():
    layer = Conv2D(15, 3, groups=3)
    layer.build((None, 7, 5, 6))
    assert tuple(layer.kernel.shape) == (3, 3, 2, 15)


@pytest.mark.parametrize(
    ("strides", "expected"),
    [((1, 2, 2), (2, 4, 4, 3, 5)), (2, (2, 2, 4, 3, 5))],
)
def test_strides_halve_and_round_up(strides, expected):
    layer = Conv3D(5, 3, strides)
    assert layer.compute_output_shape((2, 4, 7, 6, 3)) == expected
    assert tuple(layer(normal((2, 4, 7, 6, 3))).shape) == expected


def test_value_equals_keras_on_a_padded_input():
    x = normal((2, 4, 8, 6, 3))
    ours = Conv3D(5, (3, 3, 3), strides=(1, 2, 2))
    keras_own = keras.layers.Conv3D(5, (3, 3, 3), strides=(1, 2, 2))
    y = ours(x)
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (1, 1), (0, 0)])
    keras_own.build(padded.shape)
    keras_own.set_weights(ours.get_weights())
    # Sums of 81 products in another order.
    np.testing.assert_allclose(
        array(y), array(keras_own(padded)), rtol=1e-5, atol=1e-6
    )


def test_conv2d_equals_conv3d_of_one_frame():
    x = normal((2, 7, 6, 3))
    image, clip = Conv2D(5, 3, strides=2), Conv3D(5, (1, 3, 3), (1, 2, 2))
    y = array(image(x))
    clip.build((2, 1, 7, 6, 3))
    kernel, bias = image.get_weights()
    clip.set_weights([kernel[None], bias])
    np.testing.assert_allclose(
        array(clip(x[:, None]))[:, 0], y, rtol=1e-5, atol=1e-6
    )


def test_kernel_has_all_axes():
    layer = Conv3D(5, (1, 3, 3))
    layer.build((None, 4, 7, 6, 2))
    assert tuple(layer.kernel.shape) == (1, 3, 3, 2, 5)


def test_saving(tmp_path):
    x = normal((2, 4, 7, 6, 3))
    inputs = keras.Input((None, None, None, 3))
    model = keras.Model(inputs, Conv3D(5, (3, 1, 1), padding=(1, 2, 0))(inputs))
    harness.check_saving(model, x, tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel_size": (2, 3, 3)}, "even size needs"),
        ({"padding": (1, 1)}, "3 integers"),
        ({"padding": (1, -1, 0)}, "3 integers"),
        ({"groups": 2}, "divisible by the number of groups"),
        ({"dilation_rate": 2}, "no dilation"),
        ({"data_format": "channels_first"}, "channels last"),
    ],
)
def test_unsupported_options_are_errors(options, message):
    with pytest.raises(ValueError, match=message):
        Conv3D(**{"filters": 5, "kernel_size": 3, **options})


def test_input_smaller_than_the_kernel_is_an_error():
    with pytest.raises(ValueError, match="at least as large as the window"):
        Conv3D(5, (1, 7, 7), padding=0)(normal((1, 2, 6, 8, 3)))
