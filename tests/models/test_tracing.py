"""Graphs of models and layers whose `call` is code."""

import keras
import numpy as np
import pytest

from nonlocal_tf.models import tracing
from tests.harness import normal
from tests.models import nested_models


def test_traced_model_shares_weights_and_outputs():
    nested = nested_models.build(nested_models.subclassed)
    traced = tracing.trace(nested.model, keras.Input(nested_models.IMAGE))
    assert [layer.name for layer in traced.layers[1:]] == [
        "network",
        "pool",
        "scores",
    ]
    x = normal((2, *nested_models.IMAGE))
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(traced(x)),
        keras.ops.convert_to_numpy(nested.model(x, training=False)),
    )


def test_tracing_leaves_no_nodes():
    model = nested_models.subclassed().model
    counts = [
        (len(layer._inbound_nodes), len(layer._outbound_nodes))
        for layer in model._flatten_layers()
    ]
    tracing.trace(model, keras.Input(nested_models.IMAGE))
    assert counts == [
        (len(layer._inbound_nodes), len(layer._outbound_nodes))
        for layer in model._flatten_layers()
    ]


def test_tracing_runs_inference():
    class Training(keras.Model):
        def build(self, shape):
            self.dropout = keras.layers.Dropout(0.5)

        def call(self, x, training=True):
            return 3 * x if training else self.dropout(x)

    model = Training()
    model(np.zeros((2, 3)))
    traced = tracing.trace(model, tracing.symbolic_input(model))
    x = normal((2, 3))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(traced(x)), x)


def test_call_that_needs_numbers_is_refused():
    layer = nested_models.Untraceable(nested_models.network(), name="branch")
    layer(np.zeros((1, *nested_models.IMAGE)))
    with pytest.raises(tracing.TraceError, match="symbolic.*'branch'"):
        tracing.trace(layer, keras.Input(nested_models.IMAGE))


def test_model_that_was_not_called_is_refused():
    model = nested_models.Classifier(nested_models.network())
    with pytest.raises(tracing.TraceError, match="call it on a batch"):
        tracing.trace(model, keras.Input(nested_models.IMAGE))
    with pytest.raises(tracing.TraceError, match="called on a batch"):
        tracing.symbolic_input(model)


def test_layers_of_libraries_are_not_composite():
    inner = nested_models.network()
    lstm = keras.layers.Bidirectional(keras.layers.LSTM(2))
    assert not any(map(tracing.is_composite, [lstm, *inner.layers, inner]))
    assert tracing.is_composite(nested_models.Branch(inner))
