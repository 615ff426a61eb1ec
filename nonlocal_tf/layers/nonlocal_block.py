"""The non-local block: z = x + W_z y, with y the non-local operation on x."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, get_args

import keras
import numpy as np
from keras import initializers, layers, ops

from nonlocal_tf.choices import unknown
from nonlocal_tf.layers import pairwise as pairwise_table
from nonlocal_tf.layers.affine import Affine, gain_and_shift
from nonlocal_tf.layers.batch_normalization import BatchNormalization
from nonlocal_tf.layers.pairwise import Pairwise
from nonlocal_tf.layers.positions import (
    AXES,
    Axes,
    Layout,
    checked_subsample,
    is_positive_integer,
    pool_size,
)
from nonlocal_tf.ops import max_pool
from nonlocal_tf.typing import Shape, Tensor

BlockNorm = Literal["batch", "affine", "none"]
NORMS = get_args(BlockNorm)
PoolPosition = Literal["before", "after"]
POOL_POSITIONS = get_args(PoolPosition)
PROJECTIONS = ("theta", "phi", "g", "out")


@keras.saving.register_keras_serializable("nonlocal_tf")
class NonLocalBlock(layers.Layer):
    """Lets every position gather features from all positions, by content.

    With positions i and j running over time, height and width,

        y_i = 1/C(x) sum_j f(x_i, x_j) g(x_j)
        z_i = x_i + norm(W_z y_i)

    where f is the pairwise function, C(x) its normalisation, and theta, phi and
    g are linear maps to `bottleneck` channels. The output has the shape of the
    input, so the block can be put after any layer, and as built by default it
    starts as the identity, so it can be put into a trained network.

    No affinity matrix is built where a form without it is faster or the matrix
    is large: for n positions and d channels the dot product and the
    concatenation take O(n d^2) and O(n (d + log n)) time, the Gaussians
    O(n^2 d) time in memory that does not grow with n^2 (`nonlocal_tf.ops`).

    Args:
        pairwise: `"embedded_gaussian"`, `"gaussian"`, `"dot_product"`,
            `"concatenation"`, a name given to `register_pairwise`, or a
            `Pairwise` layer, of whose configuration the block makes its own.
        bottleneck: channels of theta, phi and g. Default: half the input's.
        scale: factor on the logits of the two Gaussian functions: `None` (the
            paper's 1), `"rsqrt"` (d ** -0.5, as in the authors' code) or a
            positive number. With a `Pairwise` layer, set it there.
        subsample: max-pools what is looked at (phi and g), not what looks.
            An integer pools height and width by it, with rank 3 the one axis;
            a tuple has a size an axis: `(1, 2, 2)` is the paper's for clips,
            a quarter of the work. `None` pools nothing.
        pool_position: `"before"` phi and g (the authors' code, and the
            cheaper) or `"after"` (the paper's text). They differ in value.
        axes: `"spacetime"`, or of clips `"space"` (positions look at those of
            their own frame) or `"time"` (at the same place in all frames).
        temporal_group_size: clips are cut into groups of so many consecutive
            frames, which do not look at each other; it divides the frames.
        norm: after W_z: `"batch"` normalisation, `"affine"` (a scale and a
            shift a channel) or `"none"`.
        gamma_init: where the normalisation's gamma starts. 0 is the paper's:
            the block starts as the identity. A short training wants a block
            that acts from the first step: 0.1 to 1.
        tie_theta_phi_init: theta and phi start with the same kernel, so that
            like looks at like from the first step; they are free afterwards.
        kernel_initializer: of theta, phi and g, each drawn apart.
        out_initializer: of W_z. Default: `kernel_initializer`, or without
            normalisation zeros, so that the block starts as the identity.
        out_bias: whether W_z has a bias.
        bn_momentum: share of the old value in the moving statistics.
        bn_epsilon: added to the variance.
        bn_synchronized: batch statistics over all devices of a
            `tf.distribute` strategy instead of each device's own; TensorFlow.
        freeze_norm: the normalisation is not trained, and batch normalisation
            uses its moving statistics in training too, also after `trainable`
            of the block or its model is set.
        **kwargs: `name`, `dtype`, `trainable`.

    Attributes:
        pool_size: once built, what `subsample` says, a size an axis.

    Call arguments:
        x: `(batch, n, channels)`, `(batch, height, width, channels)` or
            `(batch, time, height, width, channels)`; everything but the
            channels may be unknown.
        training: whether batch normalisation uses the batch's statistics.
        return_affinity: return `(z, weights)`, the weights of `affinity`.
        queries: with `return_affinity`, the positions whose weights to return,
            as in `affinity`.

    Returns:
        A tensor of the shape of `x`, in the compute dtype; with
        `return_affinity`, a tuple of it and of the weights.

    Raises:
        ValueError: the input's rank is not 3, 4 or 5, its channels are
            unknown, it does not fit `subsample`, `axes` or
            `temporal_group_size`, or an argument is not one of those above.

    Reference:
        Wang, Girshick, Gupta, He: Non-local Neural Networks, CVPR 2018,
        sections 3.1 to 3.3; `axes`, table 2d.

    Example:

    >>> import keras, nonlocal_tf as nl
    >>> x = keras.random.normal((2, 4, 7, 7, 32))
    >>> tuple(nl.NonLocalBlock(pairwise="dot_product", subsample=2)(x).shape)
    (2, 4, 7, 7, 32)
    """

    def __init__(
        self,
        pairwise: str | dict | Pairwise = "embedded_gaussian",
        bottleneck: int | None = None,
        scale: float | Literal["rsqrt"] | None = None,
        subsample: int | Sequence[int] | None = None,
        pool_position: PoolPosition = "before",
        axes: Axes = "spacetime",
        temporal_group_size: int | None = None,
        norm: BlockNorm = "batch",
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
        # Before super(), which sets `trainable`: it looks at this one.
        self.freeze_norm = freeze_norm
        super().__init__(**kwargs)
        for name, value, expected in (
            ("norm", norm, NORMS),
            ("pool_position", pool_position, POOL_POSITIONS),
            ("axes", axes, AXES),
        ):
            if value not in expected:
                raise ValueError(unknown(name, value, expected))
        if norm == "none" and (gamma_init or freeze_norm or bn_synchronized):
            raise ValueError(
                "`gamma_init`, `bn_synchronized` and `freeze_norm` belong to a "
                "normalisation; to start from other than the identity with "
                "norm='none' use `out_initializer`. Received: "
                f"gamma_init={gamma_init!r}, "
                f"bn_synchronized={bn_synchronized!r}, "
                f"freeze_norm={freeze_norm!r}"
            )
        if norm == "affine" and bn_synchronized:
            raise ValueError(
                "`bn_synchronized` goes with norm='batch'. "
                "Received: norm='affine'"
            )
        for name, size in (
            ("bottleneck", bottleneck),
            ("temporal_group_size", temporal_group_size),
        ):
            if size is not None and not is_positive_integer(size):
                raise ValueError(
                    f"Expected `{name}` to be None or an integer of at least "
                    f"1. Received: {name}={size!r}"
                )
        if temporal_group_size is not None and axes != "spacetime":
            raise ValueError(
                "`temporal_group_size` goes with axes='spacetime'. "
                f"Received: axes={axes!r}, "
                f"temporal_group_size={temporal_group_size!r}"
            )
        self.pairwise = self._resolve(pairwise, scale)
        if tie_theta_phi_init and not self.pairwise.embeds:
            raise ValueError(
                "`tie_theta_phi_init` needs a pairwise function with theta "
                f"and phi. Received: pairwise={pairwise!r}"
            )
        self._pairwise_name = pairwise if isinstance(pairwise, str) else None
        self.bottleneck = bottleneck and int(bottleneck)
        self.scale = None if scale is None else self.pairwise.scale
        self.subsample = checked_subsample(subsample)
        self.pool_position = pool_position
        self.axes = axes
        self.temporal_group_size = temporal_group_size and int(
            temporal_group_size
        )
        self.norm = norm
        self.gamma_init = gamma_init
        self.tie_theta_phi_init = tie_theta_phi_init
        self.kernel_initializer = _initializer(
            "kernel_initializer", kernel_initializer
        )
        self.out_initializer: initializers.Initializer = (
            out_initializer and _initializer("out_initializer", out_initializer)
        )
        self.out_bias = out_bias
        self.bn_momentum = bn_momentum
        self.bn_epsilon = bn_epsilon
        self.bn_synchronized = bn_synchronized
        self._layout = Layout(axes, self.temporal_group_size)

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) not in (3, 4, 5) or input_shape[-1] is None:
            raise ValueError(
                "Expected an input of rank 3, 4 or 5 with known channels: "
                "(batch, n, channels), (batch, height, width, channels) or "
                "(batch, time, height, width, channels). "
                f"Received: shape={tuple(input_shape)}"
            )
        self.pool_size = self._pool_for(tuple(input_shape))
        channels = input_shape[-1]
        d = self.bottleneck or max(channels // 2, 1)
        if self.pairwise.embeds:
            self.theta = self._projection("theta", channels, d)
            self.phi = self._projection("phi", channels, d)
        self.g = self._projection("g", channels, d)
        self.out = self._projection("out", d, channels, self.out_bias)
        if self.norm != "none":
            self._build_norm(channels)
        embedding = (None, None, d if self.pairwise.embeds else channels)
        if not self.trainable:
            self.pairwise.trainable = False
        self.pairwise.build(embedding, embedding, (None, None, d))

    def call(
        self,
        x: Tensor,
        training: bool | None = None,
        return_affinity: bool = False,
        queries: Sequence[int] | Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        if queries is not None and not return_affinity:
            raise ValueError("`queries` goes with `return_affinity=True`.")
        self._pool_for(tuple(x.shape))  # the sizes may be others than in build
        phi, g = self._keys(x, "phi", "g")
        y = self.pairwise(self._theta(x), phi, g)  # (rows, n, d)
        y = self._layout.positions(y, like=x)
        y = self.out(y)  # (b, n, channels)
        if self.norm == "batch":
            # By the argument, as `trainable` of an outer layer sets the bn's.
            y = self.bn(y, training=training and not self.freeze_norm)
        elif self.norm == "affine":
            y = self.affine(y)
        z = x + ops.reshape(y, ops.shape(x))
        if return_affinity:
            return z, self._affinity(x, phi, queries)
        return z

    def affinity(
        self, x: Tensor, queries: Sequence[int] | Tensor | None = None
    ) -> Tensor:
        """Where positions look: the normalised weights of the sum over j.

        Args:
            x: the block's input, as in `call`.
            queries: flat indices of the positions i to show, counted in the
                order time, height, width: that of (t, y, x) is
                `(t * height + y) * width + x`. Negative ones count from the
                end; those in a tensor are not checked. Default: all of them,
                which makes the matrix that the block does without.

        Returns:
            `(batch, queries, keys)`; float32 or wider. The keys are the
            positions, in the same order, that a query may look at: with
            `subsample` the pooled ones, and with `axes` or
            `temporal_group_size` those of the query's own frame, place or
            group.

        Raises:
            ValueError: the queries are not a row of integers, or one is not a
                position of `x`.
        """
        if not self.built:
            self.build(tuple(x.shape))
        x = ops.cast(x, self.compute_dtype)
        (phi,) = self._keys(x, "phi")
        return self._affinity(x, phi, queries)

    def _affinity(
        self, x: Tensor, phi: Tensor, queries: Sequence[int] | Tensor | None
    ) -> Tensor:
        if queries is None:
            weights = self.pairwise.affinity(self._theta(x), phi)
            return self._layout.positions(weights, like=x)
        batch, channels = ops.shape(x)[0], x.shape[-1]
        n = math.prod(ops.shape(x)[1:-1])
        queries = _checked_queries(queries, n)
        asked = ops.take(ops.reshape(x, (batch, n, channels)), queries, axis=1)
        theta = self.theta(asked) if self.pairwise.embeds else asked
        if self._layout.is_one_row:
            return self.pairwise.affinity(theta, phi)
        # Each query has keys of its own: one example a query.
        rows, m, d = ops.shape(phi)
        phi = ops.reshape(phi, (batch, rows // batch, m, d))
        phi = ops.take(phi, self._layout.row_of(queries, like=x), axis=1)
        count = ops.shape(queries)[0]
        weights = self.pairwise.affinity(
            ops.reshape(theta, (batch * count, 1, theta.shape[-1])),
            ops.reshape(phi, (batch * count, m, d)),
        )
        return ops.reshape(weights, (batch, count, m))

    def fold(self) -> "NonLocalBlock":
        """A block without normalisation and with equal outputs in inference.

        The scale and shift that batch normalisation (by its moving statistics)
        or `"affine"` applies go into the weights of W_z.

        Returns:
            A new, built block of the same name; this one stays as it is.

        Raises:
            ValueError: the block is not built yet.

        Example: a model with all of its blocks folded, which shares the
        weights of all other layers.

        >>> import keras, nonlocal_tf as nl
        >>> x = inputs = keras.Input((None, 8, 8, 6))
        >>> model = keras.Model(inputs, nl.NonLocalBlock()(x))
        >>> def fold(layer):
        ...     is_block = isinstance(layer, nl.NonLocalBlock)
        ...     return layer.fold() if is_block else layer
        >>> folded = keras.models.clone_model(model, clone_function=fold)
        >>> model.count_params() - folded.count_params()  # of the bn
        24
        """
        if not self.built:
            raise ValueError(
                "Expected a block with weights: call it, or load its model, "
                f"before `fold`. Received: {self.name!r}, not built"
            )
        without = {
            "norm": "none",
            "gamma_init": 0.0,
            "bn_synchronized": False,
            "freeze_norm": False,
            "out_bias": self.out_bias or self.norm != "none",
            # Not as a configuration: its class need not be registered.
            "pairwise": self._pairwise_name or self.pairwise,
        }
        folded = type(self).from_config({**self.get_config(), **without})
        folded.build(self.get_build_config()["input_shape"])
        for name in ("theta", "phi", "g", "pairwise"):
            if hasattr(self, name):
                getattr(folded, name).set_weights(
                    getattr(self, name).get_weights()
                )
        gain, shift = np.ones(()), np.zeros(())
        if self.norm != "none":
            gain, shift = gain_and_shift(self._norm_layer)
        kernel, *bias = (w.astype("float64") for w in self.out.get_weights())
        bias = [sum(bias) * gain + shift] if folded.out_bias else []
        folded.out.set_weights([kernel * gain, *bias])
        return folded

    @property
    def trainable(self) -> bool:
        return super().trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        layers.Layer.trainable.fset(self, value)
        if self.freeze_norm and self.built:
            self._norm_layer.trainable = False

    @property
    def _norm_layer(self) -> BatchNormalization | Affine:
        return self.bn if self.norm == "batch" else self.affine

    def _theta(self, x: Tensor) -> Tensor:
        rows = self._layout.rows(x)
        return self.theta(rows) if self.pairwise.embeds else rows

    def _keys(self, x: Tensor, *names: str) -> Iterator[Tensor]:
        """phi or g, or both, of the positions that are looked at, in rows."""
        frames = self.pool_size[0] if len(self.pool_size) == 3 else 1
        before = self.pool_position == "before"
        seen = max_pool(x, self.pool_size) if before else x
        for name in names:
            embeds = name == "g" or self.pairwise.embeds
            y = getattr(self, name)(seen) if embeds else seen
            if not before:
                y = max_pool(y, self.pool_size)
            yield self._layout.rows(y, pooled_frames=frames)

    def _build_norm(self, channels: int) -> None:
        gamma = initializers.Constant(self.gamma_init)
        common = {
            "gamma_initializer": gamma,
            "dtype": self.dtype_policy,
            "trainable": self.trainable and not self.freeze_norm,
        }
        if self.norm == "batch":
            self.bn = BatchNormalization(
                momentum=self.bn_momentum,
                epsilon=self.bn_epsilon,
                synchronized=self.bn_synchronized,
                name="bn",
                **common,
            )
        else:
            self.affine = Affine(name="affine", **common)
        self._norm_layer.build((None, None, channels))

    def _pool_for(self, input_shape: Shape) -> tuple[int, ...]:
        """The pool size an axis, checked against the input."""
        if self.built and len(input_shape) != len(self.pool_size) + 2:
            raise ValueError(
                f"Expected an input of rank {len(self.pool_size) + 2}, as at "
                f"first. Received: shape={input_shape}"
            )
        return pool_size(self.subsample, self._layout, input_shape)

    def _resolve(
        self,
        pairwise: str | dict | Pairwise,
        scale: float | Literal["rsqrt"] | None,
    ) -> Pairwise:
        options = {} if scale is None else {"scale": scale}
        if options and not isinstance(pairwise, str):
            raise ValueError(
                "`scale` goes with the name of a pairwise function; a layer "
                f"has its own. Received: pairwise={pairwise!r}, scale={scale!r}"
            )
        cls = None
        if options and isinstance(pairwise, str):
            cls = pairwise_table.PAIRWISE.get(pairwise)
        if cls and not issubclass(cls, pairwise_table.Softmax):
            raise ValueError(
                "`scale` applies to the Gaussian functions alone. "
                f"Received: pairwise={pairwise!r}, scale={scale!r}"
            )
        own = {"name": "pairwise", "dtype": self.dtype_policy}
        if isinstance(pairwise, str):
            return pairwise_table.get(pairwise, **options, **own)
        # A copy: a layer given to two blocks would share its weights.
        given = pairwise_table.get(pairwise)
        return type(given).from_config({**given.get_config(), **own})

    def _projection(
        self, name: str, channels: int, units: int, use_bias: bool = True
    ) -> layers.Dense:
        # A 1x1x1 convolution is a dense layer on (b, n, c). One product for
        # theta, phi and g together is not faster (training/benchmarks).
        layer = layers.Dense(
            units,
            use_bias=use_bias,
            kernel_initializer=self._start_of(name),
            dtype=self.dtype_policy,
            trainable=self.trainable,
            name=name,
        )
        layer.build((None, None, channels))
        return layer

    def _start_of(self, name: str) -> Callable:
        """The initializer of the kernel of theta, phi, g or out."""
        if name == "phi" and self.tie_theta_phi_init:
            return lambda shape, dtype=None: ops.copy(self.theta.kernel)
        if name == "out" and self.out_initializer is not None:
            return self.out_initializer
        if name == "out" and self.norm == "none":
            return initializers.Zeros()
        # An initializer draws the same numbers each time; a clone draws anew,
        # or where the user fixed the seed, a clone with a neighbouring one.
        config = self.kernel_initializer.get_config()
        if isinstance(config.get("seed"), dict):
            return self.kernel_initializer  # a SeedGenerator moves on itself
        if isinstance(config.get("seed"), int):
            config["seed"] += PROJECTIONS.index(name)
        return type(self.kernel_initializer).from_config(config)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def compute_output_spec(
        self,
        x: Tensor,
        training: bool | None = None,
        return_affinity: bool = False,
        queries: Sequence[int] | Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        if queries is not None and not return_affinity:
            raise ValueError("`queries` goes with `return_affinity=True`.")
        z = keras.KerasTensor(x.shape, dtype=self.compute_dtype)
        if not return_affinity:
            return z
        positions, keys = self.positions_and_keys(tuple(x.shape))
        asked = positions if queries is None else len(queries)
        dtype = "float64" if self.compute_dtype == "float64" else "float32"
        weights = keras.KerasTensor((x.shape[0], asked, keys), dtype=dtype)
        return z, weights

    def positions_and_keys(
        self, input_shape: Shape
    ) -> tuple[int | Any, int | Any]:
        """How many positions there are, and how many each of them looks at.

        Args:
            input_shape: with batch and channels; sizes may be None, and then
                so are the counts.
        """
        sizes = input_shape[1:-1]
        positions = None if None in sizes else math.prod(sizes)
        _, counts = self.key_grid([0] * len(sizes), sizes)
        return positions, None if None in counts else math.prod(counts)

    def key_grid(
        self, position: Sequence[int | Tensor], sizes: Sequence
    ) -> tuple[list, list]:
        """Grid of the keys that a position attends to, after pooling.

        Args:
            position: of the query, an integer or a scalar tensor an axis.
            sizes: of the feature map, an axis; None where unknown.

        Returns:
            The first position of the grid and the number of keys along each
            axis, as lists.
        """
        first, box = self._layout.key_box(position, sizes)
        sides = zip(box, self.pool_size, strict=True)
        return first, [size if size is None else size // p for size, p in sides]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pairwise": self._pairwise_name
            or keras.saving.serialize_keras_object(self.pairwise),
            "bottleneck": self.bottleneck,
            "scale": self.scale,
            "subsample": self.subsample,
            "pool_position": self.pool_position,
            "axes": self.axes,
            "temporal_group_size": self.temporal_group_size,
            "norm": self.norm,
            "gamma_init": self.gamma_init,
            "tie_theta_phi_init": self.tie_theta_phi_init,
            "kernel_initializer": initializers.serialize(
                self.kernel_initializer
            ),
            "out_initializer": self.out_initializer
            and initializers.serialize(self.out_initializer),
            "out_bias": self.out_bias,
            "bn_momentum": self.bn_momentum,
            "bn_epsilon": self.bn_epsilon,
            "bn_synchronized": self.bn_synchronized,
            "freeze_norm": self.freeze_norm,
        }


def _initializer(
    argument: str, identifier: str | dict | initializers.Initializer
) -> initializers.Initializer:
    """A Keras initializer that can be cloned and saved."""
    initializer = initializers.get(identifier)
    if not isinstance(initializer, initializers.Initializer):
        raise TypeError(
            f"Expected `{argument}` to be the name of a Keras initializer or "
            "a keras.initializers.Initializer. "
            f"Received: {argument}={identifier!r}"
        )
    return initializer


def _checked_queries(
    queries: Sequence[int] | Tensor, n: int | Tensor
) -> Tensor:
    """The queries as an int32 tensor of positions from the start."""
    has_dtype = hasattr(queries, "dtype")
    positions: Tensor = queries if has_dtype else np.asarray(queries)
    kind = keras.backend.standardize_dtype(positions.dtype)
    if len(positions.shape) != 1 or "int" not in kind:
        raise ValueError(
            "Expected `queries` to be a row of integers, the flat indices of "
            f"positions. Received: queries={queries!r}"
        )
    if isinstance(positions, np.ndarray) and isinstance(n, int):
        if ((positions < -n) | (positions >= n)).any():
            raise ValueError(
                f"Expected `queries` from {-n} to {n - 1}, for {n} positions. "
                f"Received: queries={queries!r}"
            )
    return ops.cast(ops.convert_to_tensor(positions), "int32") % n
