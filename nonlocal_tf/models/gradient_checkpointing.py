"""Models that recompute the features of residual blocks in backpropagation.

Training keeps the features of every layer for its gradient. With gradient
checkpointing, it keeps the inputs of blocks alone, and computes the rest again
when the gradient needs it: less memory for a second forward pass.

`keras.RematScope` does the same for single layers. On TensorFlow it fails, in a
graph, on layers with weights, and would update the moving statistics of batch
normalization twice. Here, a block is a function of tensors: weights and
statistics go in, new statistics come out.

Reference:
    Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016.
"""

import dataclasses
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from nonlocal_tf.typing import Tensor

# Layers of one block, by the beginning of their names: residual blocks of
# ResNet with the non-local block after them, stages of the small networks.
BLOCK = re.compile(r"(\w+?_block\d+|stage\d+)_")


@keras.saving.register_keras_serializable("nonlocal_tf")
class CheckpointedModel(keras.Model):
    """Functional model with gradient checkpointing of each block.

    It has the layers, weights and outputs of the same `keras.Model`; only
    calls with `training=True` differ, in memory and time. A block is the
    layers whose names begin alike, such as `res3_block1_` or `stage2_`. A block
    with random operations, or with layers of another compute dtype than the
    model's, is not recomputed. Losses that layers add in a block, such as
    activity regularizers, are ignored, and so are updates of frozen layers.

    Args:
        inputs: symbolic input.
        outputs: symbolic output.
        name: name of the model.
        **kwargs: as of `keras.Model`.

    Raises:
        ValueError: the model has several inputs or outputs, or layers after a
            block use features from inside it or before it.
    """

    def __init__(
        self,
        inputs: Any,
        outputs: Any,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(inputs, outputs, name=name, **kwargs)
        self._segments = _segments(self)

    def call(
        self,
        inputs: Tensor,
        training: bool | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        if not training or isinstance(inputs, keras.KerasTensor):
            return super().call(inputs, training=training, mask=mask)
        (x,) = self._standardize_inputs(inputs)
        for segment in self._segments:
            x = segment(x, self.compute_dtype)
        return x


@dataclasses.dataclass(frozen=True)
class _Segment:
    """Consecutive layers of a model, in training.

    It is no Keras object: the model has the layers already, once.

    Attributes:
        function: graph of the layers, from one tensor to another.
        is_block: whether the layers are those of a block.
    """

    function: keras.Function
    is_block: bool

    def __call__(self, x: Tensor, compute_dtype: str) -> Tensor:
        if not (self.is_block and self._is_recomputable(compute_dtype)):
            return self._run(x)
        state = [
            variable
            for layer in self._layers()
            if layer.trainable
            for variable in layer.non_trainable_variables
        ]
        # Copies of statistics, which PyTorch assigns in place.
        read = {id(variable): ops.copy(variable.value) for variable in state}
        variables = self._variables()
        values = [
            read.get(id(variable), ops.convert_to_tensor(variable.value))
            for variable in variables
        ]

        def pure(x: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
            mapping = list(zip(variables, values, strict=True))
            with keras.StatelessScope(mapping) as scope:
                y = self._run(x)
            new = [scope.get_current_value(v) for v in state]
            return (y, *map(ops.stop_gradient, new))

        y, *new = keras.remat(pure)(x, *values)
        for variable, value in zip(state, new, strict=True):
            variable.assign(value)
        return y

    def _layers(self) -> list[keras.Layer]:
        operations = self.function.operations
        return [x for x in operations if isinstance(x, keras.Layer)]

    def _variables(self) -> list[keras.Variable]:
        return [v for layer in self._layers() for v in layer.variables]

    def _is_recomputable(self, compute_dtype: str) -> bool:
        """Return whether tensors can stand for the variables.

        States of random generators are integers, which have no gradients. A
        variable is read in the model's compute dtype.
        """
        return all(
            keras.backend.is_float_dtype(variable.dtype)
            for variable in self._variables()
        ) and all(
            layer.compute_dtype == compute_dtype for layer in self._layers()
        )

    def _run(self, x: Tensor) -> Tensor:
        return self.function._run_through_graph(x, operation_fn=_in_training)


def _in_training(operation: Callable) -> Callable:
    """Return a layer or operation as it is called in training."""
    # Backpropagation is outside of the model's call, which would tell them.
    call = getattr(operation, "call", operation)
    if "training" not in inspect.signature(call).parameters:
        return operation
    return lambda *args, **kwargs: operation(
        *args, **{**kwargs, "training": True}
    )


def _segments(model: keras.Model) -> list[_Segment]:
    """Divide a model into its blocks and what is between them."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            "Expected a model of one input and one output for gradient "
            f"checkpointing. Received: {model.name!r} with "
            f"{len(model.inputs)} inputs, {len(model.outputs)} outputs"
        )
    segments = []
    start = model.inputs[0]
    for block, last in _ends(model):
        try:
            function = keras.Function(start, last)
        except ValueError as error:
            raise ValueError(
                "Expected blocks one after the other for gradient "
                f"checkpointing. Received: {model.name!r}, where layers up to "
                f"{last.name!r} use features from before {start.name!r}"
            ) from error
        segments.append(_Segment(function, block is not None))
        start = last
    return segments


def _ends(model: keras.Model) -> Sequence[tuple[str | None, Tensor]]:
    """List the blocks, None for other layers, with their last outputs."""
    ends: list[tuple[str | None, Tensor]] = []
    for layer in model.layers[1:]:
        match = BLOCK.match(layer.name)
        block = match and match[1]
        if ends and ends[-1][0] == block:
            ends.pop()
        ends.append((block or None, layer.output))
    return ends
