"""Build a network again for clips of other sizes, with the same weights."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import layers

from nonlocal_tf.models import layer_copy

Shape = tuple[int | None, ...]
POOL = "pool5"
WINDOW_HEAD = {
    POOL: layers.GlobalAveragePooling3D,
    "dropout": layers.Dropout,
    "logits": layers.Dense,
}


def accepts(taken: Shape, shape: Shape) -> bool:
    """Return True if inputs of a shape fit; None stands for any size."""
    return len(taken) == len(shape) and all(
        expected in (None, size)
        for expected, size in zip(taken, shape, strict=True)
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


def has_window_head(model: keras.Model) -> bool:
    """Return True for the head that evaluation applies in windows.

    It is the classification head of `nonlocal_tf.models.resnet_head`, also of
    loaded and changed networks.
    """
    named = {layer.name: layer for layer in getattr(model, "layers", ())}
    return all(
        isinstance(named.get(name), kind) for name, kind in WINDOW_HEAD.items()
    )


def clone_in_windows(
    model: keras.Model,
    shape: Shape,
    window_shape: Shape,
    dtype: str | None = None,
) -> keras.Model:
    """Clone a network with its head fully convolutional.

    Args:
        model: with the head that `has_window_head` tells.
        shape: of the new input, without the batch.
        window_shape: of the windows of clips, without the batch.
        dtype: of all layers. Default: that of each.

    Returns:
        A functional model with copies of the weights and outputs at each
        position, `(batch, t, h, w, classes)`.
    """
    pool = model.get_layer(POOL)
    features = keras.Model(model.inputs[0], pool.input)
    if not accepts(model.inputs[0].shape[1:], window_shape):  # not square
        features = _clone(features, window_shape, dtype)
    window = features.compute_output_shape((None, *window_shape))[1:-1]
    average = layers.AveragePooling3D(
        window, strides=1, name=POOL, dtype=dtype or pool.dtype_policy
    )
    network = _clone(model, shape, dtype, {POOL: average})
    network.set_weights(model.get_weights())
    return network


def _clone(
    model: keras.Model,
    shape: Shape,
    dtype: str | None,
    replacements: Mapping[str, keras.Layer] | None = None,
) -> keras.Model:
    (tensor,) = model.inputs
    outputs = model.outputs if len(model.outputs) > 1 else model.outputs[0]
    # Without the loss and metrics, which might not be serializable.
    plain = keras.Model(tensor, outputs, name=model.name)
    copies = dict(replacements or {})

    def copy_and_call(operation, *args, **kwargs):
        if not isinstance(operation, keras.Layer):  # of keras.ops
            return operation(*args, **kwargs)
        name = operation.name
        if name not in copies:  # a layer may be called several times
            copies[name] = _copy(operation, args, dtype)
        return copies[name](*args, **kwargs)

    return keras.models.clone_model(
        plain,
        input_tensors=keras.Input(shape, dtype=tensor.dtype, name=tensor.name),
        clone_function=lambda layer: layer,
        call_function=copy_and_call,
    )


def _copy(
    layer: keras.Layer, args: Sequence[Any], dtype: str | None
) -> keras.Layer:
    """Copy a layer, without its weights, for a call with other shapes."""
    if isinstance(layer, keras.Model) and len(layer.inputs) == 1:
        return _clone(layer, args[0].shape[1:], dtype)
    if isinstance(layer, layers.TimeDistributed):
        inner = _copy(layer.layer, [args[0][:, 0]], dtype)
        return layers.TimeDistributed(inner, name=layer.name)
    return layer_copy.copy_layer(layer, dtype)


def call(model: keras.Model, shape: Shape) -> keras.Model:
    """Make a functional model of a subclassed one, sharing its weights.

    Args:
        model: subclass of `keras.Model` that takes one tensor.
        shape: of the input, without the batch.
    """
    inputs = keras.Input(shape)
    return keras.Model(inputs, model(inputs), name=model.name)
