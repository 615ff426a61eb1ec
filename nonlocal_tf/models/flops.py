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
from nonlocal_tf.typing import Tensor

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
        model: functional model on clips or images.
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

    Args:
        model: as for `cost`.
        shape: as for `cost`.
    """
    costs: dict[str, Cost] = {}
    for layer, input_shape, _ in layer_shapes(model, shape):
        call_cost = layer_cost(layer, input_shape)
        if layer.name in costs:  # another call, with the same weights
            call_cost = dataclasses.replace(call_cost, weights=0, parameters=0)
        costs[layer.name] = costs.get(layer.name, Cost()) + call_cost
    return costs


def layer_shapes(
    model: keras.Model, shape: tuple[int, ...] | None = None
) -> list[tuple[keras.Layer, tuple[int, ...], tuple[int, ...]]]:
    """List the layers of a model in order, with their shapes.

    Args:
        model: as for `cost`.
        shape: as for `cost`.

    Returns:
        A list of `(layer, input shape, output shape)`, shapes without the
        batch. For a layer with several inputs the shape is that of the first.
    """
    if isinstance(model, keras.Sequential) or len(model.inputs) != 1:
        raise ValueError(
            "Expected a functional model of one input. Received: "
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
    shapes: list[tuple] = []

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Tensor:
        # A layer may be called several times: unique names per call.
        out = _ShapeProbe(layer, f"call_{len(shapes)}")(*args, **kwargs)
        first, result = keras.tree.flatten(args)[0], keras.tree.flatten(out)[0]
        shapes.append((layer, first.shape[1:], result.shape[1:]))
        return out

    keras.models.clone_model(
        model,
        input_tensors=keras.Input(shape, dtype=model.inputs[0].dtype),
        clone_function=lambda layer: layer,
        call_function=call,
    )
    return shapes


class _ShapeProbe(keras.Operation):
    """Operation with a layer's output shape that does not connect the layer."""

    def __init__(self, layer: keras.Layer, name: str):
        super().__init__(name=name)
        self._layer = layer

    def call(self, *args: Any, **kwargs: Any) -> Any:
        return self._layer(*args, **kwargs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        return self._layer.compute_output_spec(*args, **kwargs)


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
    d = block.g.units
    # Pooled after the projection, all positions are projected to keys.
    projected = m if block.pool_position == "before" else n
    count = channels * d
    adds = (projected + n) * count  # g and out
    weights = 2 * count
    if block.pairwise.embeds:
        adds += (projected + n) * count  # phi and theta
        weights += 2 * count
    pairwise_weights = _parameters(block.pairwise)
    width = d if block.pairwise.embeds else channels
    if pairwise_weights:  # concatenation: w_f . theta_i and w_f . phi_j
        adds += (n + m) * d
        weights += pairwise_weights
    else:
        adds += rows * keys * width
    adds += rows * keys * d
    return Cost(weights, _parameters(block), adds)
