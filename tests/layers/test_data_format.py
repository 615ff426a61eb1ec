"""Keras' setting of channels first, which is refused."""

import keras
import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf.layers import Conv2D, Conv3D, MaxPool, NonLocalBlock
from tests.harness import array, normal

refuses = pytest.raises(ValueError, match=r"channels last.*Permute")


@pytest.fixture
def channels_first():
    """Set channels first during a test."""
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format(before)


@pytest.mark.parametrize("shape", [(2, 6, 7), (2, 6, 5, 3), (2, 6, 3, 5, 2)])
def test_block_refuses_channels_first(shape, channels_first):
    with refuses:
        NonLocalBlock()(normal(shape))


@pytest.mark.parametrize(
    ("make", "rank"),
    [
        (lambda: Conv2D(5, 3), 4),
        (lambda: Conv3D(5, 3), 5),
        (lambda: MaxPool((2, 2)), 4),
    ],
)
def test_layers_refuse_channels_first(make, rank, channels_first):
    with refuses:
        make()(normal((2, *range(6, 5 + rank))))


@pytest.mark.parametrize("name", ["image_small", "c2d_nl1_small", "image_r50"])
def test_networks_refuse_channels_first(name, channels_first):
    with refuses:
        nl.create_model(name)


def test_inserting_blocks_refuses_channels_first(channels_first):
    model = keras.Sequential(
        [keras.Input((6, 5, 3)), keras.layers.ReLU(name="relu")]
    )
    with refuses:
        nl.insert_blocks(model, after="relu")


def test_a_built_block_keeps_its_axis(channels_first):
    keras.config.set_image_data_format("channels_last")
    block = NonLocalBlock("dot_product", gamma_init=1.0)
    x = normal((2, 5, 3, 6))
    before = array(block(x))
    keras.config.set_image_data_format("channels_first")
    np.testing.assert_array_equal(array(block(x)), before)


def test_permuted_channels_equal_channels_last():
    """The advice of the error."""
    block = NonLocalBlock("dot_product", gamma_init=1.0)
    x = normal((2, 5, 3, 6))
    before, after = (
        keras.layers.Permute(axes) for axes in ((2, 3, 1), (3, 1, 2))
    )
    y = after(block(before(x.transpose(0, 3, 1, 2))))
    np.testing.assert_array_equal(
        array(y).transpose(0, 2, 3, 1), array(block(x))
    )
