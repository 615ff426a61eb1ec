"""Optimizers and their settings."""

import dataclasses
from collections.abc import Mapping

import keras
from keras import ops

# What normalisations, and the layers that stand for frozen ones, call their
# scales and shifts.
SCALES_AND_SHIFTS = ("gamma", "beta")


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """An optimizer and its learning-rate schedule.

    Attributes:
        base_lr: learning rate that the schedule starts from.
        warmup_steps: steps of linear warm-up to the schedule's rate.
        warmup_lr: learning rate of the first warm-up step.
        name: "adam"; "adamw" or "lion", with decoupled weight decay; or "sgd"
            with momentum and L2 weight decay.
        schedule: "cosine" (falls to zero from the end of the warm-up),
            "cosine_throughout" (from step 0, as SlowFast's), "steps" (falls
            at each of `drops_at_steps`) or "constant".
        drops_at_steps: milestones: the first step of each lower rate.
        drop_factor: factor on the rate at each milestone.
        momentum: of SGD.
        weight_decay: of SGD, added to the gradients (L2) of all weights but
            the scales and shifts of normalizations; of AdamW and Lion, times
            the learning rate taken from kernels.
        layer_decay: layer-wise learning-rate decay: factor on the rate of each
            part of the network, such as a stage, to that of the part after it.
        part_rates: factors on the rates of parts, such as
            "logits=10,nonlocal=10" for new layers.
        clip_norm: largest norm of the gradient over all variables and
            devices; None for no clipping.
        lr_batch: batch that `base_lr` is meant for.
        scale_lr: whether the rates are multiplied by batch / lr_batch.
    """

    base_lr: float
    warmup_steps: int = 0
    warmup_lr: float = 0.0
    name: str = "adam"
    schedule: str = "cosine"
    drops_at_steps: tuple[int, ...] = ()
    drop_factor: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 0.0
    layer_decay: float = 1.0
    part_rates: str | None = None
    clip_norm: float | None = None
    lr_batch: int | None = None
    scale_lr: bool = False


def make(
    config: OptimizerConfig,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
    loss_scaling: bool = False,
    rates: Mapping[str, float] | None = None,
    **sgd_options,
) -> keras.optimizers.Optimizer:
    """Build an optimizer without clipping.

    In Keras clipping would be of each device's gradients alone: see
    `train_step`.

    Args:
        config: which optimizer.
        learning_rate: a number or a schedule.
        loss_scaling: whether the loss is scaled dynamically, for float16.
        rates: factors on the learning rate by path of a variable, of
            `parameter_rates.rates`.
        **sgd_options: further arguments of `SGD`.
    """
    optimizer: keras.optimizers.Optimizer
    decay = config.weight_decay
    if config.name == "sgd":
        optimizer = SGD(
            learning_rate, config.momentum, decay, rates=rates, **sgd_options
        )
    elif config.name == "lion":
        optimizer = Lion(learning_rate, decay=decay, rates=rates)
    elif config.name == "adamw" or rates:
        optimizer = AdamW(learning_rate, decay=decay, rates=rates)
    else:
        optimizer = keras.optimizers.Adam(learning_rate)
    if loss_scaling:
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


class DecoupledDecay(keras.optimizers.Optimizer):
    """Decoupled weight decay, and rates of variables, for an optimizer.

    A mixin before a class of Keras, whose update follows the decay:

        w <- w - rate lr decay w        for kernels alone

    Keras has its decay of all or named variables, at the rate of all.

    Args:
        *args: of the optimizer.
        decay: factor on kernels, times the learning rate.
        rates: factors on the learning rate by path of a variable; 1 for others.
        **kwargs: of the optimizer.

    Raises:
        ValueError: `decay` or a rate is below 0.

    Reference:
        Loshchilov and Hutter, Decoupled weight decay regularization, ICLR 2019.
    """

    def __init__(self, *args, decay=0.0, rates=None, **kwargs):
        super().__init__(*args, **kwargs)
        if decay < 0:
            raise ValueError(
                f"Expected decay of at least 0. Received: decay={decay}"
            )
        self.decay = decay
        self.rates = checked_rates(rates)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        # By position: inside a step these are the framework's own variables.
        self._rates = [self.rates.get(v.path, 1.0) for v in variables]
        self._decays = [
            self.decay * has_l2(variable, biases=False)
            for variable in variables
        ]

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        rate = ops.cast(learning_rate, variable.dtype) * self._rates[index]
        if self._decays[index]:
            self.assign_sub(variable, rate * self._decays[index] * variable)
        super().update_step(gradient, variable, rate)

    def get_config(self):
        config = {**super().get_config(), "rates": self.rates}
        return {**config, "decay": self.decay}


@keras.saving.register_keras_serializable("training")
class AdamW(DecoupledDecay, keras.optimizers.Adam):
    """Adam with decoupled weight decay of kernels, and rates of variables.

    See `DecoupledDecay` and `keras.optimizers.Adam` for the arguments.
    """


