"""Networks for inference alone: normalisations become part of what is before.

With fixed statistics, a normalisation is a scale and a shift a channel, and so
is what it does to a convolution: other kernels and a bias.
"""

from typing import Any

import keras
from keras import layers

from nonlocal_tf.layers.convolution import Conv2D, Conv3D
from nonlocal_tf.layers.nonlocal_block import NonLocalBlock
from nonlocal_tf.layers.normalization import Affine, gain_and_shift
from nonlocal_tf.typing import Tensor

NORMS = (layers.BatchNormalization, Affine)


def fold(model: keras.Model) -> keras.Model:
    """A model without normalisations and with equal outputs in inference.

    Each convolution of `nonlocal_tf.layers` that nothing but a normalisation
    uses takes it in, and the ReLU that alone follows; each non-local block is
    replaced by its `fold()`. Everything else is copied.

    Args:
        model: a functional model, such as one of `create_model`.

    Returns:
        A new model of the same name, inputs and outputs. The given one stays
        as it is.

    Example:

    >>> import nonlocal_tf as nl
    >>> model = nl.create_model("c2d_r50", clip_shape=(8, 64, 64, 3), width=4)
    >>> folded = nl.fold(model)
    >>> len(model.layers), len(folded.layers)
    (177, 91)
    """
    chains = _chains(model)
    taken = {layer.name for chain in chains.values() for layer in chain}
    copies = []

    def clone(layer: keras.Layer) -> keras.Layer:
        if isinstance(layer, NonLocalBlock):
            return layer.fold()
        if layer in chains:
            return _with_bias(layer, *chains[layer])
        copy = type(layer).from_config(layer.get_config())
        copies.append((layer, copy))
        return copy

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Tensor:
        return args[0] if layer.name in taken else layer(*args, **kwargs)

    folded = keras.models.clone_model(
        model, clone_function=clone, call_function=call
    )
    for layer, copy in copies:
        if layer.name not in taken:
            copy.set_weights(layer.get_weights())
    return folded


def _chains(model: keras.Model) -> dict:
    """Convolutions and what they take in: a norm, and perhaps a ReLU."""
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


def _only_user(layer: keras.Layer, model: keras.Model) -> keras.Layer | None:
    """The one layer that takes this one's one output, or None."""
    if len(layer._inbound_nodes) != 1:
        return None
    if any(layer.output is output for output in model.outputs):
        return None
    users = layer._outbound_nodes
    return users[0].operation if len(users) == 1 else None


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
