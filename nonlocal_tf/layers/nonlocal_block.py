"""Non-local block: z = x + W_z y, with y the non-local operation on x."""

import inspect
from collections.abc import Sequence
from typing import Any, Literal, get_args

import keras
from keras import initializers, ops

from nonlocal_tf.layers import attention_layout, masking
from nonlocal_tf.layers import pairwise as pairwise_layers
from nonlocal_tf.layers.attention_layout import AttentionLayout, Axes
from nonlocal_tf.layers.block_options import (
    check_options,
    checked_choice,
    checked_count,
    checked_flag,
    checked_number,
    optional_count,
)
from nonlocal_tf.layers.data_format import check_channels_last
from nonlocal_tf.layers.heads import check_heads
from nonlocal_tf.layers.kernel_initializers import (
    checked_initializer,
    optional_initializer,
)
from nonlocal_tf.layers.nonlocal_attention import (
    NonLocalAttention,
    masked_input,
    masked_keys,
)
from nonlocal_tf.layers.pairwise import Pairwise
from nonlocal_tf.layers.position_encoding import (
    POSITIONS,
    Position,
)
from nonlocal_tf.layers.residual_block import (
    GATES,
    NORMS,
    BlockNorm,
    Gate,
    ResidualBlock,
)
from nonlocal_tf.typing import Shape, Tensor

PoolPosition = Literal["before", "after"]
POOL_POSITIONS = get_args(PoolPosition)


