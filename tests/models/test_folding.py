import warnings

import keras
import numpy as np
import pytest

from nonlocal_tf.layers import Affine, BatchNormalization, Conv2D, Conv3D
from nonlocal_tf.models import fold
from tests import harness
from tests.harness import array, normal
from tests.layers.blocks import tensorflow_only
from tests.models import nested_models
from tests.models.tiny import shallow

AFFINE = {"norm": "affine", "zero_init_residual": None, "nonlocal_block": {}}


def outputs(model, x):
    return keras.ops.convert_to_numpy(model(x, training=False))


def norms(model):
    kinds = (BatchNormalization, Affine, keras.layers.BatchNormalization)
    return [x for x in model._flatten_layers() if isinstance(x, kinds)]


@tensorflow_only  # JAX compiles each operation: there the chains below
@pytest.mark.parametrize(
    ("backbone", "options"), [("i3d", {}), ("i3d", AFFINE), ("image", {})]
)
def test_folded_network_has_equal_outputs_without_norms(backbone, options):
    model = shallow(backbone, (1, 2, 1, 1), **options)
    harness.randomise(model, 0.2)
    folded = fold(model)
    assert not norms(folded)
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


@pytest.mark.parametrize("form", nested_models.FORMS, ids=lambda f: f.__name__)
def test_network_inside_a_model_is_folded(form):
    nested = nested_models.build(form)
    x = normal((2, *nested.shape))
    expected = outputs(nested.model, x)
    folded = fold(nested.model)
    assert not norms(folded)
    # Products of the same sums of at most 36 terms, scaled before the sum.
    np.testing.assert_allclose(outputs(folded, x), expected, atol=1e-5)
    np.testing.assert_array_equal(outputs(nested.model, x), expected)


def test_fold_leaves_no_trace_in_a_subclassed_model():
    model = nested_models.subclassed_in_functional().model
    nodes = [len(layer._inbound_nodes) for layer in model._flatten_layers()]
    fold(model)
    assert nodes == [
        len(layer._inbound_nodes) for layer in model._flatten_layers()
    ]


@tensorflow_only
def test_folded_subclassed_model_is_saved(tmp_path):
    folded = fold(nested_models.build(nested_models.subclassed).model)
    harness.check_saving(folded, normal((2, *nested_models.IMAGE)), tmp_path)


def test_shared_network_is_folded_once():
    nested = nested_models.called_twice()
    folded = fold(nested.model)
    networks = [layer for layer in folded.layers if layer.name == "network"]
    assert len(networks) == 1
    assert len(folded.weights) == len(fold(nested.network).weights) + 2


def test_layers_in_frames_are_folded_into_each_other():
    frames = keras.layers.TimeDistributed
    model = chain(
        frames(Conv2D(4, 1)),
        frames(BatchNormalization()),
        keras.layers.ReLU(),
    )
    harness.randomise(model)
    x = normal((2, 2, 5, 5, 3))
    folded = fold(model)
    np.testing.assert_allclose(outputs(folded, x), outputs(model, x), atol=1e-5)
    assert len(folded.layers) == 2


class Doubled(BatchNormalization):
    def call(self, x, training=None):
        return 2 * super().call(x, training=training)


class Clipped(Conv2D):
    def call(self, x):
        return keras.ops.clip(super().call(x), -0.1, 0.1)


@pytest.mark.parametrize(
    ("conv", "norm"),
    [
        (Conv2D(5, 1), keras.layers.BatchNormalization(axis=1)),
        (Conv2D(5, 1), Doubled()),
        (Clipped(5, 1), BatchNormalization()),
    ],
    ids=["another axis", "own normalization", "own convolution"],
)
def test_layers_that_do_not_scale_channels_are_kept(conv, norm):
    inputs = keras.Input((5, 5, 3))
    model = keras.Model(inputs, norm(conv(inputs)))
    harness.randomise(model)
    x = normal((2, 5, 5, 3))
    np.testing.assert_allclose(
        outputs(fold(model), x), outputs(model, x), atol=1e-5
    )


def test_normalization_that_is_called_twice_is_kept():
    inputs = keras.Input((5, 5, 3))
    norm = BatchNormalization()
    model = keras.Model(inputs, norm(norm(Conv2D(4, 1)(inputs))))
    harness.randomise(model)
    x = normal((2, 5, 5, 3))
    np.testing.assert_allclose(
        outputs(fold(model), x), outputs(model, x), atol=1e-5
    )


def test_consumers_in_other_models_do_not_count():
    inputs = keras.Input((5, 5, 3))
    x = Conv2D(4, 1)(inputs)
    model = keras.Model(inputs, BatchNormalization()(x))
    keras.Model(inputs, keras.layers.ReLU()(x))
    assert not norms(fold(model))


def test_layer_that_cannot_be_folded_is_named():
    inputs, inner = keras.Input(nested_models.IMAGE), nested_models.network()
    layer = Copyable(inner, name="branch")
    model = keras.Model(inputs, layer(inputs))
    harness.randomise(model)
    x = normal((2, *nested_models.IMAGE))
    with pytest.warns(UserWarning, match="Not folded: .*'branch'"):
        folded = fold(model)
    np.testing.assert_array_equal(outputs(folded, x), outputs(model, x))


class Copyable(nested_models.Untraceable):
    """Layer whose configuration has its network."""

    def get_config(self):
        network = keras.saving.serialize_keras_object(self.network)
        return {**super().get_config(), "network": network}

    @classmethod
    def from_config(cls, config):
        network = keras.saving.deserialize_keras_object(config.pop("network"))
        return cls(network, **config)


def test_weights_of_a_layer_itself_are_not_lost():
    class Scaled(Copyable):
        def build(self, shape):
            self.factor = self.add_weight(shape=(6,), name="factor")

        def call(self, x):
            return self.network(x) * self.factor

    inputs, inner = keras.Input(nested_models.IMAGE), nested_models.network()
    model = keras.Model(inputs, Scaled(inner, name="branch")(inputs))
    harness.randomise(model)
    with pytest.warns(UserWarning, match="Not folded: .*factor"):
        folded = fold(model)
    assert len(folded.weights) == len(model.weights)


@tensorflow_only
def test_quantized_model_is_refused():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
    quantized = fold(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # InputLayer is not quantized
        quantized.quantize("int8")
    with pytest.raises(ValueError, match="not quantized.*Fold it first.*int8"):
        fold(quantized)


def test_model_with_a_loss_that_is_not_serializable_is_folded():
    model = chain(Conv3D(4, 1), BatchNormalization())
    model.compile(loss=lambda y, p: 0.0)
    assert not norms(fold(model))


def test_class_of_a_functional_model_is_kept():
    class Own(keras.Model):
        pass

    inputs = keras.Input((5, 5, 3))
    assert type(fold(Own(inputs, Conv2D(4, 1)(inputs)))) is Own


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
        array(fold(model)(x)), array(model(x)), atol=1e-5
    )


def test_grouped_kernels_are_folded():
    model = chain(Conv3D(12, 3, groups=3), BatchNormalization())
    harness.randomise(model)
    x = normal((2, 2, 5, 5, 3))
    folded = fold(model)
    np.testing.assert_allclose(array(folded(x)), array(model(x)), atol=1e-5)
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
        array(fold(model)(x)), array(model(x)), atol=1e-5
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
    np.testing.assert_allclose(array(folded(x)), array(model(x)), atol=1e-5)
    parts = folded.get_layer("twice").layers
    assert [len(part.layers) for part in parts] == [1, 1]
