"""Parameters and multiply-adds (FLOPs) of a model, as the paper counts them.

As in the paper and its code, `weights` are those of convolutions and dense
layers only, and multiply-adds those of these layers and of the two matrix
products of a non-local operation in its plain form, although other forms of
`nonlocal_tf.ops` take fewer.
"""

import dataclasses
import math
from typing import Any

import keras
from keras import layers

from nonlocal_tf.layers.nonlocal_block import NonLocalBlock
from nonlocal_tf.models import flattening
from nonlocal_tf.models.flattening import FlatGraph

CONVOLUTIONS = (layers.Conv2D, layers.Conv3D)


@dataclasses.dataclass(frozen=True)
class Cost:
    """Parameters and multiply-adds of layers.

    Attributes:
        weights: weights of convolutions and dense layers; "params" in the
            paper.
        parameters: all trainable and frozen parameters: weights, biases,
            scales and shifts.
        multiply_adds: multiply-adds of one clip or image; "FLOPs" in the
            paper.
    """

    weights: int = 0
    parameters: int = 0
    multiply_adds: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.weights + other.weights,
            self.parameters + other.parameters,
            self.multiply_adds + other.multiply_adds,
        )


def cost(model: keras.Model, shape: tuple[int, ...] | None = None) -> Cost:
    """Count the parameters and multiply-adds of a model.

    Args:
        model: functional or Sequential model on clips or images, nested models
            included.
        shape: shape of a clip or image, `(time, height, width, channels)` or
            `(height, width, channels)`. Default: that of the model's input,
            which must be fully known.

    Returns:
        A `Cost`: `weights` of convolutions and dense layers (the paper's
        count), `parameters` with biases, scales and shifts, and
        `multiply_adds` of one clip or image.

    Raises:
        ValueError: the shape is unknown or does not fit the model.

    Example:

    >>> import nonlocal_tf as nl
    >>> model = nl.create_model("c2d_r50", sampling="8x8")
    >>> total = nl.cost(model)
    >>> f"{total.weights:,} weights, {total.multiply_adds / 1e9:.2f} billion"
    '24,274,112 weights, 19.29 billion'
    """
    return sum(layer_costs(model, shape).values(), Cost())


def layer_costs(
    model: keras.Model, shape: tuple[int, ...] | None = None
) -> dict[str, Cost]:
    """Count the parameters and multiply-adds of each layer, by its name.

    Layers of nested models with equal names have their paths for names.

    Args:
        model: as for `cost`.
        shape: as for `cost`.
    """
    graph = _flatten(model, shape)
    names = {id(call.layer): name for name, call in graph.by_name().items()}
    costs: dict[str, Cost] = {}
    for call in graph.calls:
        call_cost = layer_cost(call.layer, _size(call.input))
        name = names[id(call.layer)]
        if name in costs:  # another call, with the same weights
            call_cost = dataclasses.replace(call_cost, weights=0, parameters=0)
        costs[name] = costs.get(name, Cost()) + call_cost
    return costs


def layer_shapes(
    model: keras.Model, shape: tuple[int, ...] | None = None
) -> list[tuple[keras.Layer, tuple[int, ...], tuple[int, ...]]]:
    """List the layers of a model in order, with their shapes.

    Nested models are replaced by their layers.

    Args:
        model: as for `cost`.
        shape: as for `cost`.

    Returns:
        A list of `(layer, input shape, output shape)`, shapes without the
        batch. For a layer with several inputs the shape is that of the first.
    """
    return [
        (call.layer, _size(call.input), _size(call.output))
        for call in _flatten(model, shape).calls
    ]


def _flatten(model: keras.Model, shape: tuple[int, ...] | None) -> FlatGraph:
    """Return the graph of a model for one shape of its input."""
    if not flattening.is_graph(model) or len(model.inputs) != 1:
        raise ValueError(
            "Expected a functional or Sequential model of one input. Received: "
            f"{type(model).__name__} {model.name!r}"
        )
    shape = model.input_shape[1:] if shape is None else shape
    if len(shape) != len(model.input_shape) - 1:
        raise ValueError(
            "Expected `shape` to have as many sizes as the model's input, "
            f"{model.input_shape[1:]}. Received: {tuple(shape)}"
        )
    if None in shape:
        raise ValueError(
            "Expected the shape of a clip or image without unknown sizes, in "
            f"the model or as `shape`. Received: {tuple(shape)}"
        )
    return flattening.flatten(
        model, keras.Input(shape, dtype=model.inputs[0].dtype)
    )


def _size(tensors: Any) -> tuple[int, ...]:
    """Return the shape of the first tensor, without the batch."""
    return keras.tree.flatten(tensors)[0].shape[1:]


def layer_cost(layer: keras.Layer, input_shape: tuple[int, ...]) -> Cost:
    """Count the parameters and multiply-adds of a built layer.

    Args:
        layer: any layer. Multiply-adds are those of convolutions, dense layers
            and non-local blocks.
        input_shape: shape of the input without the batch.
    """
    if isinstance(layer, NonLocalBlock):
        return _block_cost(layer, input_shape)
    parameters = _parameters(layer)
    if isinstance(layer, (*CONVOLUTIONS, layers.Dense)):
        weights = math.prod(layer.kernel.shape)
        output = layer.compute_output_shape((1, *input_shape))
        positions = math.prod(output[1:-1])
        return Cost(weights, parameters, positions * weights)
    return Cost(0, parameters, 0)


def _parameters(layer: keras.Layer) -> int:
    """Count the parameters of a layer without its moving statistics."""
    return sum(
        math.prod(weight.shape)
        for weight in layer.weights
        if not weight.name.startswith("moving_")
    )


def _block_cost(block: NonLocalBlock, input_shape: tuple[int, ...]) -> Cost:
    *sizes, channels = input_shape
    n = math.prod(sizes)
    m = math.prod(
        size // pool for size, pool in zip(sizes, block.pool_size, strict=True)
    )
    rows, keys = block.positions_and_keys((1, *input_shape))
    c = block.g.units
    # Pooled after the projection, all positions are projected to keys.
    projected = m if block.pool_position == "before" else n
    adds = (projected + n) * channels * c  # g and out
    weights = 2 * channels * c
    width = channels  # of all heads
    if block.pairwise.embeds:
        width = block.theta.units
        adds += (projected + n) * channels * width  # phi and theta
        weights += 2 * channels * width
    pairwise_weights = _parameters(block.pairwise)
    if pairwise_weights:  # concatenation: w_f . theta_i and w_f . phi_j
        adds += (n + m) * width
        weights += pairwise_weights
    else:
        adds += rows * keys * width
    adds += rows * keys * c
    return Cost(weights, _parameters(block), adds)