@keras.saving.register_keras_serializable("training")
class Lion(DecoupledDecay, keras.optimizers.Lion):
    """Lion with decoupled weight decay of kernels, and rates of variables.

    See `DecoupledDecay` and `keras.optimizers.Lion` for the arguments. Rates
    are a third to a tenth of Adam's, decay three to ten times as much.

    Reference:
        Chen et al., Symbolic discovery of optimization algorithms, NeurIPS
        2023.
    """


def checked_rates(rates: Mapping[str, float] | None) -> dict[str, float]:
    """Return factors on the learning rate, of at least 0.

    Raises:
        ValueError: a factor is below 0.
    """
    wrong = {path: rate for path, rate in (rates or {}).items() if rate < 0}
    if wrong:
        raise ValueError(f"Expected rates of at least 0. Received: {wrong}")
    return dict(rates or {})


@keras.saving.register_keras_serializable("training")
class SGD(keras.optimizers.Optimizer):
    """Stochastic gradient descent with momentum, by default Nesterov's, and L2.

    With g the gradient, plus l2 w where w is no scale or shift of a
    normalisation, mu the momentum and lr the rate:

        v <- mu v + g
        w <- w - lr (g + mu v)    or, not Nesterov's,    w <- w - lr v

    as in PyTorch. Keras' own SGD keeps lr in its velocity (so that a drop of
    the rate reaches the velocity ten steps late), and its `weight_decay` is
    not L2: it passes by the momentum.

    The authors' Caffe2 has lr in its velocity V too, but multiplies V by
    lr_new / lr_old whenever the rate changes, and so is the same. Their update

        V_t = mu V' + lr_t g,  with V' = V_{t-1} lr_t / lr_{t-1}
        w <- w - ((1 + mu) V_t - mu V')

    is with V = lr v, thus V' = lr_t v_{t-1}: first
    v_t = mu v_{t-1} + g; and, since mu V' = V_t - lr_t g,
    (1 + mu) V_t - mu V' = mu V_t + lr_t g = lr_t (g + mu v_t).

    Args:
        learning_rate: a number or a schedule.
        momentum: mu, in [0, 1).
        l2: factor on the weights that is added to their gradients.
        nesterov: whether the momentum looks ahead; not so in Detectron.
        bias_l2: whether L2 is for biases too; not so in Detectron.
        bias_rate: factor on the rate of biases; 2 in Detectron.
        rates: factors on the rate by path of a variable; 1 for others.
        name: of the optimizer.
        **kwargs: of `keras.optimizers.Optimizer`.

    Raises:
        ValueError: `momentum`, `l2`, `bias_rate` or a rate is out of its range.

    Reference:
        Sutskever et al., On the importance of initialization and momentum in
        deep learning, ICML 2013.
    """

    def __init__(
        self,
        learning_rate,
        momentum=0.9,
        l2=0.0,
        nesterov=True,
        bias_l2=True,
        bias_rate=1.0,
        rates=None,
        name="sgd",
        **kwargs,
    ):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        if not 0 <= momentum < 1:
            raise ValueError(
                f"Expected momentum in [0, 1). Received: momentum={momentum}"
            )
        if l2 < 0:
            raise ValueError(f"Expected l2 of at least 0. Received: l2={l2}")
        if bias_rate <= 0:
            raise ValueError(
                f"Expected bias_rate above 0. Received: bias_rate={bias_rate}"
            )
        self.momentum = momentum
        self.l2 = l2
        self.nesterov = nesterov
        self.bias_l2 = bias_l2
        self.bias_rate = bias_rate
        self.rates = checked_rates(rates)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.velocities = self.add_optimizer_variables(variables, "velocity")
        # By position: inside a step these are the framework's own variables,
        # which have other names.
        self._factors = [
            self.l2 * has_l2(variable, self.bias_l2) for variable in variables
        ]
        self._rates = [
            self.rates.get(variable.path, 1.0)
            * (self.bias_rate if is_bias(variable) else 1.0)
            for variable in variables
        ]

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        velocity, l2 = self.velocities[index], self._factors[index]
        # The dtype of weights is float32 whatever the policy of their layers.
        gradient = ops.cast(gradient, variable.dtype)
        rate = ops.cast(learning_rate, variable.dtype) * self._rates[index]
        if l2:
            gradient = gradient + l2 * variable
        self.assign(velocity, self.momentum * velocity + gradient)
        if self.nesterov:
            velocity = gradient + self.momentum * velocity
        self.assign_sub(variable, rate * velocity)

    def get_config(self):
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "l2": self.l2,
            "nesterov": self.nesterov,
            "bias_l2": self.bias_l2,
            "bias_rate": self.bias_rate,
            "rates": self.rates,
        }


def has_l2(variable: keras.Variable, biases: bool = True) -> bool:
    """Return whether weight decay applies: not to scales and shifts.

    Args:
        variable: a weight.
        biases: whether it is for biases.
    """
    if is_bias(variable):
        return biases
    return variable.name not in SCALES_AND_SHIFTS


def is_bias(variable: keras.Variable) -> bool:
    return variable.name == "bias"
