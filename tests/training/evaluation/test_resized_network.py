import keras
import numpy as np
import pytest
from keras import layers

from nonlocal_tf import NonLocalBlock, create_model
from tests.training.view_runs import randomise
from training.evaluation import resized_network

CLIP = (3, 8, 10, 3)
CLIPS = np.random.default_rng(0).normal(size=(2, *CLIP)).astype("float32")
frames = keras.Sequential(
    [
        keras.Input((8, 10, 3)),
        layers.Conv2D(5, 3),
        layers.BatchNormalization(),
        layers.GlobalAveragePooling2D(),
    ]
)


def sequential():
    return keras.Sequential(
        [
            keras.Input(CLIP),
            layers.Lambda(lambda x: x / 2),
            layers.TimeDistributed(frames),
            layers.LSTM(4),
            layers.Dense(2),
        ]
    )


def nested():
    part = keras.Sequential([layers.Conv3D(4, 1), NonLocalBlock()])
    inputs = keras.Input(CLIP)
    shared = layers.Conv3D(4, 3, padding="same")
    x = shared(shared(part(inputs)))
    return keras.Model(inputs, layers.GlobalAveragePooling3D()(x))


@pytest.mark.parametrize("make", [sequential, nested])
def test_clone_of_any_size_has_equal_outputs(make):
    model = make()
    randomise(model)
    model.compile(loss=lambda y, p: 0.0)  # not serializable
    network = resized_network.clone(model, (None, None, None, 3))
    expected = np.asarray(model(CLIPS, training=False))
    np.testing.assert_array_equal(network(CLIPS, training=False), expected)
    larger = np.zeros((1, 5, 12, 9, 3), "float32")
    assert network(larger).shape == (1, expected.shape[1])
    assert len(model.layers[1]._inbound_nodes) == 1  # as before


def test_clone_has_the_dtype_asked_for():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = nested()
    finally:
        keras.config.set_dtype_policy("float32")
    network = resized_network.clone(model, CLIP, "float32")
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}


def test_network_is_rebuilt_in_its_own_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = create_model("c2d_small", num_classes=3)
    finally:
        keras.config.set_dtype_policy("float32")
    network = resized_network.rebuild(model, clip_shape=(None, 48, 48, 3))
    assert network.layers[1].compute_dtype == "bfloat16"
    network = resized_network.rebuild(model, "float32")
    assert network.layers[1].compute_dtype == "float32"
    for own, copy in zip(model.weights, network.weights, strict=True):
        np.testing.assert_array_equal(own, copy)
    assert keras.config.dtype_policy().name == "float32"


def test_copying_weights_needs_equal_layer_names():
    plain = create_model("c2d_small", num_classes=3)
    with_block = create_model("c2d_nl1_small", num_classes=3)
    with pytest.raises(ValueError, match="stage2_nonlocal"):
        resized_network.copy_weights(with_block, plain)