@keras.saving.register_keras_serializable("nonlocal_tf")
class NonLocalBlock(NonLocalAttention, ResidualBlock):
    """Non-local block: every position attends to all positions.

    With positions i and j running over time, height and width,

        y_i = 1/C(x) sum_j f(x_i, x_j) g(x_j)
        z_i = x_i + norm(W_z y_i)

    where f is the pairwise function, C(x) its normalization, and theta, phi and
    g are linear projections to `bottleneck` channels. The output has the shape
    of the input, so the block can follow any layer. By default it is
    initialized as the identity, so it can be added to a trained network.
    It is self-attention as `keras.layers.MultiHeadAttention` computes it, for
    sequences, images and clips alike, with the residual and its normalization.

    The defaults are the paper's. On large feature maps set `subsample`, in a
    network trained from scratch `gamma_init`; all else is for experiments.
    Models with blocks are saved and loaded as any; import this package before
    loading. `affinity` and `nonlocal_tf.attention_map` return the attention
    weights, `fold` a faster block for inference.

    The affinity matrix is not built where it is large or another form is
    faster: for n positions and d channels the dot product and the
    concatenation take O(n d^2) and O(n (d + log n)) time, the Gaussians
    O(n^2 d) time in memory that does not grow with n^2 (see `nonlocal_tf.ops`).
    For tens of thousands of positions take the dot product, or `subsample`.

    Args:
        pairwise: `"embedded_gaussian"`, `"gaussian"`, `"dot_product"` or
            `"concatenation"` of the paper; `"efficient"` or `"global_context"`
            of linear cost (see `EfficientAttention`, `GlobalContext`); a name
            registered by `register_pairwise`; or a `Pairwise` layer, whose
            config is copied.
        bottleneck: channels of theta, phi and g. Default: half the input's.
        value_channels: channels of g, and so of y, if not `bottleneck`.
        heads: splits the channels of theta, phi and g into this many parts,
            each with attention weights of its own; y has the parts of all
            heads. It must divide `bottleneck` and `value_channels`, for the
            Gaussian the channels of the input. The d of "rsqrt" is a head's.
        scale: factor on the logits of the two Gaussian functions: `None` (the
            paper's 1), `"rsqrt"` (d ** -0.5, as in the authors' code) or a
            positive number. With a `Pairwise` layer, set it there.
        subsample: max-pool size for keys and values (phi and g), not queries.
            An integer pools height and width, or the only axis of rank 3; a
            tuple has a size per axis: `(1, 2, 2)`, the paper's for clips,
            takes a quarter of the work. `None` does not pool.
        pool_position: `"before"` phi and g (the authors' code, and cheaper) or
            `"after"` (the paper's text). They differ in value.
        position: encoding that is added to what theta and phi see, not g:
            `"sine"` (sines of the indices; any sizes) or `"learned"` (a table
            per axis, of the sizes of the first call). With `None`, the
            paper's, a block does not know where a feature is: frames in
            another order give the same result in that order, and a network
            of single-frame convolutions cannot see motion. Keys that are
            pooled before phi have the average of their positions' encodings.
        axes: axes along which positions attend: `"spacetime"`, or for clips
            `"space"` (within a frame) or `"time"` (the same place in all
            frames).
        temporal_group_size: splits clips into groups of this many consecutive
            frames; positions attend within their group. It must divide the
            number of frames.
        causal: positions attend only to those of their own frame and of
            earlier ones, for streams (batch statistics see all). Needs a time
            axis, the only of rank 3 or first of rank 5, without a pool along,
            and not "efficient" or "global_context". A call keeps no state:
            give it the past that counts together with the new frame.
        norm: normalization after W_z: `"batch"`, `"affine"` (a scale and a
            shift per channel) or `"none"`.
        gate: `"scalar"` multiplies W_z y by one learned scalar gamma, z =
            x + gamma W_z y, as in SAGAN. It takes the place of the
            normalization: norm="none". Default: None.
        gamma_init: initial gamma of the normalization or the gate. With 0,
            the paper's value, the block is initialized as the identity. For a
            short training, 0.1 to 1 lets the block act from the first step.
        tie_theta_phi_init: initialize theta and phi with the same kernel, so
            that positions first attend to similar ones. Training unties them.
        kernel_initializer: initializer of theta, phi and g, drawn separately.
        out_initializer: initializer of W_z. Default: `kernel_initializer`, or
            zeros without normalization and gate, which makes the block the
            identity.
        out_bias: whether W_z has a bias.
        bn_momentum: share of the old value in the moving statistics.
        bn_epsilon: added to the variance.
        bn_synchronized: compute batch statistics over all devices of a
            `tf.distribute` strategy (TensorFlow only).
        freeze_norm: never train the normalization, and use the moving
            statistics in training too, whatever `trainable` is set to later.
        **kwargs: `name`, `dtype`, `trainable`.

    Attributes:
        theta, phi, g, out: dense layers, once built; out is W_z. The Gaussian
            has no theta and phi.
        pool_size: pool size along each axis of the keys, once built.

    Call arguments:
        x: `(batch, n, channels)`, `(batch, height, width, channels)` or
            `(batch, time, height, width, channels)`: channels last. All sizes
            but the channels may be unknown.
        context: features to attend to instead of x's own, such as a long-term
            feature bank or the output of another network: phi and g are built
            on it, `subsample` and its masks are of its axes, and each position
            of x attends to all of its positions. Of any rank from 3 to 5 and
            any channels (Gaussian, global context: those of x), with
            axes="spacetime", without groups and `causal`; in all calls of a
            block, or none.
        mask: booleans, True for the positions that count, `(batch,
            positions)` or the shape of `x` without channels; for clips also
            `(batch, time)`; or numbers, 0 for those that do not. Default:
            the mask that Keras passes on, of `keras.layers.Masking` or
            `Embedding(mask_zero=True)`. No position attends to masked ones
            (False), whatever they hold; their output is their input, and they
            are left out of batch statistics. A pooled key counts if a position
            of its window does.
        context_mask: the same of the context.
        training: whether batch normalization uses the batch's statistics.
        return_affinity: also return the attention weights, as `affinity` does.
        queries: with `return_affinity`, positions whose attention weights to
            return, as in `affinity`.

    Returns:
        A tensor of the shape of `x`, in the compute dtype; with
        `return_affinity`, also the weights `(batch, [heads,] n, m)` of m keys.

    Raises:
        ValueError: the input's rank is not 3, 4 or 5, its channels are
            unknown, it does not fit `subsample`, `position`, `axes` or
            `temporal_group_size`, an argument is invalid, two of them do not
            go together, or Keras is set to channels first.

    Reference:
        Wang, Girshick, Gupta, He: Non-local Neural Networks, CVPR 2018,
        sections 3.1 to 3.3; `axes`, table 2d. `heads`: Vaswani et al.,
        Attention Is All You Need, NeurIPS 2017. `gate`: Zhang et al.,
        Self-Attention Generative Adversarial Networks, ICML 2019.

    Example:

    >>> import keras, nonlocal_tf as nl
    >>> x = keras.random.normal((2, 4, 7, 7, 32))
    >>> tuple(nl.NonLocalBlock(pairwise="dot_product", subsample=2)(x).shape)
    (2, 4, 7, 7, 32)
    >>> bank = keras.random.normal((2, 60, 16))  # 60 features of the past
    >>> tuple(nl.NonLocalBlock(heads=4)(x, context=bank).shape)
    (2, 4, 7, 7, 32)
    """

    def __init__(
        self,
        pairwise: str | dict | Pairwise = "embedded_gaussian",
        bottleneck: int | None = None,
        value_channels: int | None = None,
        heads: int = 1,
        scale: float | Literal["rsqrt"] | None = None,
        subsample: int | Sequence[int] | None = None,
        pool_position: PoolPosition = "before",
        position: Position | None = None,
        axes: Axes = "spacetime",
        temporal_group_size: int | None = None,
        causal: bool = False,
        norm: BlockNorm = "batch",
        gate: Gate | None = None,
        gamma_init: float = 0.0,
        tie_theta_phi_init: bool = False,
        kernel_initializer: str | dict | initializers.Initializer = "he_normal",
        out_initializer: str | dict | initializers.Initializer | None = None,
        out_bias: bool = True,
        bn_momentum: float = 0.9,
        bn_epsilon: float = 1e-5,
        bn_synchronized: bool = False,
        freeze_norm: bool = False,
        **kwargs: Any,
    ):
        # Before super(), whose `trainable` setter reads it.
        self.freeze_norm = checked_flag("freeze_norm", freeze_norm)
        super().__init__(**kwargs)
        self.supports_masking = True
        self.layout = AttentionLayout(axes, temporal_group_size)
        self.pairwise = pairwise_layers.for_block(
            pairwise, scale, name="pairwise", dtype=self.dtype_policy
        )
        self._pairwise_name = pairwise if isinstance(pairwise, str) else None
        self.bottleneck = optional_count("bottleneck", bottleneck)
        self.value_channels = optional_count("value_channels", value_channels)
        self.heads = self.pairwise.heads = checked_count("heads", heads)
        self.scale = None if scale is None else self.pairwise.scale
        self.subsample = attention_layout.checked_subsample(subsample)
        self.pool_position = checked_choice(
            "pool_position", pool_position, POOL_POSITIONS
        )
        self.position = checked_choice("position", position, (None, *POSITIONS))
        self.axes = axes
        self.temporal_group_size = self.layout.frames
        self.causal = checked_flag("causal", causal)
        self.norm = checked_choice("norm", norm, NORMS)
        self.gate = checked_choice("gate", gate, (None, *GATES))
        self.gamma_init = checked_number("gamma_init", gamma_init)
        self.tie_theta_phi_init = checked_flag(
            "tie_theta_phi_init", tie_theta_phi_init
        )
        self.kernel_initializer = checked_initializer(
            "kernel_initializer", kernel_initializer
        )
        self.out_initializer = optional_initializer(
            "out_initializer", out_initializer
        )
        self.out_bias = checked_flag("out_bias", out_bias)
        self.bn_momentum = checked_number("bn_momentum", bn_momentum, 0, 1)
        self.bn_epsilon = checked_number("bn_epsilon", bn_epsilon, 0)
        self.bn_synchronized = checked_flag("bn_synchronized", bn_synchronized)
        check_options(self)

    def build(self, x_shape: Shape, context_shape: Shape | None = None) -> None:
        check_channels_last()
        self._check_shapes(x_shape, context_shape)
        keys_shape = context_shape or x_shape
        self.pool_size = self._pool_size(tuple(keys_shape))
        self.x_shape, self.context_shape = x_shape, context_shape
        channels, key_channels = x_shape[-1], keys_shape[-1]
        d = self.bottleneck or max(channels // 2, 1)
        c = self.value_channels or d
        width = d if self.pairwise.embeds else channels
        check_heads(self.heads, **{"theta and phi": width, "g": c})
        if self.pairwise.embeds:
            self.theta = self._projection("theta", channels, d)
            self.phi = self._projection("phi", key_channels, d)
        self.g = self._projection("g", key_channels, c)
        self.out = self._projection("out", c, channels, self.out_bias)
        self._build_residual(channels)
        self._build_position(x_shape, context_shape)
        self._build_pairwise(width, c)

    def call(
        self,
        x: Tensor,
        context: Tensor | None = None,
        mask: Tensor | None = None,
        context_mask: Tensor | None = None,
        training: bool | None = None,
        return_affinity: bool = False,
        queries: Sequence[int] | Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        self._check_call(x, context, queries, return_affinity)
        if mask is None and (queries is not None or context is not None):
            # Keras passes its mask where x is the only tensor.
            mask = masking.implicit_mask(x)
        original, (x, mask) = x, masked_input(x, mask)
        keys, key_mask = masked_keys(x, mask, context, context_mask)
        x_keys = self._keys_input(keys, key_mask)
        phi, g = self._phi(x_keys, keys, key_mask), self._g(x_keys, key_mask)
        key_mask = self._key_mask(key_mask)
        y = self._attend(self._theta(x), phi, g, key_mask, self._steps(x))
        y = self.layout.from_rows(y, like=x)  # (b, n, c)
        y = self._residual(y, training, masking.flat_mask(mask, None))
        z = x + ops.reshape(y, ops.shape(x))
        if mask is not None:
            z = masking.select(mask, z, original)
        if not return_affinity:
            return z
        return z, self._affinity(x, phi, queries, mask, key_mask)

    def get_config(self) -> dict[str, Any]:
        # The constructor keeps each argument under its own name.
        config = {name: getattr(self, name) for name in ARGUMENTS}
        for name in ("kernel_initializer", "out_initializer"):
            config[name] = config[name] and initializers.serialize(config[name])
        config["pairwise"] = (
            self._pairwise_name
            or keras.saving.serialize_keras_object(self.pairwise)
        )
        return {**super().get_config(), **config}


# Names of the constructor arguments, without self and kwargs.
ARGUMENTS = tuple(inspect.signature(NonLocalBlock.__init__).parameters)[1:-1]
