"""Masks of positions, and causality, of a non-local block.

A mask is True for the positions that count. What the others hold never
matters, NaN included, so zeros replace it before any product or sum.
"""

import inspect
import math
import reprlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from nonlocal_tf.layers.attention_layout import AttentionLayout
from nonlocal_tf.ops import max_pool
from nonlocal_tf.typing import Shape, Tensor

_EXPECTED = (
    "Expected `{}` of booleans, True for the positions that count (or of "
    "numbers, 0 for those that do not), in an array, a tensor or nested lists."
)


def position_mask(
    mask: Tensor | None, x: Tensor, name: str = "mask"
) -> Tensor | None:
    """Convert a mask to booleans of the shape of `x` without channels.

    Args:
        mask: None, or `(batch, positions)`, the shape of `x` without channels,
            or `(batch, time)` for a clip.
        x: feature map of rank 3 to 5.
        name: name of the argument in the error message.

    Raises:
        ValueError: the mask has another shape or is none.
    """
    if mask is None:
        return None
    mask = checked_mask(mask, x, name)
    mask = ops.cast(mask, "bool")
    if len(mask.shape) == len(x.shape) - 1:
        return mask
    batch, *sizes, _ = ops.shape(x)
    count = ops.shape(mask)[1]  # all positions, or the frames
    repeats = (batch, count, math.prod(sizes) // count)
    mask = ops.broadcast_to(ops.expand_dims(mask, 2), repeats)
    return ops.reshape(mask, (batch, *sizes))


def checked_mask(mask: Tensor, x: Tensor, name: str = "mask") -> Tensor:
    """Return a mask of a right shape, nested lists as an array.

    Args:
        mask: as for `position_mask`, not None.
        x: feature map of rank 3 to 5.
        name: name of the argument in the error message.

    Raises:
        ValueError: the mask has another shape, or no booleans or numbers, or
            numbers that are added to logits: 0 and -inf would mean the
            opposite.
    """
    mask = as_array(mask, name)
    dtype = keras.backend.standardize_dtype(mask.dtype)
    if "float" in dtype:
        _check_values(mask, name)
    elif not any(kind in dtype for kind in ("bool", "int")):
        raise ValueError(f"{_EXPECTED.format(name)} Received: dtype={dtype}")
    batch, *sizes, _ = x.shape
    flat = None if None in sizes else math.prod(sizes)
    expected = [(batch, *sizes), (batch, flat)]
    if len(sizes) == 3:
        expected.append((batch, sizes[0]))
    shape = tuple(mask.shape)
    if not any(fits(shape, e) for e in expected):
        shapes = " or ".join(map(str, dict.fromkeys(expected)))
        raise ValueError(
            f"Expected `{name}` of shape {shapes}, for an input of shape "
            f"{tuple(x.shape)}. Received: {name} of shape {shape}"
        )
    return mask


def _check_values(mask: Tensor, name: str) -> None:
    """Check that a mask of floats holds zeros and ones.

    Keras makes floats of all inputs of a subclassed model when it loads or
    exports one, without values: those of symbolic tensors are not checked.
    """
    try:
        values = ops.convert_to_numpy(mask)
    except (TypeError, ValueError, NotImplementedError, RuntimeError):
        return  # symbolic
    if not np.isin(values, (0, 1)).all():
        found = np.unique(values[~np.isin(values, (0, 1))])[:2]
        raise ValueError(
            f"{_EXPECTED.format(name)} Floats are 0 or 1. Received: {found}"
        )


def as_array(mask: Tensor, name: str = "mask") -> Tensor:
    """Return a tensor as it is, nested lists as an array.

    Raises:
        ValueError: the lists or the array hold no numbers.
    """
    if hasattr(mask, "dtype") and not isinstance(mask, np.ndarray):
        return mask
    try:
        array = np.asarray(mask)
    except ValueError:  # rows of different lengths
        array = np.asarray(None)
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"{_EXPECTED.format(name)} Received: {name}={reprlib.repr(mask)}"
        )
    return array


def check_masks(
    x: Tensor,
    mask: Tensor | None,
    context: Tensor | None,
    context_mask: Tensor | None,
) -> None:
    """Check the masks of a block's call, each of which may be None.

    Raises:
        ValueError: a mask does not fit its tensor.
    """
    if mask is not None:
        checked_mask(mask, x)
    if context is None:
        check_no_mask(context_mask)
    elif context_mask is not None:
        checked_mask(context_mask, context, "context_mask")


def check_no_mask(context_mask: Tensor | None) -> None:
    """Check that there is no mask of a context that is not given."""
    if context_mask is not None:
        raise ValueError("`context_mask` goes with `context`.")


def fits(shape: Shape, expected: Shape) -> bool:
    """Return True if the sizes that are known in both are equal."""
    return len(shape) == len(expected) and all(
        size == e or not (isinstance(size, int) and isinstance(e, int))
        for size, e in zip(shape, expected, strict=True)
    )


def zero_masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """Replace masked positions of `(batch, [sizes], c)` by zeros."""
    return x if mask is None else select(mask, x, ops.zeros_like(x))


def select(mask: Tensor, x: Tensor, masked: Tensor) -> Tensor:
    """Return `x` where the mask is True, else `masked`."""
    return ops.where(ops.expand_dims(mask, -1), x, masked)


