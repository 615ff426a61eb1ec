"""The four pairwise functions f of the paper (section 3.2), as layers.

Each turns theta `(batch, n, d)`, phi `(batch, m, d)` and g `(batch, m, c)` into
y `(batch, n, c)`, and can show the weights it used. `register_pairwise` adds
one of your own under a name that `NonLocalBlock(pairwise=...)` then accepts.
"""

import math
import numbers
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import keras
from keras import layers, ops

from nonlocal_tf import ops as nonlocal_ops
from nonlocal_tf.choices import unknown
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
    """Class decorator: makes a `Pairwise` known as `name`."""

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
    """The pairwise function of a name, a serialised config or an instance.

    Args:
        identifier: a name in `PAIRWISE`, a `Pairwise`, or what
            `keras.saving.serialize_keras_object` made of one.
        **options: constructor arguments; only with a name.

    Raises:
        ValueError: the name is unknown, or does not take one of the options.
        TypeError: the identifier is of another kind.
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


class Pairwise(layers.Layer):
    """Base of the pairwise functions.

    A subclass gives `affinity`, the normalised weights, and `call`. Its class
    attribute `embeds` says whether the block makes theta and phi with learned
    projections (the rule) or passes x itself (the Gaussian).

    Args:
        method: how to compute it, a method of the function in
            `nonlocal_tf.ops`; all are exact. `"auto"` is the best for the size
            and the device.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        theta: queries, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`.
        g: values, `(batch, m, c)`.

    Returns:
        y, `(batch, n, c)`.
    """

    embeds = True
    methods: tuple[str, ...] = ("auto",)

    def __init__(self, method: str = "auto", **kwargs: Any):
        super().__init__(**kwargs)
        if method not in self.methods:
            raise ValueError(unknown("method", method, self.methods))
        self.method = method

    def build(
        self, theta_shape: Shape, phi_shape: Shape, g_shape: Shape
    ) -> None:
        """Makes the weights, if the function has any."""

    def affinity(self, theta: Tensor, phi: Tensor) -> Tensor:
        """Weights f(x_i, x_j) / C(x), `(batch, n, m)`."""
        raise TypeError(f"{type(self).__name__} does not show its affinity.")

    def compute_output_shape(
        self, theta_shape: Shape, phi_shape: Shape, g_shape: Shape
    ) -> Shape:
        return (*theta_shape[:2], g_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "method": self.method}


class Softmax(Pairwise):
    """What the two Gaussian functions share: a softmax with a scale.

    Args:
        scale: factor on the logits. `None` or 1 is the paper's formula;
            `"rsqrt"` is d ** -0.5, which the authors' code uses; or a
            positive number.
        method: `"auto"`, `"plain"`, `"chunked"` or `"flash"`; see
            `nonlocal_tf.ops.softmax`.
        **kwargs: `name`, `dtype`, `trainable`.
    """

    method: SoftmaxMethod
    methods = nonlocal_ops.SOFTMAX_METHODS

    def __init__(
        self,
        scale: float | Literal["rsqrt"] | None = None,
        method: SoftmaxMethod = "auto",
        **kwargs: Any,
    ):
        super().__init__(method, **kwargs)
        numeric = isinstance(scale, numbers.Real) and _is_finite(scale)
        numeric = numeric and not isinstance(scale, bool)
        if not (scale is None or scale == "rsqrt" or numeric):
            raise ValueError(
                "Expected `scale` to be None, 'rsqrt' or a positive number. "
                f"Received: scale={scale!r}"
            )
        self.scale = float(scale) if isinstance(scale, numbers.Real) else scale

    def call(self, theta: Tensor, phi: Tensor, g: Tensor) -> Tensor:
        return nonlocal_ops.softmax(
            theta, phi, g, self._factor(theta), self.method
        )

    def affinity(self, theta: Tensor, phi: Tensor) -> Tensor:
        return nonlocal_ops.softmax_affinity(theta, phi, self._factor(theta))

    def _factor(self, theta: Tensor) -> float:
        if self.scale is None:
            return 1.0
        if self.scale == "rsqrt":
            return 1.0 / math.sqrt(theta.shape[-1])
        return float(self.scale)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale}


def _is_finite(scale: numbers.Real) -> bool:
    try:
        return 0 < float(scale) < math.inf
    except OverflowError:  # of a huge integer
        return False


@register_pairwise("gaussian")
@keras.saving.register_keras_serializable("nonlocal_tf")
class Gaussian(Softmax):
    """f = exp(x_i . x_j), normalised by its sum over j.

    There are no theta and phi: similarity is taken between the features
    themselves, over all their channels.
    """

    embeds = False


@register_pairwise("embedded_gaussian")
@keras.saving.register_keras_serializable("nonlocal_tf")
class EmbeddedGaussian(Softmax):
    """f = exp(theta(x_i) . phi(x_j)), normalised by its sum over j."""


@register_pairwise("dot_product")
@keras.saving.register_keras_serializable("nonlocal_tf")
class DotProduct(Pairwise):
    """f = theta(x_i) . phi(x_j), normalised by the number of positions j.

    Args:
        method: `"auto"`, `"plain"` or `"associative"`; see
            `nonlocal_tf.ops.dot_product`.
        **kwargs: `name`, `dtype`, `trainable`.
    """

    method: DotProductMethod
    methods = nonlocal_ops.DOT_PRODUCT_METHODS

    def call(self, theta: Tensor, phi: Tensor, g: Tensor) -> Tensor:
        return nonlocal_ops.dot_product(theta, phi, g, self.method)

    def affinity(self, theta: Tensor, phi: Tensor) -> Tensor:
        return nonlocal_ops.dot_product_affinity(theta, phi)


@register_pairwise("concatenation")
@keras.saving.register_keras_serializable("nonlocal_tf")
class Concatenation(Pairwise):
    """f = ReLU(w_f . [theta(x_i), phi(x_j)]), normalised by the number of j.

    Its weight `w_f` has shape `(2 d, 1)`: theta's half, then phi's.

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
        # autocast=False: the halves are projected in float32.
        self.w_f = self.add_weight(
            name="w_f",
            shape=(theta_shape[-1] + phi_shape[-1], 1),
            initializer="he_normal",
            autocast=False,
        )

    def call(self, theta: Tensor, phi: Tensor, g: Tensor) -> Tensor:
        a, b = self._project(theta, phi)
        return nonlocal_ops.concatenation(a, b, g, self.method)

    def affinity(self, theta: Tensor, phi: Tensor) -> Tensor:
        a, b = self._project(theta, phi)
        return nonlocal_ops.concatenation_affinity(a, b)

    def _project(self, theta: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
        d = theta.shape[-1]
        theta, phi = at_least_float32(theta), at_least_float32(phi)
        w_f = ops.cast(self.w_f, theta.dtype)
        a = ops.squeeze(ops.matmul(theta, w_f[:d]), -1)  # (b, n)
        b = ops.squeeze(ops.matmul(phi, w_f[d:]), -1)  # (b, m)
        return a, b
