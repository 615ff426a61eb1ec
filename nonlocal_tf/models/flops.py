"""Parameters and multiply-adds (FLOPs) of a model, as the paper counts them.

As in the paper and its code, `weights` are those of convolutions and dense
layers only, and multiply-adds those of these layers and of the two matrix
products of a non-local operation in its plain form, although other forms of
`nonlocal_tf.ops` take fewer. Functions of linear cost have no plain form:
theirs are those of their definition.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence

import keras
from keras import layers

from nonlocal_tf.layers.nonlocal_block import NonLocalBlock
from nonlocal_tf.models import flattening, tracing
from nonlocal_tf.models.flattening import FlatGraph, LayerCall
from nonlocal_tf.typing import Tensor

CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
TRANSPOSED = (
    layers.Conv1DTranspose,
    layers.Conv2DTranspose,
    layers.Conv3DTranspose,
)


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
        model: any model on clips or images. Models inside it count, in
            `keras.layers.TimeDistributed` for each frame.
        shape: shape of a clip or image, `(time, height, width, channels)` or
            `(height, width, channels)`. Default: that of the model's inputs,
            which must be fully known; of a subclassed model, that of its first
            call.

    Returns:
        A `Cost`: `weights` of convolutions and dense layers (the paper's
        count), `parameters` with biases, scales and shifts, and
        `multiply_adds` of one clip or image. A non-local block counts as in
        the paper, with the two products by the n x m matrix, although the
        dot product and the concatenation take fewer; functions of linear
        cost count what they take. Keras' attention and recurrent layers
        count with their parameters alone.

    Raises:
        ValueError: the shape is unknown or does not fit the model, or the
            `call` of a subclassed model or layer does not run on symbolic
            tensors.

    Example:

    >>> import nonlocal_tf as nl
    >>> model = nl.create_model("c2d_r50", sampling="8x8")
    >>> total = nl.cost(model)
    >>> f"{total.weights:,} weights, {total.multiply_adds / 1e9:.2f} billion"
    '24,274,112 weights, 19.29 billion'
    """
    return total_cost(model, call_costs(flatten(model, shape)))


def layer_costs(
    model: keras.Model, shape: tuple[int, ...] | None = None
) -> dict[str, Cost]:
    """Count the parameters and multiply-adds of each layer, by its name.

    Layers of nested models with equal names have their paths for names.

    Args:
        model: as for `cost`.
        shape: as for `cost`.
    """
    graph = flatten(model, shape)
    names = {id(call.layer): name for name, call in graph.by_name().items()}
    costs: dict[str, Cost] = {}
    for call, call_cost in call_costs(graph):
        name = names[id(call.layer)]
        costs[name] = costs.get(name, Cost()) + call_cost
    return costs


def call_costs(graph: FlatGraph) -> list[tuple[LayerCall, Cost]]:
    """Count the multiply-adds of each call of a layer.

    Args:
        graph: from `flatten`, with known sizes.

    Returns:
        The calls in order with their costs. Weights and parameters are those
        of the first call of a layer; the other calls have the same.
    """
    costs: list[tuple[LayerCall, Cost]] = []
    counted: set[int] = set()
    for call in graph.calls:
        cost = _call_cost(call)
        cost = dataclasses.replace(
            cost, multiply_adds=cost.multiply_adds * call.frames
        )
        if id(call.layer) in counted:
            cost = Cost(multiply_adds=cost.multiply_adds)
        counted.add(id(call.layer))
        costs.append((call, cost))
    return costs


def total_cost(
    model: keras.Model, costs: Sequence[tuple[LayerCall, Cost]]
) -> Cost:
    """Add the costs of all calls, and the weights that no layer of them has.

    Args:
        model: the model.
        costs: from `call_costs`.
    """
    called = {id(weight) for call, _ in costs for weight in _weights(call)}
    others = [w for w in model.weights if id(w) not in called]
    return sum((c for _, c in costs), Cost(parameters=_parameters(others)))


def flatten(
    model: keras.Model, shape: tuple[int, ...] | None = None
) -> FlatGraph:
    """Return the graph of a model for one shape of its input.

    Args:
        model: as for `cost`.
        shape: as for `cost`.

    Raises:
        ValueError: see `cost`.
    """
    inputs = tracing.symbolic_input(model) if shape is None else None
    if tracing.is_graph(model) and shape is not None:
        inputs = _input_of_shape(model, shape)
    elif shape is not None:
        inputs = keras.Input(shape)
    for x in keras.tree.flatten(inputs):
        if None in x.shape[1:]:
            raise ValueError(
                "Expected the shape of a clip or image without unknown sizes, "
                f"in the model or as `shape`. Received: {tuple(x.shape[1:])}"
            )
    graph = flattening.flatten(model, inputs)
    for reason in graph.opaque.values():
        raise ValueError(
            f"{reason} Count the models and layers that its `call` uses."
        )
    return graph


