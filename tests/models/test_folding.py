import keras
import numpy as np
import pytest

from nonlocal_tf.layers import Affine, BatchNormalization, Conv3D
from nonlocal_tf.models import fold
from tests import harness
from tests.harness import array, normal
from tests.layers.blocks import tensorflow_only
from tests.models.tiny import shallow

AFFINE = {"norm": "affine", "zero_init_residual": None, "nonlocal_block": {}}


@tensorflow_only  # JAX compiles each operation: there the chains below
@pytest.mark.parametrize(
    ("backbone", "options"), [("i3d", {}), ("i3d", AFFINE), ("image", {})]
)
def test_folded_network_has_equal_outputs_without_norms(backbone, options):
    model = shallow(backbone, (1, 2, 1, 1), **options)
    harness.randomise(model, 0.2)
    folded = fold(model)
    kinds = (BatchNormalization, Affine, keras.layers.BatchNormalization)
    assert not any(isinstance(layer, kinds) for layer in folded.layers)
    x = normal((2, *model.input_shape[1:]))
    expected = array(model(x, training=False))
    y = array(folded(x, training=False))
    # The same sums, scaled before instead of after, in eighteen layers.
    np.testing.assert_allclose(y, expected, atol=1e-5 * np.abs(expected).max())
    assert folded.name == model.name


@tensorflow_only
def test_fold_does_not_change_the_model():
    model = shallow("c2d")
    x = normal((2, *model.input_shape[1:]))
    before = array(model(x, training=False))
    fold(model)
    np.testing.assert_array_equal(array(model(x, training=False)), before)
    assert model.get_layer("pool1").output.shape[-1] == 4  # still used once


@tensorflow_only
def test_folded_model_is_saved(tmp_path):
    model = fold(shallow("c2d"))
    x = normal((2, *model.input_shape[1:]))
    harness.check_saving(model, x, tmp_path)


def chain(*layers, also=None):
    """Build a model of consecutive layers, with the output of `also`."""
    inputs = keras.Input((2, 5, 5, 3))
    x, outputs = inputs, []
    for layer in layers:
        x = layer(x)
        if layer is also:
            outputs.append(x)
    return keras.Model(inputs, [*outputs, x])


def test_convolution_with_another_consumer_is_not_folded():
    conv = Conv3D(4, 1, use_bias=False)
    model = chain(conv, BatchNormalization(), also=conv)
    harness.randomise(model)
    x = normal((2, 2, 5, 5, 3))
    for y, expected in zip(fold(model)(x), model(x), strict=True):
        np.testing.assert_array_equal(array(y), array(expected))


@pytest.mark.parametrize(
    "relu",
    [
        keras.layers.ReLU(max_value=0.1),
        keras.layers.ReLU(negative_slope=0.5),
        keras.layers.ReLU(threshold=0.5),
    ],
)
def test_other_kinds_of_relu_are_not_folded(relu):
    model = chain(Conv3D(4, 1), BatchNormalization(), relu)
    harness.randomise(model)
    x = normal((2, 2, 5, 5, 3))
    np.testing.assert_allclose(
        array(fold(model)(x)), array(model(x)), atol=1e-6
    )


def test_grouped_kernels_are_folded():
    model = chain(Conv3D(12, 3, groups=3), BatchNormalization())
    harness.randomise(model)
    x = normal((2, 2, 5, 5, 3))
    folded = fold(model)
    np.testing.assert_allclose(array(folded(x)), array(model(x)), atol=1e-6)
    assert [layer.groups for layer in folded.layers[1:]] == [3]


def test_own_bias_and_activation_are_kept():
    model = chain(
        Conv3D(4, 1),
        BatchNormalization(),
        Conv3D(5, 1, activation="tanh"),
        BatchNormalization(),
    )
    harness.randomise(model)
    x = normal((2, 2, 5, 5, 3))
    np.testing.assert_allclose(
        array(fold(model)(x)), array(model(x)), atol=1e-6
    )


def test_nested_and_sequential_models_are_folded():
    def convolution(name):
        layers = [Conv3D(4, 1), BatchNormalization(), keras.layers.ReLU()]
        return keras.Sequential(layers, name=name)

    inputs = keras.Input((2, 5, 5, 3))
    twice = keras.Sequential([convolution("a"), convolution("b")], name="twice")
    model = keras.Model(inputs, twice(inputs))
    harness.randomise(model)
    x = normal((2, 2, 5, 5, 3))
    folded = fold(model)
    np.testing.assert_allclose(array(folded(x)), array(model(x)), atol=1e-6)
    parts = folded.get_layer("twice").layers
    assert [len(part.layers) for part in parts] == [1, 1]
