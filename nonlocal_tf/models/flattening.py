"""Flatten a model with nested models to one graph of layer calls."""

import collections
import dataclasses
import functools
import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
from keras import layers, ops

from nonlocal_tf.models import tracing
from nonlocal_tf.models.tracing import TraceError, is_composite, is_graph
from nonlocal_tf.typing import Tensor

# Layers that run another one, in inference without changing its outputs.
WRAPPERS = (layers.TimeDistributed, layers.SpectralNormalization)


class LayerCall(keras.Operation):
    """Call of a layer in a flat graph that does not connect the layer itself.

    Args:
        layer: the layer.
        path: names of the models and wrappers around it and its own, joined by
            "/".
        name: unique name in the graph.
        frame_axes: number of `keras.layers.TimeDistributed` around the layer.
            The axes of its inputs between the batch and those that the layer
            takes are as many; they are merged with the batch in the call.
    """

    def __init__(
        self, layer: keras.Operation, path: str, name: str, frame_axes: int = 0
    ):
        super().__init__(name=name)
        self.layer = layer
        self.path = path
        self.frame_axes = frame_axes
        self._is_symbolic: list[bool] = []

    @property
    def first_input(self) -> Tensor:
        """The first input tensor of the call, with the axes of frames."""
        return keras.tree.flatten(self.input)[0]

    @property
    def layer_input_shape(self) -> tuple[int, ...]:
        """Shape of the first input of the layer itself, without the batch."""
        return tuple(self.first_input.shape[1 + self.frame_axes :])

    @property
    def frames(self) -> int:
        """Number of runs of the layer for each example; sizes are known."""
        return math.prod(self.first_input.shape[1 : 1 + self.frame_axes])

    def argument_shape(self, name: str) -> tuple[int, ...] | None:
        """Shape of an argument of the layer's call, without the batch.

        Args:
            name: name of the argument.

        Returns:
            Its shape; None if it is not given.
        """
        call = self._inbound_nodes[0].arguments
        bound = inspect.signature(self.layer.call).bind(
            *call.args, **call.kwargs
        )
        x = bound.arguments.get(name)
        return None if x is None else tuple(x.shape[1 + self.frame_axes :])

    def call(self, *args: Any, **kwargs: Any) -> Any:
        if not self.frame_axes:
            return self.layer(*args, **kwargs)
        axes = 1 + self.frame_axes
        leaves = keras.tree.flatten((args, kwargs))
        pairs = list(zip(leaves, self._is_symbolic, strict=True))
        batch = ops.shape(next(x for x, is_tensor in pairs if is_tensor))[:axes]
        merged = [
            ops.reshape(x, (-1, *ops.shape(x)[axes:])) if is_tensor else x
            for x, is_tensor in pairs
        ]
        args, kwargs = keras.tree.pack_sequence_as((args, kwargs), merged)
        return keras.tree.map_structure(
            lambda y: ops.reshape(y, (*batch, *ops.shape(y)[1:])),
            self.layer(*args, **kwargs),
        )

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        if not self.frame_axes:
            return self.layer.compute_output_spec(*args, **kwargs)
        leaves = keras.tree.flatten((args, kwargs))
        self._is_symbolic = [isinstance(x, keras.KerasTensor) for x in leaves]
        first = leaves[self._is_symbolic.index(True)]
        args, kwargs = merge_frames((args, kwargs), self.frame_axes)
        return keras.tree.map_structure(
            lambda y: keras.KerasTensor(
                (*first.shape[: 1 + self.frame_axes], *y.shape[1:]), y.dtype
            ),
            self.layer.compute_output_spec(*args, **kwargs),
        )


def merge_frames(structure: Any, frame_axes: int) -> Any:
    """Merge axes of frames of symbolic tensors in a structure with the batch.

    Args:
        structure: nested structure of symbolic tensors and other objects.
        frame_axes: number of axes after the batch to merge.
    """
    if not frame_axes:
        return structure
    return keras.tree.map_structure(
        lambda x: (
            keras.KerasTensor((None, *x.shape[1 + frame_axes :]), x.dtype)
            if isinstance(x, keras.KerasTensor)
            else x
        ),
        structure,
    )


