"""Fold normalizations into the layers before them, for inference.

With fixed statistics a normalization scales and shifts each channel, which the
kernel and the bias of the convolution before it can do.
"""

import collections
import warnings

import keras
from keras import layers

from nonlocal_tf.layers.convolution import Conv2D, Conv3D
from nonlocal_tf.layers.nonlocal_block import NonLocalBlock
from nonlocal_tf.layers.normalization import (
    Affine,
    BatchNormalization,
    gain_and_shift,
)
from nonlocal_tf.models import tracing
from nonlocal_tf.models.layer_copy import ModelCopy, check_not_quantized
from nonlocal_tf.models.tracing import TraceError
from nonlocal_tf.typing import Tensor

NORMS = (layers.BatchNormalization, Affine)
# A subclass with a `call` of its own may compute anything.
CONV_CALL = Conv3D.call
NORM_CALLS = (
    layers.BatchNormalization.call,
    BatchNormalization.call,
    Affine.call,
)


def fold(model: keras.Model) -> keras.Model:
    """Fold the normalizations of a model, with equal outputs in inference.

    Folds a normalization, and the ReLU after it, into the convolution before
    it, if that is a layer of `nonlocal_tf.layers` with no other consumer. Folds
    non-local blocks by their `fold()`, and the models inside a model, those in
    `keras.layers.TimeDistributed` too. Copies all other layers.

    Subclassed models, and layers with layers inside, become functional models
    of what their `call` does in inference. Those inside `model` whose `call`
    does not run on symbolic tensors are copied unfolded, with a warning.

    Args:
        model: functional, Sequential or subclassed model, built, such as one
            of `create_model`.

    Returns:
        A new model of the same name, inputs and outputs; of a subclassed
        model, a functional one for inputs of the size of its first call.
        `model` does not change.

    Raises:
        ValueError: the model is quantized, or is subclassed and was not
            called, or has a `call` that does not run on symbolic tensors.

    Example:

    >>> import nonlocal_tf as nl
    >>> model = nl.create_model("c2d_r50", clip_shape=(8, 64, 64, 3), width=4)
    >>> folded = nl.fold(model)
    >>> len(model.layers), len(folded.layers)
    (177, 91)
    """
    check_not_quantized(model, "Fold it first, then quantize the result.")
    if not tracing.is_graph(model):
        model = _traced(model, tracing.symbolic_input(model))
    return _Folding().copy(model)


class _Folding(ModelCopy):
    """Copies of layers, with normalizations folded into those before them."""

    def __init__(self) -> None:
        super().__init__()
        self._chains: dict[int, list[keras.Layer]] = {}

    def copy_graph(
        self, model: keras.Model, inputs: Tensor | None = None
    ) -> keras.Model:
        outer, self._chains = self._chains, _chains(model)
        try:
            return super().copy_graph(model, inputs)
        finally:
            self._chains = outer

    def replacements(self, layer: keras.Layer, x: Tensor) -> list[keras.Layer]:
        chain = self._chains.get(id(layer))
        if chain == []:  # folded into a layer before it
            return []
        if chain:
            return [self._with_bias(layer, *chain)]
        return super().replacements(layer, x)

    def _copy(self, layer: keras.Layer, x: Tensor) -> keras.Layer:
        if isinstance(layer, NonLocalBlock):
            return layer.fold()
        if tracing.is_composite(layer) and _has_norm(layer):
            try:
                return self.copy_graph(_traced(layer, x))
            except TraceError as error:
                warnings.warn(f"Not folded: {error}", stacklevel=2)
        return super()._copy(layer, x)

    def _with_bias(
        self,
        layer: keras.Layer,
        norm: keras.Layer,
        relu: keras.Layer | None = None,
    ) -> keras.Layer:
        """Return a convolution, in frames or not, with a folded chain."""
        if isinstance(layer, layers.TimeDistributed):
            inner = self._with_bias(layer.layer, norm, relu)
            return self.in_frames(layer, inner)
        return _with_bias(layer, norm, relu)


def _traced(layer: keras.Layer, x: Tensor) -> keras.Model:
    """Return the graph of a composite layer if it has all its weights."""
    graph = tracing.trace(layer, x)
    weights = {id(weight) for weight in graph.weights}
    for weight in layer.weights:
        if id(weight) not in weights:
            raise TraceError(
                "Expected weights of layers alone. Received: "
                f"{weight.path!r} of {layer.name!r} itself."
            )
    return graph


def _has_norm(layer: keras.Layer) -> bool:
    return any(
        isinstance(member, (*NORMS, NonLocalBlock))
        for member in layer._flatten_layers()
    )


def _chains(model: keras.Model) -> dict[int, list[keras.Layer]]:
    """Find convolutions with the normalization and ReLU to fold into them.

    Layers may be in `TimeDistributed`: with fixed statistics a normalization
    is the same for each frame.

    Returns:
        By id of a layer: `[normalization]` or `[normalization, relu]`, without
        `TimeDistributed`, for a convolution, and `[]` for layers folded.
    """
    following = _only_consumers(model)
    chains: dict[int, list[keras.Layer]] = {}
    for layer in model.layers:
        conv = _unwrapped(layer)
        if not isinstance(conv, (Conv2D, Conv3D)):
            continue
        norm = following.get(id(layer))
        is_linear = conv.activation is keras.activations.linear
        is_linear = is_linear and type(conv).call is CONV_CALL
        if is_linear and _is_norm_of_channels(_unwrapped(norm)):
            relu = following.get(id(norm))
            folded = [norm, relu] if _is_relu(_unwrapped(relu)) else [norm]
            chains[id(layer)] = [_unwrapped(member) for member in folded]
            chains |= {id(member): [] for member in folded}
    return chains


def _only_consumers(model: keras.Model) -> dict[int, keras.Layer]:
    """Find the layer that alone takes the output of a layer, by id.

    Layers that are called several times, or whose output is one of the
    model's, have none.
    """
    if isinstance(model, keras.Sequential):
        pairs = zip(model.layers, model.layers[1:], strict=False)
        return {id(layer): consumer for layer, consumer in pairs}
    nodes = [node for row in model._nodes_by_depth.values() for node in row]
    calls = collections.Counter(id(node.operation) for node in nodes)
    consumers = collections.defaultdict(list)
    for node in nodes:
        for x in node.input_tensors:
            consumers[id(x)].append(node.operation)
    outputs = {id(x) for x in model.outputs}
    return {
        id(node.operation): consumers[id(node.outputs[0])][0]
        for node in nodes
        if calls[id(node.operation)] == len(node.outputs) == 1
        and id(node.outputs[0]) not in outputs
        and len(consumers[id(node.outputs[0])]) == 1
        and calls[id(consumers[id(node.outputs[0])][0])] == 1
    }


def _unwrapped(layer: keras.Layer | None) -> keras.Layer | None:
    while isinstance(layer, layers.TimeDistributed):
        layer = layer.layer
    return layer


def _is_norm_of_channels(layer: keras.Layer | None) -> bool:
    """Return True for a normalization that scales each channel."""
    if not isinstance(layer, NORMS) or type(layer).call not in NORM_CALLS:
        return False
    return isinstance(layer, Affine) or layer.axis in (
        -1,
        layer.input_spec.ndim - 1,
    )


def _is_relu(layer: keras.Layer | None) -> bool:
    """Return True for a plain ReLU."""
    if layer is None or type(layer) is not layers.ReLU:
        return False
    config = layer.get_config()
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