def _input_of_shape(model: keras.Model, shape: tuple[int, ...]) -> Tensor:
    """Return a symbolic input of a shape for a model's only input."""
    if len(model.inputs) != 1:
        raise ValueError(
            "Expected a model of one input for `shape`. Received: "
            f"{model.name!r} with {len(model.inputs)} inputs. Build it with "
            "inputs of known sizes, and leave `shape` out."
        )
    if len(shape) != len(model.input_shape) - 1:
        raise ValueError(
            "Expected `shape` to have as many sizes as the model's input, "
            f"{model.input_shape[1:]}. Received: {tuple(shape)}"
        )
    return keras.Input(shape, dtype=model.inputs[0].dtype)


def _call_cost(call: LayerCall) -> Cost:
    if not isinstance(call.layer, NonLocalBlock):
        return layer_cost(call.layer, call.layer_input_shape)
    x_shape = call.argument_shape("x") or call.layer_input_shape
    return layer_cost(call.layer, x_shape, call.argument_shape("context"))


def layer_cost(
    layer: keras.Layer,
    input_shape: tuple[int, ...],
    context_shape: tuple[int, ...] | None = None,
) -> Cost:
    """Count the parameters and multiply-adds of a built layer.

    Args:
        layer: any layer. Multiply-adds are those of convolutions of all
            kinds, dense layers and non-local blocks.
        input_shape: shape of the input without the batch.
        context_shape: the same of a non-local block's context.
    """
    if isinstance(layer, NonLocalBlock):
        return _block_cost(layer, input_shape, context_shape or input_shape)
    parameters = _parameters(getattr(layer, "weights", ()))
    kernels = [math.prod(kernel.shape) for kernel in _kernels(layer)]
    if not kernels:
        return Cost(0, parameters, 0)
    # A transposed convolution applies its kernel at each input position.
    shape = input_shape
    if not isinstance(layer, TRANSPOSED):
        _, *shape = layer.compute_output_shape((1, *input_shape))
    is_first = getattr(layer, "data_format", None) == "channels_first"
    positions = math.prod(shape[1:] if is_first else shape[:-1])
    weights = sum(kernels)
    return Cost(weights, parameters, positions * weights)


def _kernels(layer: keras.Layer) -> list[keras.Variable]:
    """Return the kernels of a convolution or dense layer; else none."""
    if isinstance(layer, SEPARABLE):
        return [layer.depthwise_kernel, layer.pointwise_kernel]
    kinds = (*CONVOLUTIONS, *DEPTHWISE, *TRANSPOSED, layers.Dense)
    return [layer.kernel] if isinstance(layer, kinds) else []


def _weights(call: LayerCall) -> Sequence[keras.Variable]:
    """Return the weights of a called layer; operations have none."""
    return getattr(call.layer, "weights", ())


def _parameters(weights: Iterable[keras.Variable]) -> int:
    """Count the parameters among weights, without moving statistics."""
    return sum(
        math.prod(weight.shape)
        for weight in weights
        if not weight.name.startswith("moving_")
    )


def _block_cost(
    block: NonLocalBlock,
    input_shape: tuple[int, ...],
    keys_shape: tuple[int, ...],
) -> Cost:
    *sizes, channels = input_shape
    *key_sizes, key_channels = keys_shape
    n, projected = math.prod(sizes), math.prod(key_sizes)
    m = math.prod(
        size // pool
        for size, pool in zip(key_sizes, block.pool_size, strict=True)
    )
    rows, keys = block.positions_and_keys((1, *input_shape), (1, *keys_shape))
    if block.pool_position == "before":
        projected = m  # else all positions are projected, and pooled after
    c = block.g.units
    adds = projected * key_channels * c + n * c * channels  # g and out
    weights = (key_channels + channels) * c
    width = channels  # of all heads
    if block.pairwise.embeds:
        width = block.theta.units
        adds += (projected * key_channels + n * channels) * width
        weights += (key_channels + channels) * width  # phi and theta
    weights += _parameters(block.pairwise.weights)
    adds += block.heads * block.pairwise.multiply_adds(
        rows, m, keys, width // block.heads, c // block.heads
    )
    return Cost(weights, _parameters(block.weights), adds)
