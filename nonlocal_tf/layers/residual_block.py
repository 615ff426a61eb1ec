"""Projections, normalization and gate of a non-local block."""

from collections.abc import Callable
from typing import Literal, Self, get_args

import numpy as np
from keras import initializers, layers, ops

from nonlocal_tf.layers.kernel_initializers import separate_initializer
from nonlocal_tf.layers.normalization import (
    Affine,
    BatchNormalization,
    gain_and_shift,
)
from nonlocal_tf.layers.pairwise import Pairwise
from nonlocal_tf.layers.scalar_gate import ScalarGate
from nonlocal_tf.typing import Tensor

BlockNorm = Literal["batch", "affine", "none"]
NORMS = get_args(BlockNorm)
Gate = Literal["scalar"]
GATES = get_args(Gate)
PROJECTIONS = ("theta", "phi", "g", "out")
# Layers that folding does not change.
COPIED = (
    "theta",
    "phi",
    "g",
    "pairwise",
    "position_encoding",
    "context_encoding",
)


class ResidualBlock(layers.Layer):
    """Base class of `NonLocalBlock` with the residual norm(W_z y).

    It makes the dense layers, the normalization and the gate, and folds the
    latter two. A subclass sets the attributes below in its constructor,
    `freeze_norm` before `super().__init__()`, and the layers in `build`.
    """

    pairwise: Pairwise
    norm: BlockNorm
    gate: Gate | None
    gamma_init: float
    tie_theta_phi_init: bool
    kernel_initializer: initializers.Initializer
    out_initializer: initializers.Initializer | None
    out_bias: bool
    bn_momentum: float
    bn_epsilon: float
    bn_synchronized: bool
    freeze_norm: bool
    _pairwise_name: str | None
    theta: layers.Dense
    phi: layers.Dense
    g: layers.Dense
    out: layers.Dense

    def fold(self) -> Self:
        """Fold the normalization or the gate into W_z, for inference.

        Returns:
            A new, built block of the same name without either, with equal
            outputs in inference. This block does not change.

        Raises:
            ValueError: the block is not built yet, or is quantized or has
                LoRA weights.

        `nonlocal_tf.fold` folds a whole model.
        """
        if not self.built:
            raise ValueError(
                "Expected a built block: call it, or load its model, before "
                f"`fold`. Received: {self.name!r}, not built"
            )
        self._check_kernels()
        no_norm = {
            "norm": "none",
            "gate": None,
            "gamma_init": 0.0,
            "bn_synchronized": False,
            "freeze_norm": False,
            "out_bias": self.out_bias or self.norm != "none",
            # Not as a config: its class need not be registered for saving.
            "pairwise": self._pairwise_name or self.pairwise,
        }
        folded = type(self).from_config({**self.get_config(), **no_norm})
        folded.build_from_config(self.get_build_config())
        for name in COPIED:
            if hasattr(self, name):
                weights = getattr(self, name).get_weights()
                getattr(folded, name).set_weights(weights)
        gain, shift = np.ones(()), np.zeros(())
        if self.norm != "none":
            gain, shift = gain_and_shift(self._norm_layer)
        elif self.gate:
            gain = np.asarray(self.scalar_gate.gamma, "float64")
        kernel, *bias = (w.astype("float64") for w in self.out.get_weights())
        bias = [sum(bias) * gain + shift] if folded.out_bias else []
        folded.out.set_weights([kernel * gain, *bias])
        return folded

    def _check_kernels(self) -> None:
        """Check that the projections have kernels and biases alone."""
        for name in PROJECTIONS:
            layer = getattr(self, name, None)
            if layer is None:  # the Gaussian has no theta and phi
                continue
            mode = getattr(layer, "quantization_mode", None)
            has_lora = getattr(layer, "lora_enabled", False)
            if mode or has_lora:
                raise ValueError(
                    "Expected kernels that are neither quantized nor have LoRA "
                    "weights. Fold before quantizing; save and load the model "
                    "to merge its LoRA weights. Received: "
                    f"{layer.path!r} with quantization {mode}, LoRA {has_lora}"
                )

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

    def _build_residual(self, channels: int) -> None:
        """Build the normalization or the gate, if there is one."""
        if self.norm != "none":
            self._build_norm(channels)
        elif self.gate:
            self.scalar_gate = ScalarGate(
                self.gamma_init,
                dtype=self.dtype_policy,
                trainable=self.trainable,
                name="gate",
            )
            self.scalar_gate.build((None, None, channels))

    def _build_norm(self, channels: int) -> None:
        common = {
            "gamma_initializer": initializers.Constant(self.gamma_init),
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

    def _residual(
        self, y: Tensor, training: bool | None, mask: Tensor | None = None
    ) -> Tensor:
        """Compute norm(W_z y), or gamma W_z y, of `(batch, n, c)`."""
        y = self.out(y)  # (b, n, channels)
        if self.norm == "batch":
            # `trainable` of an outer layer overrides that of self.bn.
            training = training and not self.freeze_norm
            self._check_mask_of_norm(training, mask)
            return self.bn(y, training=training, mask=mask)
        if self.norm == "affine":
            return self.affine(y)
        return self.scalar_gate(y) if self.gate else y

    def _check_mask_of_norm(
        self, training: bool | None, mask: Tensor | None
    ) -> None:
        if training and self.bn_synchronized and mask is not None:
            raise ValueError(
                "`bn_synchronized` does not go with a mask in training: Keras "
                "would compute the statistics of each device alone. Received: "
                f"bn_synchronized=True, mask of shape {tuple(mask.shape)}"
            )

    def _projection(
        self, name: str, channels: int, units: int, use_bias: bool = True
    ) -> layers.Dense:
        # A 1x1x1 convolution is a dense layer on (b, n, c). A single product
        # for theta, phi and g is not faster (training/benchmarks).
        layer = layers.Dense(
            units,
            use_bias=use_bias,
            kernel_initializer=self._projection_initializer(name),
            dtype=self.dtype_policy,
            trainable=self.trainable,
            name=name,
        )
        layer.build((None, None, channels))
        return layer

    def _projection_initializer(self, name: str) -> Callable:
        """Return the kernel initializer of theta, phi, g or out."""
        if name == "phi" and self.tie_theta_phi_init:
            return lambda shape, dtype=None: ops.copy(self.theta.kernel)
        if name == "out" and self.out_initializer is not None:
            return self.out_initializer
        if name == "out" and self.norm == "none" and not self.gate:
            return initializers.Zeros()
        index = PROJECTIONS.index(name)
        return separate_initializer(self.kernel_initializer, index)
