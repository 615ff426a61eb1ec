"""Parameters and multiply-adds of a model, as the paper counts them.

The paper and its code count the weights of convolutions and linear maps alone,
and the multiply-adds of these and of the two matrix products of a non-local
operation in its plain form. So do we, whatever form computes them: the dot
product and the concatenation take fewer here (`nonlocal_tf.ops`).
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
    """Of one layer, or of several.

    Attributes:
        weights: of convolutions and linear maps; the paper's "params".
        parameters: these, biases, scales and shifts: all that training
            changes, or would if nothing was frozen.
        multiply_adds: for one clip or image; the paper's "FLOPs".
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
    """What a model costs.

    Args:
        model: a functional model on clips or images.
        shape: of one clip or image, `(time, height, width, channels)` or
            `(height, width, channels)`. Default: the model's own, which has to
            be known for it.

    Returns:
        A `Cost`: `weights` of convolutions and linear maps (what the paper
        counts), `parameters` with biases, scales and shifts (what `summary`
        shows), and `multiply_adds` of one clip or image.

    Raises:
        ValueError: the shape is not known or does not fit the model.

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
    """What each layer of a model costs in all of its calls, by its name.

    Args:
        model: as of `cost`.
        shape: as of `cost`.
    """
    costs: dict[str, Cost] = {}
    for layer, input_shape, _ in layer_shapes(model, shape):
        one = layer_cost(layer, input_shape)
        if layer.name in costs:  # called again, with the same weights
            one = dataclasses.replace(one, weights=0, parameters=0)
        costs[layer.name] = costs.get(layer.name, Cost()) + one
    return costs


def layer_shapes(
    model: keras.Model, shape: tuple[int, ...] | None = None
) -> list[tuple[keras.Layer, tuple[int, ...], tuple[int, ...]]]:
    """(layer, input shape, output shape) of a model's layers, in order.

    Args:
        model: as of `cost`.
        shape: as of `cost`.

    Returns:
        A list; shapes are those of one example, without the batch. A layer of
        several inputs has the shape of the first.
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
            "the model or as `shape`, as what a model costs depends on them. "
            f"Received: {tuple(shape)}"
        )
    found: list[tuple] = []

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Tensor:
        # A layer may be called several times: the name counts the calls.
        out = _Shapes(layer, f"call_{len(found)}")(*args, **kwargs)
        first, result = keras.tree.flatten(args)[0], keras.tree.flatten(out)[0]
        found.append((layer, first.shape[1:], result.shape[1:]))
        return out

    keras.models.clone_model(
        model,
        input_tensors=keras.Input(shape, dtype=model.inputs[0].dtype),
        clone_function=lambda layer: layer,
        call_function=call,
    )
    return found


class _Shapes(keras.Operation):
    """A layer's shapes, without calling it or making weights anew."""

    def __init__(self, layer: keras.Layer, name: str):
        super().__init__(name=name)
        self._of = layer

    def call(self, *args: Any, **kwargs: Any) -> Any:
        return self._of(*args, **kwargs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        return self._of.compute_output_spec(*args, **kwargs)


def layer_cost(layer: keras.Layer, input_shape: tuple[int, ...]) -> Cost:
    """What a built layer costs.

    Args:
        layer: any; those without a product cost nothing but parameters.
        input_shape: of one example, without the batch.
    """
    if isinstance(layer, NonLocalBlock):
        return _block_cost(layer, input_shape)
    parameters = _parameters(layer)
    if isinstance(layer, (*CONVOLUTIONS, layers.Dense)):
        weights = math.prod(layer.kernel.shape)
        output = layer.compute_output_shape((1, *input_shape))
        places = math.prod(output[1:-1])
        return Cost(weights, parameters, places * weights)
    return Cost(0, parameters, 0)


def _parameters(layer: keras.Layer) -> int:
    """Of a layer without its statistics and random states."""
    return sum(
        math.prod(weight.shape)
        for weight in layer.weights
        if not weight.name.startswith("moving_")
    )


def _block_cost(block: NonLocalBlock, input_shape: tuple[int, ...]) -> Cost:
    *sizes, channels = input_shape
    n = math.prod(sizes)
    m = math.prod(
        size // by for size, by in zip(sizes, block.pool_size, strict=True)
    )
    rows, keys = block.positions_and_keys((1, *input_shape))
    d = block.g.units
    # Where the keys are pooled after their projection, all are projected.
    projected = m if block.pool_position == "before" else n
    count = channels * d
    adds = (projected + n) * count  # g and out
    weights = 2 * count
    if block.pairwise.embeds:
        adds += (projected + n) * count  # phi and theta
        weights += 2 * count
    own = _parameters(block.pairwise)
    width = d if block.pairwise.embeds else channels
    if own:  # the concatenation: two numbers a position, and their sums
        adds += (n + m) * d
        weights += own
    else:
        adds += rows * keys * width
    adds += rows * keys * d
    return Cost(weights, _parameters(block), adds)
