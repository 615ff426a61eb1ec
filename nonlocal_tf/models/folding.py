"""Fold normalizations into the layers before them, for inference.

With fixed statistics a normalization scales and shifts each channel, which the
kernel and the bias of the convolution before it can do.
"""

from typing import Any

import keras
from keras import layers

from nonlocal_tf.layers.convolution import Conv2D, Conv3D
from nonlocal_tf.layers.nonlocal_block import NonLocalBlock
from nonlocal_tf.layers.normalization import Affine, gain_and_shift
from nonlocal_tf.models import flattening
from nonlocal_tf.models.layer_copy import copy_layer
from nonlocal_tf.typing import Tensor

NORMS = (layers.BatchNormalization, Affine)


def fold(model: keras.Model) -> keras.Model:
    """Fold the normalizations of a model, with equal outputs in inference.

    Folds a normalization, and the ReLU after it, into the convolution before
    it, if that is a layer of `nonlocal_tf.layers` with no other consumer. Folds
    non-local blocks by their `fold()`, and nested models by this function.
    Copies all other layers.

    Args:
        model: functional or built Sequential model, such as one of
            `create_model`.

    Returns:
        A new model of the same name, inputs and outputs. `model` does not
        change.

    Example:

    >>> import nonlocal_tf as nl
    >>> model = nl.create_model("c2d_r50", clip_shape=(8, 64, 64, 3), width=4)
    >>> folded = nl.fold(model)
    >>> len(model.layers), len(folded.layers)
    (177, 91)
    """
    chains = _chains(model)
    folded_names = {layer.name for chain in chains.values() for layer in chain}
    copies = []

    def clone(layer: keras.Layer) -> keras.Layer:
        if isinstance(layer, NonLocalBlock):
            return layer.fold()
        if layer in chains:
            return _with_bias(layer, *chains[layer])
        if flattening.is_graph(layer):
            return fold(layer)
        copy = copy_layer(layer)
        copies.append((layer, copy))
        return copy

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Tensor:
        return args[0] if layer.name in folded_names else layer(*args, **kwargs)

    if isinstance(model, keras.Sequential):
        folded = _sequential(
            model,
            [clone(x) for x in model.layers if x.name not in folded_names],
        )
    else:
        folded = keras.models.clone_model(
            model, clone_function=clone, call_function=call
        )
    for layer, copy in copies:
        if layer.name not in folded_names:
            copy.set_weights(layer.get_weights())
    return folded


def _chains(model: keras.Model) -> dict:
    """Find convolutions with the normalization and ReLU to fold into them."""
    chains = {}
    for layer in model.layers:
        is_conv = isinstance(layer, (Conv2D, Conv3D))
        if is_conv and layer.activation is keras.activations.linear:
            norm = _only_user(layer, model)
            if isinstance(norm, NORMS):
                relu = _only_user(norm, model)
                is_relu = type(relu) is layers.ReLU and _is_plain(relu)
                chains[layer] = (norm, relu) if is_relu else (norm,)
    return chains


def _sequential(
    model: keras.Sequential, members: list[keras.Layer]
) -> keras.Sequential:
    """Build a Sequential model of other layers on the same input."""
    (x,) = model.inputs
    inputs = keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name)
    return keras.Sequential([inputs, *members], name=model.name)


def _only_user(layer: keras.Layer, model: keras.Model) -> keras.Layer | None:
    """Return the layer that consumes this layer's output, if it is the only."""
    if isinstance(model, keras.Sequential):
        behind = model.layers[model.layers.index(layer) + 1 :]
        return behind[0] if behind else None
    if len(layer._inbound_nodes) != 1:
        return None
    if any(layer.output is output for output in model.outputs):
        return None
    consumers = layer._outbound_nodes
    return consumers[0].operation if len(consumers) == 1 else None


def _is_plain(relu: keras.Layer) -> bool:
    config = relu.get_config()
    return config["max_value"] is None and not (
        config["negative_slope"] or config["threshold"]
    )


def _with_bias(
    conv: keras.Layer, norm: keras.Layer, relu: keras.Layer | None = None
) -> keras.Layer:
    config = conv.get_config()
    config["use_bias"] = True
    config["activation"] = "relu" if relu is not None else None
    new = type(conv).from_config(config)
    new.build(conv.get_build_config()["input_shape"])
    gain, shift = gain_and_shift(norm)
    kernel, *bias = (w.astype("float64") for w in conv.get_weights())
    new.set_weights([kernel * gain, sum(bias) * gain + shift])
    return new
