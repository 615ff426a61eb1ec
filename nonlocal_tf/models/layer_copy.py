"""Copies of layers, and of models with their weights."""

import inspect
from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from nonlocal_tf.models import tracing
from nonlocal_tf.typing import Tensor


def copy_layer(layer: keras.Layer, dtype: str | None = None) -> keras.Layer:
    """Return a new layer with the configuration of another, without weights.

    A `Lambda` layer keeps its Python function, which Keras would restore from
    bytecode in unsafe mode alone.

    Args:
        layer: any layer.
        dtype: dtype policy of the new layer. Default: that of `layer`.

    Raises:
        ValueError: the class of the layer does not return the arguments of its
            constructor from `get_config`.
    """
    if isinstance(layer, layers.Lambda):
        return layers.Lambda(
            layer.function,
            output_shape=layer._output_shape,
            arguments=layer.arguments,
            name=layer.name,
            dtype=dtype or layer.dtype_policy,
        )
    try:
        config = layer.get_config()
        if dtype is not None:
            config["dtype"] = dtype
        return type(layer).from_config(config)
    except (TypeError, NotImplementedError) as error:
        raise ValueError(
            "Expected layers whose `get_config` returns the arguments of their "
            f"constructor. Received: {layer.name!r}, a {type(layer).__name__}: "
            f"{' '.join(str(error).split())[:200]}"
        ) from error


def check_not_quantized(model: keras.Layer, remedy: str) -> None:
    """Raise a ValueError if a layer of a model is quantized.

    Args:
        model: a model or layer.
        remedy: what to do instead, as a sentence.
    """
    for layer in model._flatten_layers():
        policy = layer.dtype_policy
        if isinstance(policy, keras.dtype_policies.QuantizedDTypePolicy):
            raise ValueError(
                f"Expected a model that is not quantized yet. {remedy} "
                f"Received: {model.name!r}, whose layer {layer.name!r} is "
                f"{policy.name}"
            )


class ModelCopy:
    """Copies of the layers of a model and of the models inside it.

    A layer that is used several times is copied once. Models inside functional
    and Sequential models and `keras.layers.TimeDistributed` are copied layer by
    layer. Subclasses override `replacements` to change layers.

    Args:
        dtype: dtype policy of the copies. Default: that of each layer.
    """

    def __init__(self, dtype: str | None = None):
        self._dtype = dtype
        self._copies: dict[int, keras.Layer] = {}
        self._weighted: list[tuple[keras.Layer, keras.Layer]] = []

    def copy(
        self, model: keras.Model, inputs: Tensor | None = None
    ) -> keras.Model:
        """Copy a functional or built Sequential model with its weights.

        Args:
            model: the model; it does not change.
            inputs: symbolic tensor in place of its only input. Default: of the
                same shape.

        Returns:
            A model of the same class and name, without loss and optimizer.
        """
        copy = self.copy_graph(model, inputs)
        for layer, new in self._weighted:
            if layer.weights:
                new.set_weights(layer.get_weights())
        return copy

    def copy_graph(
        self, model: keras.Model, inputs: Tensor | None = None
    ) -> keras.Model:
        """Copy a model; `copy` sets the weights of its layers at its end."""
        is_sequential = isinstance(model, keras.Sequential)
        if inputs is None:
            inputs = keras.tree.map_structure(
                lambda x: keras.Input(
                    batch_shape=x.shape, dtype=x.dtype, name=x.name
                ),
                model.inputs[0] if is_sequential else model.input,
            )
        if is_sequential:
            return self._copy_sequential(model, inputs)

        def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
            if not isinstance(layer, keras.Layer):  # operation of keras.ops
                return layer(*args, **kwargs)
            new = self.replacements(layer, first_tensor(args, kwargs))
            if not new:
                return first_tensor(args, kwargs)
            output = new[0](*args, **kwargs)
            for other in new[1:]:
                output = other(output)
            return output

        outputs = model._run_through_graph(
            inputs, lambda layer: lambda *a, **k: call(layer, *a, **k)
        )
        kind = type(model) if _is_constructed_alike(model) else keras.Model
        return kind(inputs, outputs, name=model.name)

    def _copy_sequential(
        self, model: keras.Sequential, inputs: Tensor
    ) -> keras.Sequential:
        copy = keras.Sequential([inputs], name=model.name)
        for layer in model.layers:
            x = copy.outputs[0] if copy.layers else inputs
            for new in self.replacements(layer, x):
                copy.add(new)
        return copy

    def replacements(self, layer: keras.Layer, x: Tensor) -> list[keras.Layer]:
        """Return the new layers in place of a layer, called one by one.

        Args:
            layer: layer of the model.
            x: first symbolic input of the new layers.

        Returns:
            The copy of the layer. None at all leave the input as it is.
        """
        return [self.copy_of(layer, x)]

    def copy_of(self, layer: keras.Layer, x: Tensor) -> keras.Layer:
        """Return the copy of a layer, the same for each of its calls."""
        if id(layer) not in self._copies:
            self._copies[id(layer)] = self._copy(layer, x)
        return self._copies[id(layer)]

    def _copy(self, layer: keras.Layer, x: Tensor) -> keras.Layer:
        if tracing.is_graph(layer):
            return self.copy_graph(layer, _resized_input(layer, x))
        if isinstance(layer, layers.TimeDistributed):
            frame = keras.KerasTensor((x.shape[0], *x.shape[2:]), x.dtype)
            (inner,) = self.replacements(layer.layer, frame)
            return self.in_frames(layer, inner)
        copy = copy_layer(layer, self._dtype)
        self._weighted.append((layer, copy))
        return copy

    def in_frames(
        self, layer: layers.TimeDistributed, inner: keras.Layer
    ) -> layers.TimeDistributed:
        """Return a copy of a `TimeDistributed` around another layer."""
        return layers.TimeDistributed(
            inner, name=layer.name, dtype=self._dtype or layer.dtype_policy
        )


def first_tensor(args: tuple, kwargs: Mapping[str, Any]) -> Tensor:
    """Return the first symbolic tensor among arguments of a layer."""
    return next(
        x
        for x in keras.tree.flatten((args, dict(kwargs)))
        if isinstance(x, keras.KerasTensor)
    )


def _resized_input(model: keras.Model, x: Tensor) -> Tensor | None:
    """Return a new input of x's shape, or None if the model takes x."""
    if len(model.inputs) != 1:
        return None
    (own,) = model.inputs
    if len(own.shape) == len(x.shape) and all(
        size in (None, other)
        for size, other in zip(own.shape[1:], x.shape[1:], strict=True)
    ):
        return None
    return keras.Input(x.shape[1:], dtype=own.dtype, name=own.name)


def _is_constructed_alike(model: keras.Model) -> bool:
    """Return True if a model's class takes the arguments of `keras.Model`.

    A subclass may have a `train_step` of its own, for example.
    """
    x = keras.Input((1,))
    plain = type(keras.Model(x, x))
    return (
        inspect.getfullargspec(type(model).__init__).args
        == inspect.getfullargspec(plain.__init__).args
    )