def masked_max_pool(
    x: Tensor, mask: Tensor | None, pool_size: Sequence[int]
) -> Tensor:
    """Max-pool the positions that count.

    Args:
        x: feature map, `(batch, [sizes], c)`.
        mask: booleans, `(batch, [sizes])`, or None.
        pool_size: size of the window along each axis.

    Returns:
        The pooled feature map; zeros where no position of a window counts.
    """
    if mask is None or math.prod(pool_size) == 1:
        return max_pool(x, pool_size)
    lowest = ops.full_like(x, -math.inf)
    x = max_pool(select(mask, x, lowest), pool_size)
    return zero_masked(x, pooled_mask(mask, pool_size))


def pooled_mask(mask: Tensor, pool_size: Sequence[int]) -> Tensor:
    """Pool a mask: a window counts if any of its positions does."""
    if math.prod(pool_size) == 1:
        return mask
    mask = ops.expand_dims(ops.cast(mask, "float32"), -1)
    return ops.squeeze(max_pool(mask, pool_size), -1) > 0


def flat_mask(mask: Tensor | None, queries: Tensor | None) -> Tensor | None:
    """Reshape a mask to `(batch, n)`, or that of some of the positions.

    Args:
        mask: booleans, `(batch, [sizes])`, or None.
        queries: flat indices, `(k,)`, or None for all.
    """
    if mask is None:
        return None
    batch, *sizes = ops.shape(mask)
    mask = ops.reshape(mask, (batch, math.prod(sizes)))
    return mask if queries is None else ops.take(mask, queries, axis=1)


def mask_of_queries(
    key_mask: Tensor | None,
    layout: AttentionLayout,
    queries: Tensor,
    like: Tensor,
    steps: int | Tensor | None,
    phi: Tensor,
) -> Tensor | None:
    """Return the keys that each query sees, each query as an example.

    Args:
        key_mask: `(rows, m)`, or None.
        layout: layout of the block.
        queries: flat indices in the order time, height, width, `(k,)`.
        like: feature map, `(batch, [sizes], c)`.
        steps: frames of a row, for causality, or None.
        phi: keys of each query, `(batch, k, m, d)`.

    Returns:
        `(batch * k, m)`, or None if all queries see all keys.
    """
    batch, count, m, _ = ops.shape(phi)
    mask = None
    if key_mask is not None:
        mask = layout.keys_of_queries(
            ops.expand_dims(key_mask, -1), queries, like
        )
        mask = ops.squeeze(mask, -1)
    if steps is not None:
        places = math.prod(ops.shape(like)[2:-1])
        ends = (queries // places % steps + 1) * (m // steps)
        past = ops.arange(m, dtype="int32") < ops.expand_dims(ends, 1)
        past = ops.broadcast_to(past, (batch, count, m))
        mask = past if mask is None else mask & past
    return None if mask is None else ops.reshape(mask, (batch * count, m))


def check_causal_options(axes: str, pairwise: Any) -> None:
    """Check the options of a causal block.

    Raises:
        ValueError: positions do not attend along time, or the pairwise
            function takes no `steps`.
    """
    if axes == "space":
        raise ValueError(
            "`causal` needs positions that attend along time. Received: "
            "causal=True, axes='space'"
        )
    check_takes(pairwise.call, ["steps"])


def check_causal(pool_size: Sequence[int], input_shape: Shape) -> None:
    """Check that the input of a causal block has a time axis, not pooled.

    Raises:
        ValueError: it has none, or it is pooled.
    """
    if len(input_shape) == 4:
        raise ValueError(
            "`causal` needs an input with a time axis: (batch, time, channels) "
            "or (batch, time, height, width, channels). "
            f"Received: shape={input_shape}"
        )
    if pool_size[0] != 1:
        raise ValueError(
            "`causal` does not go with a `subsample` along time: a pooled key "
            f"would hold later frames. Received: subsample={tuple(pool_size)}"
        )


def visibility(
    function: Callable, mask: Tensor | None, steps: int | Tensor | None
) -> dict[str, Any]:
    """Return the arguments `mask` and `steps` of a pairwise function.

    Args:
        function: `call` or `affinity` of a `Pairwise` layer.
        mask: `(rows, m)` or None.
        steps: frames of a row, for causality, or None.

    Raises:
        ValueError: the function does not take one of them that is not None.
    """
    arguments = {"mask": mask, "steps": steps}
    arguments = {k: v for k, v in arguments.items() if v is not None}
    check_takes(function, arguments)
    return arguments


def check_takes(function: Callable, names: Sequence[str] | dict) -> None:
    """Check that a pairwise function takes arguments of these names.

    Raises:
        ValueError: it does not.
    """
    if not names:
        return
    accepted = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted):
        return
    option = {"mask": "a mask", "steps": "causal=True"}
    for name in names:
        if name not in inspect.signature(function).parameters:
            owner = type(getattr(function, "__self__", function)).__name__
            raise ValueError(
                f"{option[name]} does not go with the pairwise function "
                f"{owner}, whose `{function.__name__}` does not take "
                f"`{name}`; a function of your own needs the argument, one of "
                "the paper's has it"
            )


class ImplicitMask(layers.Layer):
    """Layer that returns the mask that Keras passes to it.

    Keras passes it to a layer whose call has a single tensor.
    """

    def __init__(self) -> None:
        super().__init__(autocast=False)

    def call(self, x: Tensor, mask: Tensor | None = None) -> Tensor | None:
        return mask

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor) -> None:
        """Return no mask: a mask has none."""


def implicit_mask(x: Tensor) -> Tensor | None:
    """Return the mask that Keras keeps beside a tensor, or None."""
    return ImplicitMask()(x) if hasattr(x, "dtype") else None
