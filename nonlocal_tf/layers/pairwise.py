"""Layers of the pairwise functions f of the paper (section 3.2).

Each computes y `(batch, n, c)` from theta `(batch, n, d)`, phi `(batch, m, d)`
and g `(batch, m, c)`, and can return its attention weights. `register_pairwise`
adds a custom one under a name that `NonLocalBlock(pairwise=...)` then accepts.
"""

import math
import numbers
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import keras
from keras import layers, ops

from nonlocal_tf import ops as nonlocal_ops
from nonlocal_tf.choices import unknown
from nonlocal_tf.layers.heads import multiply_by_head
from nonlocal_tf.ops import (
    ConcatenationMethod,
    DotProductMethod,
    SoftmaxMethod,
    at_least_float32,
)
from nonlocal_tf.typing import Shape, Tensor

PairwiseT = TypeVar("PairwiseT", bound="Pairwise")
PAIRWISE: dict[str, type["Pairwise"]] = {}


def register_pairwise(
    name: str,
) -> Callable[[type[PairwiseT]], type[PairwiseT]]:
    """Class decorator that registers a `Pairwise` layer under a name."""

    def register(cls: type[PairwiseT]) -> type[PairwiseT]:
        if name in PAIRWISE:
            raise ValueError(
                f"Pairwise function {name!r} exists already. Choose another "
                "name, or delete it from PAIRWISE first."
            )
        PAIRWISE[name] = cls
        return cls

    return register


def get(identifier: "str | dict | Pairwise", **options: Any) -> "Pairwise":
    """Return the pairwise layer of a name, a serialized config or an instance.

    Args:
        identifier: a name in `PAIRWISE`, a `Pairwise`, or the result of
            `keras.saving.serialize_keras_object` for one.
        **options: constructor arguments, for a name only.

    Raises:
        ValueError: unknown name, or the layer does not accept an option.
        TypeError: the identifier is of another type.
    """
    if isinstance(identifier, dict):
        identifier = keras.saving.deserialize_keras_object(identifier)
    if isinstance(identifier, Pairwise):
        return identifier
    if not isinstance(identifier, str):
        raise TypeError(
            "Expected `pairwise` to be a name or a Pairwise layer. "
            f"Received: pairwise={identifier!r}"
        )
    if identifier not in PAIRWISE:
        raise ValueError(unknown("pairwise function", identifier, PAIRWISE))
    return PAIRWISE[identifier](**options)


def for_block(
    identifier: "str | dict | Pairwise",
    scale: float | Literal["rsqrt"] | None,
    **options: Any,
) -> "Pairwise":
    """Return a new pairwise layer for one block.

    Args:
        identifier: as for `get`; of a layer, a new one of its config.
        scale: factor on the logits, for the name of a Gaussian function.
        **options: constructor arguments of every layer, such as `name`.

    Raises:
        ValueError: `scale` without the name of a Gaussian function.
    """
    if isinstance(identifier, str):
        if scale is None:
            return get(identifier, **options)
        if not issubclass(PAIRWISE.get(identifier, Softmax), Softmax):
            raise ValueError(
                "`scale` applies to the Gaussian functions alone. "
                f"Received: pairwise={identifier!r}, scale={scale!r}"
            )
        return get(identifier, scale=scale, **options)
    if scale is not None:
        raise ValueError(
            "`scale` goes with the name of a pairwise function; a layer has "
            f"its own. Received: scale={scale!r}, "
            f"pairwise={type(get(identifier)).__name__}"
        )
    # A copy: a layer given to two blocks would share its weights.
    layer = get(identifier)
    return type(layer).from_config({**layer.get_config(), **options})