@dataclasses.dataclass(frozen=True)
class FlatGraph:
    """Graph of a model's layer calls, without nested models.

    Attributes:
        input: symbolic input tensor, or a list of several.
        calls: calls of layers in order. `call.input` and `call.output` are
            tensors of the graph: `keras.Model(graph.input, call.input)` runs
            the layers before a call, with the weights of the model.
        opaque: for each model or layer among `calls` that has layers with
            weights inside but cannot be expanded to them, by path, a sentence
            that says why.
    """

    input: Tensor
    calls: Sequence[LayerCall]
    opaque: Mapping[str, str] = dataclasses.field(default_factory=dict)

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


def flatten(
    model: keras.Model, input_tensor: Tensor | None = None
) -> FlatGraph:
    """Expand a model to calls of the layers of all models inside it.

    Functional and Sequential models are expanded, those in
    `keras.layers.TimeDistributed` too, and subclassed models and layers where
    `call` runs on symbolic tensors. Neither the model nor its layers change.
    All run as in inference, even if called with `training=True`.

    Args:
        model: functional, Sequential or subclassed model, built.
        input_tensor: symbolic tensor in place of the model's only input, such
            as a `keras.Input` of another size.

    Raises:
        ValueError: the model is subclassed, and not built or its `call` is no
            fixed graph of layers.

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
    if input_tensor is None:
        input_tensor = tracing.symbolic_input(model)
    graph = model if is_graph(model) else tracing.trace(model, input_tensor)
    expansion = _Expansion()
    expansion.expand(graph, input_tensor, "", 0)
    return FlatGraph(input_tensor, tuple(expansion.calls), expansion.opaque)


class _Expansion:
    """Calls of the layers of models that are expanded one by one."""

    def __init__(self) -> None:
        self.calls: list[LayerCall] = []
        self.opaque: dict[str, str] = {}

    def expand(
        self, model: keras.Model, tensors: Any, prefix: str, frame_axes: int
    ) -> Any:
        """Call the layers of a functional or Sequential model."""
        if isinstance(model, keras.Sequential):
            for layer in model.layers:
                tensors = self.call(layer, prefix, frame_axes, tensors)
            return tensors
        return model._run_through_graph(
            tensors,
            lambda layer: functools.partial(
                self.call, layer, prefix, frame_axes
            ),
        )

    def call(
        self,
        layer: Any,
        prefix: str,
        frame_axes: int,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Call a layer, or those inside it."""
        path = prefix + layer.name
        if "training" in kwargs:  # True for random transforms by default
            kwargs["training"] = False
        if is_graph(layer) or isinstance(layer, WRAPPERS):
            tensors = args[0] if args else kwargs["inputs"]
            if is_graph(layer):
                return self.expand(layer, tensors, f"{path}/", frame_axes)
            frame_axes += isinstance(layer, layers.TimeDistributed)
            return self.call(layer.layer, f"{path}/", frame_axes, tensors)
        if is_composite(layer):
            try:
                merged = merge_frames((args, kwargs), frame_axes)
                graph = tracing.trace(layer, *merged[0], **merged[1])
            except TraceError as error:
                if layer.weights:
                    self.opaque[path] = str(error)
            else:
                tensors = [
                    x
                    for x in keras.tree.flatten((args, kwargs))
                    if isinstance(x, keras.KerasTensor)
                ]
                return self.expand(graph, tensors, f"{path}/", frame_axes)
        name = f"call_{len(self.calls)}"
        self.calls.append(LayerCall(layer, path, name, frame_axes))
        return self.calls[-1](*args, **kwargs)


def walk(
    model: keras.Layer, prefix: str = ""
) -> Iterator[tuple[str, keras.Layer]]:
    """List the layers of a model by path, each before those inside it.

    Paths are those of `LayerCall`. No graph is needed: layers inside
    subclassed models and layers are listed, in the order of their attributes.

    Args:
        model: any model, or a layer with others inside.
        prefix: path of `model`, with "/" at its end.
    """
    if isinstance(model, WRAPPERS):
        members = [model.layer]
    elif is_graph(model):
        members = model.layers
    else:
        members = tracing.sublayers(model)
    for layer in members:
        if isinstance(layer, layers.InputLayer):
            continue
        yield prefix + layer.name, layer
        if has_layers(layer):
            yield from walk(layer, f"{prefix}{layer.name}/")


def has_layers(layer: keras.Layer) -> bool:
    """Return True for models, wrappers and composite layers."""
    return is_graph(layer) or isinstance(layer, WRAPPERS) or is_composite(layer)
