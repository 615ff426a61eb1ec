"""Pairwise functions of linear cost that are not in the paper."""

import keras
from keras import ops

from nonlocal_tf import ops as nonlocal_ops
from nonlocal_tf.layers.heads import multiply_by_head
from nonlocal_tf.layers.pairwise import Pairwise, register_pairwise
from nonlocal_tf.ops import at_least_float32
from nonlocal_tf.typing import Shape, Tensor


@register_pairwise("efficient")
@keras.saving.register_keras_serializable("nonlocal_tf")
class EfficientAttention(Pairwise):
    """Efficient attention f = rho_q(theta_i) . rho_k(phi_j), C(x) = 1.

    rho_q is a softmax over the channels of each query, rho_k a softmax over
    the keys of each channel. The weights are not negative and those of a query
    sum to one, as with the Gaussian functions, but they take O(n d c) time.
    They have rank d, and cannot single out one key as the Gaussians can.

    Takes masks. It is not causal: rho_k would be another softmax for each
    frame.

    Args:
        **kwargs: `name`, `dtype`, `trainable`.

    Reference:
        Shen et al., Efficient Attention: Attention with Linear Complexities,
        WACV 2021.
    """

    def call(
        self, theta: Tensor, phi: Tensor, g: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        return nonlocal_ops.efficient(theta, phi, g, mask=mask)

    def affinity(
        self, theta: Tensor, phi: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        return nonlocal_ops.efficient_affinity(theta, phi, mask=mask)

    def multiply_adds(
        self, n: int, m: int, keys: int, d: int, channels: int
    ) -> int:
        return (n + m) * d * channels


@register_pairwise("global_context")
@keras.saving.register_keras_serializable("nonlocal_tf")
class GlobalContext(Pairwise):
    """Global context f = exp(w_f . x_j), normalized by its sum over j.

    The weights depend on the key alone. All queries share one attention map,
    and y is one vector, which the block adds to all positions after W_z:

        z_i = x_i + W_z sum_j softmax_j(w_f . x_j) g(x_j)

    This is the simplified non-local block of GCNet: w_f is its W_k, and W_z
    after the projection g its W_v. The bottleneck transform with layer
    normalization, which makes the GC block of it, is not part of it. Like the
    Gaussian, it has no theta and phi: x_j is the input of the block, pooled
    with `subsample`. The weight `w_f` has shape
    `(channels, 1)`, in a block with several heads `(channels / heads, heads)`.

    Takes O(n c) time, and masks. It is not causal: the map would be another
    one for each frame.

    Args:
        **kwargs: `name`, `dtype`, `trainable`.

    Reference:
        Cao et al., GCNet: Non-local Networks Meet Squeeze-Excitation Networks
        and Beyond, ICCV Workshops 2019; its simplified non-local block.
    """

    embeds = False

    def build(
        self, theta_shape: Shape, phi_shape: Shape, g_shape: Shape
    ) -> None:
        # autocast=False: the logits are computed in float32.
        self.w_f = self.add_weight(
            name="w_f",
            shape=(phi_shape[-1], self.heads),
            initializer="he_normal",
            autocast=False,
        )

    def call(
        self, theta: Tensor, phi: Tensor, g: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        n = ops.shape(theta)[1]
        return nonlocal_ops.global_context(self._logits(phi), g, n, mask=mask)

    def affinity(
        self, theta: Tensor, phi: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        n = ops.shape(theta)[1]
        return nonlocal_ops.global_context_affinity(
            self._logits(phi), n, mask=mask
        )

    def multiply_adds(
        self, n: int, m: int, keys: int, d: int, channels: int
    ) -> int:
        return m * (d + channels)

    def _logits(self, phi: Tensor) -> Tensor:
        """Compute w_f . x_j of each key, `(batch, m)`."""
        phi = at_least_float32(phi)
        return multiply_by_head(phi, ops.cast(self.w_f, phi.dtype))
