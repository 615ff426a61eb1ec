"""The non-local block: z = x + W_z y, with y the non-local operation on x."""

import keras
from keras import initializers, layers, ops

from nonlocal_tf.choices import unknown
from nonlocal_tf.layers import pairwise as pairwise_table

NORMS = ("batch", "none")
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

    Args:
        pairwise: `"embedded_gaussian"`, `"gaussian"`, `"dot_product"`,
            `"concatenation"`, a name given to `register_pairwise`, or a
            `Pairwise` layer, of which the block uses a copy.
        bottleneck: channels of theta, phi and g. Default: half the input's.
        scale: factor on the logits of the two Gaussian functions: `None` (the
            paper's 1), `"rsqrt"` (d ** -0.5, as in the authors' code) or a
            positive number. With a `Pairwise` layer, set it there.
        norm: `"batch"` for batch normalisation after W_z, or `"none"`.
        gamma_init: where the normalisation's gamma starts. 0 is the paper's:
            the block starts as the identity. A short training wants a block
            that acts from the first step: 0.1 to 1.
        tie_theta_phi_init: theta and phi start with the same kernel, so that
            like looks at like from the first step; they are free afterwards.
        kernel_initializer: of theta, phi and g, each drawn apart.
        out_initializer: of W_z. Default: `kernel_initializer`, or without
            normalisation zeros, so that the block starts as the identity.
        bn_momentum: share of the old value in the moving statistics.
        bn_epsilon: added to the variance.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        x: `(batch, n, channels)`, `(batch, height, width, channels)` or
            `(batch, time, height, width, channels)`; everything but the
            channels may be unknown.
        training: whether batch normalisation uses the batch's statistics.

    Returns:
        A tensor of the shape and dtype of `x`.

    Raises:
        ValueError: the input's rank is not 3, 4 or 5, its channels are
            unknown, or an argument is not one of those above.

    Reference:
        Wang, Girshick, Gupta, He: Non-local Neural Networks, CVPR 2018,
        sections 3.1 to 3.3.

    Example:

    >>> import keras, nonlocal_tf as nl
    >>> x = keras.random.normal((2, 4, 7, 7, 32))
    >>> tuple(nl.NonLocalBlock(pairwise="dot_product")(x).shape)
    (2, 4, 7, 7, 32)
    """

    def __init__(
        self,
        pairwise="embedded_gaussian",
        bottleneck=None,
        scale=None,
        norm="batch",
        gamma_init=0.0,
        tie_theta_phi_init=False,
        kernel_initializer="he_normal",
        out_initializer=None,
        bn_momentum=0.9,
        bn_epsilon=1e-5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if norm not in NORMS:
            raise ValueError(unknown("norm", norm, NORMS))
        if norm == "none" and gamma_init:
            raise ValueError(
                "`gamma_init` belongs to a normalisation; with norm='none' use "
                f"`out_initializer`. Received: gamma_init={gamma_init!r}"
            )
        if bottleneck is not None and bottleneck < 1:
            raise ValueError(
                "Expected `bottleneck` to be None or at least 1. "
                f"Received: bottleneck={bottleneck!r}"
            )
        self.pairwise = self._resolve(pairwise, scale)
        if tie_theta_phi_init and not self.pairwise.embeds:
            raise ValueError(
                "`tie_theta_phi_init` needs a pairwise function with theta "
                f"and phi. Received: pairwise={pairwise!r}"
            )
        self._pairwise_name = pairwise if isinstance(pairwise, str) else None
        self.bottleneck = bottleneck
        self.scale = scale
        self.norm = norm
        self.gamma_init = gamma_init
        self.tie_theta_phi_init = tie_theta_phi_init
        self.kernel_initializer = _initializer(
            "kernel_initializer", kernel_initializer
        )
        self.out_initializer = out_initializer and _initializer(
            "out_initializer", out_initializer
        )
        self.bn_momentum = bn_momentum
        self.bn_epsilon = bn_epsilon

    def build(self, input_shape):
        if len(input_shape) not in (3, 4, 5) or input_shape[-1] is None:
            raise ValueError(
                "Expected an input of rank 3, 4 or 5 with known channels: "
                "(batch, n, channels), (batch, height, width, channels) or "
                "(batch, time, height, width, channels). "
                f"Received: shape={tuple(input_shape)}"
            )
        channels = input_shape[-1]
        d = self.bottleneck or max(channels // 2, 1)
        if self.pairwise.embeds:
            self.theta = self._projection("theta", channels, d)
            self.phi = self._projection("phi", channels, d)
        self.g = self._projection("g", channels, d)
        self.out = self._projection("out", d, channels)
        if self.norm == "batch":
            self.bn = layers.BatchNormalization(
                momentum=self.bn_momentum,
                epsilon=self.bn_epsilon,
                gamma_initializer=initializers.Constant(self.gamma_init),
                dtype=self.dtype_policy,
                trainable=self.trainable,
                name="bn",
            )
            self.bn.build((None, None, channels))
        embedding = (None, None, d if self.pairwise.embeds else channels)
        self.pairwise.trainable = self.trainable
        self.pairwise.build(embedding, embedding, (None, None, d))

    def call(self, x, training=None):
        positions = self._flatten(x)  # (b, n, c)
        theta, phi = self._embed(positions, positions)
        y = self.out(self.pairwise(theta, phi, self.g(positions)))
        if self.norm == "batch":
            y = self.bn(y, training=training)
        return x + ops.reshape(y, ops.shape(x))

    def affinity(self, x, queries=None):
        """Where positions look: the normalised weights of the sum over j.

        Args:
            x: the block's input, as in `call`.
            queries: flat indices of the positions i to show, counted in the
                order time, height, width. Default: all of them.

        Returns:
            `(batch, queries, n)`; float32 or wider.
        """
        if not self.built:
            self.build(tuple(x.shape))
        positions = self._flatten(ops.cast(x, self.compute_dtype))
        asked = positions
        if queries is not None:
            asked = ops.take(positions, ops.convert_to_tensor(queries), axis=1)
        return self.pairwise.affinity(*self._embed(asked, positions))

    def _resolve(self, pairwise, scale):
        options = {} if scale is None else {"scale": scale}
        if options and not isinstance(pairwise, str):
            raise ValueError(
                "`scale` goes with the name of a pairwise function; a layer "
                f"has its own. Received: pairwise={pairwise!r}, scale={scale!r}"
            )
        cls = pairwise_table.PAIRWISE.get(pairwise) if options else None
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

    def _projection(self, name, channels, units):
        # A 1x1x1 convolution is a dense layer on (b, n, c).
        layer = layers.Dense(
            units,
            kernel_initializer=self._start_of(name),
            dtype=self.dtype_policy,
            trainable=self.trainable,
            name=name,
        )
        layer.build((None, None, channels))
        return layer

    def _start_of(self, name):
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

    def _flatten(self, x):
        return ops.reshape(x, (ops.shape(x)[0], -1, x.shape[-1]))

    def _embed(self, asked, positions):
        if self.pairwise.embeds:
            return self.theta(asked), self.phi(positions)
        return asked, positions

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "pairwise": self._pairwise_name
            or keras.saving.serialize_keras_object(self.pairwise),
            "bottleneck": self.bottleneck,
            "scale": self.scale,
            "norm": self.norm,
            "gamma_init": self.gamma_init,
            "tie_theta_phi_init": self.tie_theta_phi_init,
            "kernel_initializer": initializers.serialize(
                self.kernel_initializer
            ),
            "out_initializer": self.out_initializer
            and initializers.serialize(self.out_initializer),
            "bn_momentum": self.bn_momentum,
            "bn_epsilon": self.bn_epsilon,
        }


def _initializer(argument, identifier):
    """A Keras initializer that can be cloned and saved."""
    initializer = initializers.get(identifier)
    if not isinstance(initializer, initializers.Initializer):
        raise TypeError(
            f"Expected `{argument}` to be the name of a Keras initializer or "
            "a keras.initializers.Initializer. "
            f"Received: {argument}={identifier!r}"
        )
    return initializer
