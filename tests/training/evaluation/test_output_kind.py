import keras
import pytest
from keras import layers, ops

from training.evaluation import output_kind

SIZES = (2, 3, 5, 7)


def model_with(*last_layers):
    """Build a model of clips that ends with some layers or functions."""
    inputs = keras.Input(SIZES)
    x = layers.Conv3D(5, 1, activation="relu")(inputs)
    for layer in last_layers:
        x = layer(x)
    return keras.Model(inputs, x)


class Subclass(keras.Model):
    def call(self, x):
        return x


@pytest.mark.parametrize(
    ("last_layers", "is_logits"),
    [
        ([layers.Dense(3)], True),
        ([layers.Dense(3), layers.GlobalAveragePooling3D()], True),
        ([layers.Dense(3), layers.Activation("linear", dtype="float32")], True),
        ([keras.Sequential([layers.Dense(3), layers.Dropout(0.5)])], True),
        ([layers.TimeDistributed(layers.Dense(3))], True),
        ([layers.Dense(3, activation="softmax")], False),
        ([layers.Dense(3, activation="sigmoid"), layers.Flatten()], False),
        ([layers.Dense(3), layers.Softmax()], False),
        ([layers.Dense(3), layers.Activation("softmax")], False),
        ([layers.Dense(3), lambda x: ops.mean(ops.softmax(x), 1)], False),
        ([keras.Sequential([layers.Dense(3, "softmax")])], False),
    ],
)
def test_last_operation_tells_the_kind(last_layers, is_logits):
    assert output_kind.outputs_logits(model_with(*last_layers)) == is_logits


@pytest.mark.parametrize(
    ("loss", "is_logits"),
    [
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True), True),
        (keras.losses.CategoricalCrossentropy(), False),
        ("sparse_categorical_crossentropy", False),
    ],
)
def test_loss_tells_the_kind_of_other_models(loss, is_logits):
    model = Subclass()
    model.compile(loss=loss)
    assert output_kind.outputs_logits(model) == is_logits


def test_unbuilt_model_is_told_as_such():
    with pytest.raises(ValueError, match="not. Give it a keras.Input"):
        output_kind.outputs_logits(keras.Sequential([layers.Dense(3)]))


@pytest.mark.parametrize(
    "model",
    [model_with(layers.Dense(3, activation="relu")), Subclass()],
    ids=["relu", "subclass"],
)
def test_unknown_kind_is_an_error(model):
    with pytest.raises(ValueError, match="Give from_logits=True"):
        output_kind.outputs_logits(model)
