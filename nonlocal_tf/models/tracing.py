"""Trace models and layers whose `call` is code to graphs of their layers."""

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import keras

from nonlocal_tf.layers.nonlocal_block import NonLocalBlock

# Layers of these packages are traced by no one: their costs, windows and
# normalizations are known, or none.
LIBRARIES = ("keras", "nonlocal_tf")


class TraceError(ValueError):
    """The `call` of a layer is no fixed graph of Keras layers."""


def is_graph(layer: object) -> bool:
    """Return True for a functional or Sequential model."""
    return isinstance(layer, (keras.Function, keras.Sequential))


def is_composite(layer: object) -> bool:
    """Return True for a layer of other layers whose `call` is user code.

    Such are subclasses of `keras.Model`, and layers of a user's own class with
    layers for attributes.
    """
    if is_graph(layer) or isinstance(layer, NonLocalBlock):
        return False
    if isinstance(layer, keras.Model):
        return True
    if not isinstance(layer, keras.Layer) or not sublayers(layer):
        return False
    owner = next(kind for kind in type(layer).__mro__ if "call" in vars(kind))
    return owner.__module__.partition(".")[0] not in LIBRARIES


def sublayers(layer: keras.Layer) -> list[keras.Layer]:
    """List the layers that are attributes of a layer."""
    return list(layer._flatten_layers(recursive=False, include_self=False))


def trace(layer: keras.Layer, *args: Any, **kwargs: Any) -> keras.Model:
    """Run the `call` of a layer in inference on symbolic tensors.

    Args:
        layer: built layer or model; it does not change.
        *args: arguments of `call`, symbolic tensors among them.
        **kwargs: further arguments.

    Returns:
        A functional model of the layers of `layer`, sharing their weights, and
        of operations. Its inputs are the symbolic tensors in their order.

    Raises:
        TraceError: `layer` is not built, or its `call` does not run on
            symbolic tensors.
    """
    if not layer.built:
        raise TraceError(
            "Expected a built model: call it on a batch first. Received: "
            f"{_title(layer)}."
        )
    inputs: list[Any] = []

    def placeholder(x: Any) -> Any:
        if not isinstance(x, keras.KerasTensor):
            return x
        inputs.append(keras.Input(batch_shape=x.shape, dtype=x.dtype))
        return inputs[-1]

    args, kwargs = keras.tree.map_structure(placeholder, (args, kwargs))
    if "training" in inspect.signature(layer.call).parameters:
        kwargs["training"] = False
    try:
        with _without_nodes(layer):
            outputs = layer.call(*args, **kwargs)
            only = inputs[0] if len(inputs) == 1 else inputs
            return keras.Model(only, outputs, name=layer.name)
    except Exception as error:  # of the user's code
        reason = " ".join(str(error).split())[:200]
        raise TraceError(
            "Expected a functional or Sequential model, or a `call` of Keras "
            "layers and operations that runs on symbolic tensors. Received: "
            f"{_title(layer)}, with {type(error).__name__}: {reason}."
        ) from error


def symbolic_input(model: keras.Model) -> Any:
    """Return new symbolic inputs of a model: a tensor, or a list of several.

    Raises:
        TraceError: the model is subclassed and was never called.
    """
    if is_graph(model):
        inputs = [
            keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name)
            for x in model.inputs
        ]
        return inputs if len(inputs) > 1 else inputs[0]
    shape = (model.get_build_config() or {}).get("input_shape")
    if not shape or not all(isinstance(size, int) for size in shape[1:]):
        raise TraceError(
            "Expected a functional or Sequential model, or one of one input "
            "that has been called on a batch. Received: "
            f"{_title(model)}."
        )
    return keras.Input(shape[1:])


def _title(layer: keras.Layer) -> str:
    return f"{layer.name!r} ({type(layer).__name__})"


@contextlib.contextmanager
def _without_nodes(layer: keras.Layer) -> Iterator[None]:
    """Forget the calls that a block of code records in layers."""
    lists = [
        nodes
        for member in layer._flatten_layers()
        for nodes in (member._inbound_nodes, member._outbound_nodes)
    ]
    counts = [len(nodes) for nodes in lists]
    try:
        yield
    finally:
        for nodes, count in zip(lists, counts, strict=True):
            del nodes[count:]