class Pairwise(layers.Layer):
    """Base class of the pairwise functions.

    A subclass implements `call` and `affinity`, the normalized attention
    weights. With the class attribute `embeds` the block passes learned
    projections theta and phi (the default), without it x itself (Gaussian).
    For blocks with masks both functions take `mask`, for causal ones `steps`.

    Args:
        method: method of the function in `nonlocal_tf.ops`; all are exact.
            `"auto"` chooses the best for the size and the device.
        **kwargs: `name`, `dtype`, `trainable`.

    Attributes:
        heads: heads of the block, which sets it before `build`. The heads of
            an example are rows that follow each other: `batch` below is that
            of the block's rows times `heads`, and d and c are channels of a
            head. A function with weights may have them for each head.

    Call arguments:
        theta: queries, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`.
        g: values, `(batch, m, c)`.
        mask: booleans, `(batch, m)`, True for the keys that count; None
            for all. A block passes it only where it has a mask.
        steps: number of frames, groups of equal size that queries and keys
            consist of; a query sees keys of its own frame and of earlier ones.
            None for all. A block passes it only if it is causal.

    Returns:
        y, `(batch, n, c)`.
    """

    embeds = True
    heads = 1
    methods: tuple[str, ...] = ("auto",)

    def __init__(self, method: str = "auto", **kwargs: Any):
        super().__init__(**kwargs)
        if method not in self.methods:
            raise ValueError(unknown("method", method, self.methods))
        self.method = method

    def build(
        self, theta_shape: Shape, phi_shape: Shape, g_shape: Shape
    ) -> None:
        """Create the weights, if the function has any."""

    def affinity(self, theta: Tensor, phi: Tensor) -> Tensor:
        """Compute the attention weights f(x_i, x_j) / C(x), `(batch, n, m)`."""
        raise TypeError(f"{type(self).__name__} implements no `affinity`.")

    def compute_mask(self, inputs: Any, previous_mask: Any) -> None:
        """Return no mask: Keras would give y, of queries, that of the keys."""

    def multiply_adds(
        self, n: int, m: int, keys: int, d: int, channels: int
    ) -> int:
        """Count multiply-adds by definition, without the projections.

        Args:
            n: number of queries.
            m: number of keys.
            keys: number of keys that a query attends to; m or less.
            d: channels of queries and keys.
            channels: channels of values.
        """
        return n * keys * (d + channels)

    def compute_output_shape(
        self, theta_shape: Shape, phi_shape: Shape, g_shape: Shape
    ) -> Shape:
        return (*theta_shape[:2], g_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "method": self.method}


