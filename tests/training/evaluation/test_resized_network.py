import keras
import numpy as np
import pytest
from keras import layers

from nonlocal_tf import NonLocalBlock, create_model
from tests.training.view_runs import (
    randomise,
    shallow,  # noqa: F401, a fixture
)
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


def test_nested_model_is_cloned_for_a_known_number_of_frames():
    # Keras' TimeDistributed is wrong for an unknown number in a graph.
    part = keras.Sequential([keras.Input(CLIP), layers.TimeDistributed(frames)])
    model = keras.Sequential([keras.Input(CLIP), part, layers.LSTM(4)])
    network = resized_network.clone(model, (3, 12, 9, 3))
    assert network.layers[0].input_shape == (None, 3, 12, 9, 3)
    network = resized_network.clone(model, CLIP)
    np.testing.assert_array_equal(network(CLIPS), model(CLIPS))


def with_operations():
    inputs = keras.Input(CLIP)
    x = layers.Dense(6)(inputs / 3)
    x = keras.ops.reshape(keras.ops.mean(x, axis=(2, 3)), (-1, 3, 6))
    x = layers.MultiHeadAttention(2, 3)(query=x, value=x)
    x = layers.Add()([x, layers.Dense(6)(x)])
    return keras.Model(inputs, keras.ops.softmax(keras.ops.mean(x, axis=1)))


def test_clone_has_the_operations_of_a_model():
    model = with_operations()
    randomise(model)
    network = resized_network.clone(model, (3, None, None, 3))
    np.testing.assert_array_equal(network(CLIPS), model(CLIPS))


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


def test_head_of_a_loaded_network_is_applied_in_windows(tmp_path, shallow):  # noqa: F811
    clip = (4, 37, 41, 3)
    model = create_model(
        shallow.name, num_classes=3, clip_shape=clip, sampling="8x8", width=4
    )
    randomise(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    shape = (None, 69, 69, 3)
    expected = create_model(
        shallow.name,
        num_classes=3,
        clip_shape=(4, *shape[1:]),
        sampling="8x8",
        width=4,
        head="fully_convolutional",
        crop_px=37,
    )
    expected.set_weights(model.get_weights())
    network = resized_network.clone_in_windows(loaded, shape, (4, 37, 37, 3))
    clips = np.random.default_rng(0).normal(size=(1, 4, *shape[1:]))
    np.testing.assert_allclose(network(clips), expected(clips), atol=1e-5)
    assert network.output_shape == (None, None, 2, 2, 3)


def test_window_head_is_that_of_the_papers_networks(shallow):  # noqa: F811
    small = create_model("c2d_small", num_classes=3)
    other = keras.Sequential([layers.GlobalAveragePooling3D(name="pool5")])
    residual, flat_map = (
        create_model(
            shallow.name, clip_shape=(4, 37, 37, 3), sampling="8x8", **options
        )
        for options in ({"width": 4}, {"width": 4, "head": "none"})
    )
    networks = residual, flat_map, small, other
    got = [resized_network.has_window_head(network) for network in networks]
    assert got == [True, False, False, False]
