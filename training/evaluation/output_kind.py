"""Tell whether the outputs of a Keras model are logits or probabilities."""

import keras
from keras import activations, layers

from nonlocal_tf.typing import Tensor

PROBABILITIES = (activations.softmax, activations.sigmoid)
# Operations of `keras.ops`, by the names of their classes.
PROBABILITY_OPS = ("Softmax", "Sigmoid")
# Layers and operations that leave logits logits and probabilities such.
NEUTRAL = (
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "Cast",
    "Dropout",
    "Flatten",
    "GetItem",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "Identity",
    "Mean",
    "Permute",
    "Reshape",
    "Squeeze",
    "Transpose",
)


def outputs_logits(model: keras.Model) -> bool:
    """Return True for a model to logits, False for one to probabilities.

    The last operation tells it: a softmax or sigmoid gives probabilities, a
    linear layer logits; pooling, dropout and reshaping after it do not count.
    Otherwise the loss tells it that the model is compiled with.

    Args:
        model: with one output.

    Raises:
        ValueError: neither tells it, or the model is not built.
    """
    is_logits = None
    if getattr(model, "outputs", None):
        is_logits = _of_tensor(model.outputs[0])
    if is_logits is None:
        is_logits = _of_loss(model)
    if is_logits is None:
        if isinstance(model, keras.Sequential) and not model.built:
            raise ValueError(
                "Expected a model that is built. Received: keras.Sequential "
                f"{model.name!r}, which is not. Give it a keras.Input as its "
                "first layer."
            )
        raise ValueError(
            f"Expected the last layer of model {model.name!r} to be linear "
            "(logits), a softmax or a sigmoid (probabilities). Received: "
            f"{_last_operation(model)}. Give from_logits=True or "
            "from_logits=False."
        )
    return is_logits


def _of_tensor(tensor: Tensor) -> bool | None:
    """Return True for logits, False for probabilities, None for neither."""
    operation, node, _ = tensor._keras_history
    if type(operation).__name__ in PROBABILITY_OPS:
        return False
    if isinstance(operation, keras.Model):
        if not getattr(operation, "outputs", None):
            return None
        return _of_tensor(operation.outputs[0])
    if isinstance(operation, layers.Wrapper):  # such as TimeDistributed
        inner = operation.layer
        if getattr(inner, "outputs", None):
            return _of_tensor(inner.outputs[0])
        return _of_activation(getattr(inner, "activation", None))
    if isinstance(operation, layers.Activation):
        kind = _of_activation(operation.activation)
        if kind is not True:
            return kind
    elif hasattr(operation, "activation"):
        return _of_activation(operation.activation)
    elif type(operation).__name__ not in NEUTRAL:
        return None
    inputs = operation._inbound_nodes[node].input_tensors
    kinds = {_of_tensor(x) for x in inputs}
    return kinds.pop() if len(kinds) == 1 else None


def _of_activation(activation: object) -> bool | None:
    if activation in PROBABILITIES:
        return False
    return True if activation is activations.linear else None


def _of_loss(model: keras.Model) -> bool | None:
    loss = getattr(model, "loss", None)
    if isinstance(loss, str) and loss.endswith("crossentropy"):
        return False
    if isinstance(loss, keras.losses.Loss):
        return loss.get_config().get("from_logits")
    return None


def _last_operation(model: keras.Model) -> str:
    if not getattr(model, "outputs", None):
        return "a subclass of keras.Model"
    operation = model.outputs[0]._keras_history.operation
    return f"{operation.name!r}, a {type(operation).__name__}"