class Softmax(Pairwise):
    """Base class of the two Gaussian functions: a softmax with a scale.

    Args:
        scale: factor on the logits: `None` or 1 (the paper's formula),
            `"rsqrt"` (d ** -0.5, the authors' code) or a positive number.
        method: `"auto"`, `"plain"`, `"stored"`, `"chunked"` or `"flash"`; see
            `nonlocal_tf.ops.softmax`.
        budget_mb: memory, in MB, of the attention weights of the whole batch
            in a training step, above which `"auto"` computes in chunks; see
            `nonlocal_tf.ops.softmax`.
        **kwargs: `name`, `dtype`, `trainable`.
    """

    method: SoftmaxMethod
    methods = nonlocal_ops.SOFTMAX_METHODS

    def __init__(
        self,
        scale: float | Literal["rsqrt"] | None = None,
        method: SoftmaxMethod = "auto",
        budget_mb: float = nonlocal_ops.SOFTMAX_BUDGET_MB,
        **kwargs: Any,
    ):
        super().__init__(method, **kwargs)
        nonlocal_ops.check_budget(budget_mb)
        self.budget_mb = budget_mb
        numeric = isinstance(scale, numbers.Real) and _is_finite(scale)
        numeric = numeric and not isinstance(scale, bool)
        if not (scale is None or scale == "rsqrt" or numeric):
            raise ValueError(
                "Expected `scale` to be None, 'rsqrt' or a positive number. "
                f"Received: scale={scale!r}"
            )
        self.scale = float(scale) if isinstance(scale, numbers.Real) else scale

    def call(
        self,
        theta: Tensor,
        phi: Tensor,
        g: Tensor,
        mask: Tensor | None = None,
        steps: int | Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        return nonlocal_ops.softmax(
            theta,
            phi,
            g,
            self._factor(theta),
            self.method,
            mask=mask,
            steps=steps,
            budget_mb=self.budget_mb,
            training=training,
        )

    def affinity(
        self,
        theta: Tensor,
        phi: Tensor,
        mask: Tensor | None = None,
        steps: int | Tensor | None = None,
    ) -> Tensor:
        return nonlocal_ops.softmax_affinity(
            theta, phi, self._factor(theta), mask=mask, steps=steps
        )

    def _factor(self, theta: Tensor) -> float:
        if self.scale is None:
            return 1.0
        if self.scale == "rsqrt":
            return 1.0 / math.sqrt(theta.shape[-1])
        return float(self.scale)

    def get_config(self) -> dict[str, Any]:
        config = {"scale": self.scale, "budget_mb": self.budget_mb}
        return {**super().get_config(), **config}


def _is_finite(scale: numbers.Real) -> bool:
    try:
        return 0 < float(scale) < math.inf
    except OverflowError:  # of a huge integer
        return False


@register_pairwise("gaussian")
@keras.saving.register_keras_serializable("nonlocal_tf")
class Gaussian(Softmax):
    """Gaussian f = exp(x_i . x_j), normalized by its sum over j.

    Has no theta and phi: it compares the features themselves, over all their
    channels.
    """

    embeds = False


@register_pairwise("embedded_gaussian")
@keras.saving.register_keras_serializable("nonlocal_tf")
class EmbeddedGaussian(Softmax):
    """Embedded Gaussian f = exp(theta_i . phi_j), normalized by sum_j f."""


@register_pairwise("dot_product")
@keras.saving.register_keras_serializable("nonlocal_tf")
class DotProduct(Pairwise):
    """Dot product f = theta_i . phi_j, normalized by the number of keys.

    Args:
        method: `"auto"`, `"plain"` or `"associative"`; see
            `nonlocal_tf.ops.dot_product`.
        **kwargs: `name`, `dtype`, `trainable`.
    """

    method: DotProductMethod
    methods = nonlocal_ops.DOT_PRODUCT_METHODS

    def call(
        self,
        theta: Tensor,
        phi: Tensor,
        g: Tensor,
        mask: Tensor | None = None,
        steps: int | Tensor | None = None,
    ) -> Tensor:
        return nonlocal_ops.dot_product(
            theta, phi, g, self.method, mask=mask, steps=steps
        )

    def affinity(
        self,
        theta: Tensor,
        phi: Tensor,
        mask: Tensor | None = None,
        steps: int | Tensor | None = None,
    ) -> Tensor:
        return nonlocal_ops.dot_product_affinity(
            theta, phi, mask=mask, steps=steps
        )


@register_pairwise("concatenation")
@keras.saving.register_keras_serializable("nonlocal_tf")
class Concatenation(Pairwise):
    """Concatenation f = ReLU(w_f . [theta_i, phi_j]), over the number of keys.

    The weight `w_f` has shape `(2 d, 1)`: theta's half, then phi's. In a block
    with several heads it has a column for each.

    Args:
        method: `"auto"`, `"plain"` or `"sorted"`; see
            `nonlocal_tf.ops.concatenation`.
        **kwargs: `name`, `dtype`, `trainable`.
    """

    method: ConcatenationMethod
    methods = nonlocal_ops.CONCATENATION_METHODS

    def build(
        self, theta_shape: Shape, phi_shape: Shape, g_shape: Shape
    ) -> None:
        # autocast=False: both halves are projected in float32.
        self.w_f = self.add_weight(
            name="w_f",
            shape=(theta_shape[-1] + phi_shape[-1], self.heads),
            initializer="he_normal",
            autocast=False,
        )

    def call(
        self,
        theta: Tensor,
        phi: Tensor,
        g: Tensor,
        mask: Tensor | None = None,
        steps: int | Tensor | None = None,
    ) -> Tensor:
        a, b = self._project(theta, phi)
        return nonlocal_ops.concatenation(
            a, b, g, self.method, mask=mask, steps=steps
        )

    def affinity(
        self,
        theta: Tensor,
        phi: Tensor,
        mask: Tensor | None = None,
        steps: int | Tensor | None = None,
    ) -> Tensor:
        a, b = self._project(theta, phi)
        return nonlocal_ops.concatenation_affinity(a, b, mask=mask, steps=steps)

    def multiply_adds(
        self, n: int, m: int, keys: int, d: int, channels: int
    ) -> int:
        return (n + m) * d + n * keys * channels

    def _project(self, theta: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
        d = theta.shape[-1]
        theta, phi = at_least_float32(theta), at_least_float32(phi)
        w_f = ops.cast(self.w_f, theta.dtype)
        a = multiply_by_head(theta, w_f[:d])  # (b, n)
        b = multiply_by_head(phi, w_f[d:])  # (b, m)
        return a, b
