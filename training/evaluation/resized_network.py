"""Build a network again for clips of other sizes, with the same weights."""

from collections.abc import Mapping

import keras
from keras import layers

from nonlocal_tf.models.layer_copy import ModelCopy
from nonlocal_tf.typing import Tensor

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
        A model of the same kind with copies of the weights.

    Raises:
        ValueError, TypeError, NotImplementedError: a layer does not take such
            inputs, or cannot be cloned.
    """
    return _Resizing(dtype).copy(model, _input(model, shape))


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
        features = clone(features, window_shape, dtype)
    window = features.compute_output_shape((None, *window_shape))[1:-1]
    average = layers.AveragePooling3D(
        window, strides=1, name=POOL, dtype=dtype or pool.dtype_policy
    )
    copies = _Resizing(dtype, {POOL: average})
    return copies.copy(model, _input(model, shape))


class _Resizing(ModelCopy):
    """Copies of layers, with others in place of some.

    Args:
        dtype: of all layers. Default: that of each.
        others: layers by the names of those that they replace.
    """

    def __init__(
        self,
        dtype: str | None,
        others: Mapping[str, keras.Layer] | None = None,
    ):
        super().__init__(dtype)
        self._others = others or {}

    def replacements(self, layer: keras.Layer, x: Tensor) -> list[keras.Layer]:
        if layer.name in self._others:
            return [self._others[layer.name]]
        return super().replacements(layer, x)


def _input(model: keras.Model, shape: Shape) -> Tensor:
    """Return a symbolic input of a shape, like the only one of a model."""
    (x,) = model.inputs
    return keras.Input(shape, dtype=x.dtype, name=x.name)


def call(model: keras.Model, shape: Shape) -> keras.Model:
    """Make a functional model of a subclassed one, sharing its weights.

    Args:
        model: subclass of `keras.Model` that takes one tensor.
        shape: of the input, without the batch.
    """
    inputs = keras.Input(shape)
    return keras.Model(inputs, model(inputs), name=model.name)
