"""Flat graphs of nested models."""

import keras
import numpy as np
import pytest

from nonlocal_tf.models import flattening
from tests.harness import normal
from tests.models import nested_models


def nested():
    """Return a model with a siamese branch of two levels, and a sum."""
    side = keras.Input((4, 7))
    x = keras.layers.Dense(5, name="dense")(side)
    head = keras.Sequential([keras.layers.Dense(3, name="dense")], name="head")
    branch = keras.Model(side, head(x), name="branch")
    first, second = keras.Input((4, 7)), keras.Input((4, 7))
    total = branch(first) - 2 * branch(second, training=False)
    return keras.Model([first, second], keras.layers.ReLU(name="relu")(total))


def test_a_flat_graph_computes_the_outputs_of_the_model():
    model = nested()
    graph = flattening.flatten(model)
    flat = keras.Model(graph.input, graph.calls[-1].output)
    x = [normal((2, 4, 7), seed) for seed in (0, 1)]
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(flat(x)),
        keras.ops.convert_to_numpy(model(x)),
    )


def test_layers_are_named_by_path_where_names_collide():
    names = flattening.flatten(nested()).by_name()
    assert [name for name in names if "dense" in name or name == "relu"] == [
        "branch/dense",
        "branch/head/dense",
        "relu",
    ]


@pytest.mark.parametrize(
    "form",
    [
        nested_models.in_frames,
        nested_models.subclassed_in_functional,
        nested_models.in_a_layer,
    ],
    ids=lambda form: form.__name__,
)
def test_layers_inside_wrappers_and_code_are_calls(form):
    nested = nested_models.build(form)
    graph = flattening.flatten(nested.model)
    names = {layer.name for layer in nested.network.layers[1:]}
    assert names <= set(graph.by_name())
    flat = keras.Model(graph.input, graph.calls[-1].output)
    x = normal((2, *nested.shape))
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(flat(x)),
        keras.ops.convert_to_numpy(nested.model(x, training=False)),
        atol=1e-6,
    )


def test_frames_and_sizes_may_be_unknown():
    pool = keras.layers.MaxPooling2D(name="pool")
    inputs = keras.Input((None, None, None, 3))
    frames = keras.layers.TimeDistributed(
        keras.Sequential([keras.Input((None, None, 3)), pool])
    )
    graph = flattening.flatten(keras.Model(inputs, frames(inputs)))
    flat = keras.Model(graph.input, graph.calls[-1].output)
    x = normal((2, 5, 6, 4, 3))
    expected = x.reshape((2, 5, 3, 2, 2, 2, 3)).max((3, 5))
    y = flat.predict(x, verbose=0)  # in a graph, where sizes are tensors
    np.testing.assert_array_equal(y, expected)


def test_random_transforms_do_nothing():
    inputs = keras.Input((5, 4, 3))
    x = keras.layers.RandomBrightness(0.5, value_range=(0, 1))(inputs)
    graph = flattening.flatten(keras.Model(inputs, x))
    flat = keras.Model(graph.input, graph.calls[-1].output)
    x = np.random.default_rng(0).random((2, 5, 4, 3), "float32")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(flat(x)), x)


def test_walk_lists_the_paths_of_calls():
    model = nested_models.in_frames().model
    paths = {path for path, _ in flattening.walk(model)}
    calls = {call.path for call in flattening.flatten(model).calls}
    assert calls < paths
    assert "frames/network/conv1" in calls


def test_layers_that_cannot_be_expanded_are_calls_with_a_reason():
    inputs, inner = keras.Input(nested_models.IMAGE), nested_models.network()
    layer = nested_models.Untraceable(inner, name="branch")
    graph = flattening.flatten(keras.Model(inputs, layer(inputs)))
    assert [call.layer for call in graph.calls] == [layer]
    assert "symbolic" in graph.opaque["branch"]
