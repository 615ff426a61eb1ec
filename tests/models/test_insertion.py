"""Blocks in trained networks: equal outputs, copies of layers and weights."""

import warnings

import keras
import numpy as np
import pytest

import nonlocal_tf as nl
from tests import harness
from tests.harness import normal
from tests.layers.blocks import tensorflow_only
from tests.models import nested_models


def outputs(model, x):
    return keras.ops.convert_to_numpy(model(x, training=False))


def blocks(model):
    return [x.name for x in model.layers if isinstance(x, nl.NonLocalBlock)]


def trained():
    """Return a small network on images with a nested, frozen backbone."""
    pixels = keras.Input((11, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(pixels)
    x = keras.layers.Add(name="sum")([keras.layers.ReLU()(x), x])
    backbone = keras.Model(pixels, x, name="backbone")
    backbone.trainable = False
    inputs = keras.Input((11, 8, 3))
    pool = keras.layers.GlobalAveragePooling2D(name="pool")
    x = pool(backbone(inputs, training=False))
    model = keras.Model(inputs, keras.layers.Dense(5, name="scores")(x))
    harness.randomise(model)
    return model


@tensorflow_only  # JAX compiles each operation: there the small network
def test_keras_application_keeps_its_outputs():
    application = keras.applications.MobileNetV2(
        (32, 32, 3), alpha=0.35, weights=None, classes=7
    )
    model = nl.insert_blocks(application, ["block_[35]_add", "out_relu"])
    assert blocks(model) == [
        "block_5_add_nonlocal",
        "out_relu_nonlocal",
    ]
    x = normal((2, 32, 32, 3))
    np.testing.assert_array_equal(outputs(model, x), outputs(application, x))


def test_block_goes_into_a_nested_model():
    model = trained()
    deeper = nl.insert_blocks(model, "backbone/sum", pairwise="dot_product")
    assert blocks(deeper.get_layer("backbone")) == ["sum_nonlocal"]
    x = normal((2, 11, 8, 3))
    expected = outputs(model, x)
    np.testing.assert_array_equal(outputs(deeper, x), expected)
    block = deeper.get_layer("backbone").get_layer("sum_nonlocal")
    harness.randomise(block)
    assert np.abs(outputs(deeper, x) - expected).max() > 0.01
    np.testing.assert_array_equal(outputs(model, x), expected)


@tensorflow_only
def test_model_with_blocks_is_saved(tmp_path):
    model = nl.insert_blocks(trained(), ["conv", "backbone"])
    harness.randomise(model)
    harness.check_saving(model, normal((2, 11, 8, 3)), tmp_path)


@tensorflow_only
@pytest.mark.parametrize("form", nested_models.FORMS, ids=lambda f: f.__name__)
def test_block_goes_into_a_network_inside_a_model(form):
    nested = nested_models.build(form)
    if not hasattr(nested.model, "inputs") or any(
        isinstance(layer, (nested_models.Classifier, nested_models.Branch))
        for layer in [nested.model, *nested.model.layers]
    ):
        with pytest.raises(ValueError, match="whose `call` is code: insert"):
            nl.insert_blocks(nested.model, "conv1_relu")
        return
    model = nl.insert_blocks(nested.model, "conv1_relu")
    x = normal((2, *nested.shape))
    np.testing.assert_array_equal(outputs(model, x), outputs(nested.model, x))
    (block,) = (
        layer
        for layer in model._flatten_layers()
        if layer.name == "conv1_relu_nonlocal"
    )
    harness.randomise(block)
    assert np.abs(outputs(model, x) - outputs(nested.model, x)).max() > 1e-3


def test_block_after_frames_relates_them():
    model = nested_models.in_frames().model
    deeper = nl.insert_blocks(model, "frames")
    assert deeper.get_layer("frames_nonlocal").input.shape[1:-1] == (3, 3, 2)


def test_frozen_layers_stay_frozen_and_blocks_train():
    model = nl.insert_blocks(trained(), ["sum"], norm="none")
    paths = {w.path.split("/")[-2] for w in model.trainable_weights}
    assert paths == {"theta", "phi", "g", "out", "scores"}


def test_block_in_a_sequential_model_follows_its_layer():
    model = keras.Sequential(
        [
            keras.Input((3, 5, 4, 2)),
            keras.layers.Conv3D(4, 2, name="conv"),
            keras.layers.ReLU(name="relu"),
        ]
    )
    deeper = nl.insert_blocks(model, "conv")
    assert [x.name for x in deeper.layers] == ["conv", "conv_nonlocal", "relu"]
    x = normal((2, 3, 5, 4, 2))
    np.testing.assert_array_equal(outputs(deeper, x), outputs(model, x))


def test_a_second_block_after_a_layer_has_a_name_of_its_own():
    model = nl.insert_blocks(nl.insert_blocks(trained(), "conv"), "conv")
    assert sorted(blocks(model.get_layer("backbone"))) == [
        "conv_nonlocal",
        "conv_nonlocal1",
    ]


def test_block_computes_in_the_dtype_of_its_layer():
    inputs = keras.Input((7, 5))
    dense = keras.layers.Dense(3, dtype="mixed_bfloat16", name="dense")
    model = keras.Model(inputs, dense(inputs))
    block = nl.insert_blocks(model, "dense").get_layer("dense_nonlocal")
    assert block.compute_dtype == "bfloat16"


@pytest.mark.parametrize(
    ("after", "message"),
    [
        ("backbone/smu", "Did you mean 'backbone/sum'.*none of the 6 layers"),
        (["conv", "pool"], "rank 3, 4 or 5.*'pool' with .*None, 4"),
        ([], "Expected layers"),
        (None, "Received: after=None"),
        ([3], r"Received: after=\[3\]"),
    ],
)
def test_unsuitable_layers_are_refused(after, message):
    with pytest.raises(ValueError, match=message):
        nl.insert_blocks(trained(), after)


def test_function_of_a_lambda_layer_is_kept():
    inputs = keras.Input((5, 3))
    x = keras.layers.Lambda(lambda x: 3 * x, name="triple")(inputs)
    model = nl.insert_blocks(keras.Model(inputs, x), "triple")
    x = normal((2, 5, 3))
    np.testing.assert_array_equal(outputs(model, x), 3 * x)


@tensorflow_only
def test_quantized_model_is_refused():
    model = keras.Sequential([keras.Input((7, 5)), keras.layers.Dense(3)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # InputLayer is not quantized
        model.quantize("int8")
    with pytest.raises(ValueError, match="not quantized.*Insert the blocks"):
        nl.insert_blocks(model, "*")


def test_channels_first_is_refused():
    inputs = keras.Input((3, 11, 8))
    pool = keras.layers.MaxPooling2D(data_format="channels_first")
    with pytest.raises(ValueError, match="channels last"):
        nl.insert_blocks(keras.Model(inputs, pool(inputs)), "*")
