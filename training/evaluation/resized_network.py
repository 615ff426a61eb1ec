"""Build a network again for clips of other sizes, with the same weights."""

import inspect
from typing import Any

import keras
from keras import layers

from nonlocal_tf import models

Shape = tuple[int | None, ...]


def accepts(taken: Shape, shape: Shape) -> bool:
    """Return True if inputs of a shape fit; None stands for any size."""
    return len(taken) == len(shape) and all(
        expected in (None, size)
        for expected, size in zip(taken, shape, strict=True)
    )


def rebuild(
    model: keras.Model, dtype: str | None = None, **changes: Any
) -> keras.Model:
    """Build a network of `create_model` with other arguments.

    Args:
        model: made by `create_model`.
        dtype: dtype policy. Default: that of `model`.
        **changes: arguments to replace.

    Returns:
        A network for inference on one device, with copies of the weights.

    Raises:
        ValueError: an argument has a bad value, or changes the weights.
    """
    recorded = models.registry.arguments_of(model)
    if recorded is None:
        raise ValueError(
            "Expected a model of create_model in this process. Received: "
            f"{model.name!r}"
        )
    name, arguments = recorded
    arguments.pop("bn_synchronized", None)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype or model.dtype_policy)
    try:
        network = models.create_model(name, **{**arguments, **changes})
    finally:
        keras.config.set_dtype_policy(policy)
    copy_weights(model, network)
    return network


def has_argument(model: keras.Model, name: str) -> bool:
    """Return True for a model of `create_model` with such an argument."""
    recorded = models.registry.arguments_of(model)
    if recorded is None:
        return False
    return takes_argument(recorded[0], name)


def takes_argument(model_name: str, name: str) -> bool:
    """Return True for a registered network with such an argument."""
    builder = models.registry.MODELS.get(model_name)
    return builder is not None and (
        name in inspect.signature(builder).parameters
    )


def clone(
    model: keras.Model, shape: Shape, dtype: str | None = None
) -> keras.Model:
    """Clone a functional or Sequential model on an input of another shape.

    Args:
        model: with one input.
        shape: of the new input, without the batch.
        dtype: of all layers. Default: that of each.

    Returns:
        A functional model with copies of the weights.

    Raises:
        ValueError, TypeError, NotImplementedError: a layer does not take such
            inputs, or cannot be cloned.
    """
    network = _clone(model, shape, dtype)
    network.set_weights(model.get_weights())
    return network


def _clone(model: keras.Model, shape: Shape, dtype: str | None) -> keras.Model:
    (tensor,) = model.inputs
    outputs = model.outputs if len(model.outputs) > 1 else model.outputs[0]
    # Without the loss and metrics, which might not be serializable.
    plain = keras.Model(tensor, outputs, name=model.name)
    return keras.models.clone_model(
        plain,
        input_tensors=keras.Input(shape, dtype=tensor.dtype),
        clone_function=lambda layer: _clone_layer(layer, dtype),
    )


def _clone_layer(layer: keras.Layer, dtype: str | None) -> keras.Layer:
    if isinstance(layer, keras.Model) and len(layer.inputs) == 1:
        *sizes, channels = layer.inputs[0].shape[1:]
        return _clone(layer, (*(None for _ in sizes), channels), dtype)
    if isinstance(layer, layers.Lambda):  # its configuration is bytecode
        return layers.Lambda(
            layer.function, arguments=layer.arguments, name=layer.name
        )
    if isinstance(layer, layers.TimeDistributed):
        inner = _clone_layer(layer.layer, dtype)
        return layers.TimeDistributed(inner, name=layer.name)
    config = layer.get_config()
    if dtype is not None:
        config["dtype"] = dtype
    return type(layer).from_config(config)


def call(model: keras.Model, shape: Shape) -> keras.Model:
    """Make a functional model of a subclassed one, sharing its weights.

    Args:
        model: subclass of `keras.Model` that takes one tensor.
        shape: of the input, without the batch.
    """
    inputs = keras.Input(shape)
    return keras.Model(inputs, model(inputs), name=model.name)


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copy weights between layers of the same name."""
    source_layers = {
        layer.name: layer for layer in source.layers if layer.weights
    }
    target_layers = {
        layer.name: layer for layer in target.layers if layer.weights
    }
    if source_layers.keys() != target_layers.keys():
        raise ValueError(
            "Expected networks whose layers have the same names; a builder of "
            "models gives each layer a name. Received: "
            f"{sorted(source_layers.keys() ^ target_layers.keys())} in one only"
        )
    for name, layer in target_layers.items():
        layer.set_weights(source_layers[name].get_weights())
