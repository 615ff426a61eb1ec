"""Flat graphs of nested models."""

import keras
import numpy as np
import pytest

from nonlocal_tf.models import flattening
from tests.harness import normal


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


def test_a_subclassed_model_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="functional or Sequential.*Own"):
        flattening.flatten(Own())
