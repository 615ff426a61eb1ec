"""Flatten a functional model with nested models to one graph of layer calls."""

import collections
import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import keras

from nonlocal_tf.typing import Tensor


class LayerCall(keras.Operation):
    """Call of a layer in a flat graph that does not connect the layer itself.

    Args:
        layer: the layer.
        path: names of the nested models around it and its own, joined by "/".
        name: unique name in the graph.
    """

    def __init__(self, layer: keras.Operation, path: str, name: str):
        super().__init__(name=name)
        self.layer = layer
        self.path = path

    def call(self, *args: Any, **kwargs: Any) -> Any:
        return self.layer(*args, **kwargs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        return self.layer.compute_output_spec(*args, **kwargs)


@dataclasses.dataclass(frozen=True)
class FlatGraph:
    """Graph of a model's layer calls, without nested models.

    Attributes:
        input: symbolic input tensor, or a list of several.
        calls: calls of layers in order. `call.input` and `call.output` are
            tensors of the graph: `keras.Model(graph.input, call.input)` runs
            the layers before a call, with the weights of the model.
    """

    input: Tensor
    calls: Sequence[LayerCall]

    def by_name(self) -> dict[str, LayerCall]:
        """Return the first call of each layer by name.

        The name is that of the layer, or its path, such as "backbone/conv1",
        where several layers have this name.
        """
        layers = collections.defaultdict(set)
        for call in self.calls:
            layers[call.layer.name].add(id(call.layer))
        first: dict[str, LayerCall] = {}
        for call in self.calls:
            is_unique = len(layers[call.layer.name]) == 1
            first.setdefault(call.layer.name if is_unique else call.path, call)
        return first


def is_graph(layer: object) -> bool:
    """Return True for a functional or Sequential model."""
    return isinstance(layer, (keras.Function, keras.Sequential))


def flatten(
    model: keras.Model, input_tensor: Tensor | None = None
) -> FlatGraph:
    """Expand nested functional and Sequential models to calls of their layers.

    Neither the model nor its layers change. A nested model runs as in
    inference, even if it is called with `training=True`.

    Args:
        model: functional or built Sequential model.
        input_tensor: symbolic tensor in place of the model's only input, such
            as a `keras.Input` of another size.

    Raises:
        ValueError: the model is neither, so that its layers have no graph.

    Example:

    >>> import keras
    >>> from nonlocal_tf.models import flattening
    >>> head = keras.Sequential([keras.layers.Dense(5, name="fc")], name="head")
    >>> inputs = keras.Input((7,))
    >>> x = keras.layers.ReLU(name="relu")(inputs)
    >>> model = keras.Model(inputs, head(x))
    >>> [call.path for call in flattening.flatten(model).calls]
    ['relu', 'head/fc']
    """
    if not is_graph(model):
        raise ValueError(
            "Expected a functional or Sequential model. Received: "
            f"{type(model).__name__} {model.name!r}, whose `call` is code"
        )
    if input_tensor is None:
        inputs = [
            keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name)
            for x in model.inputs
        ]
        input_tensor = inputs if len(inputs) > 1 else inputs[0]
    calls: list[LayerCall] = []

    def call(prefix: str, layer: Any, *args: Any, **kwargs: Any) -> Any:
        path = prefix + layer.name
        if is_graph(layer):
            tensors = args[0] if args else kwargs["inputs"]
            return expand(layer, tensors, f"{path}/")
        calls.append(LayerCall(layer, path, f"call_{len(calls)}"))
        return calls[-1](*args, **kwargs)

    def expand(model: Any, tensors: Any, prefix: str) -> Any:
        if isinstance(model, keras.Sequential):
            for layer in model.layers:
                tensors = call(prefix, layer, tensors)
            return tensors
        return model._run_through_graph(
            tensors, lambda layer: functools.partial(call, prefix, layer)
        )

    expand(model, input_tensor, "")
    return FlatGraph(input_tensor, tuple(calls))
