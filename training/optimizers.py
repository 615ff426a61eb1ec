"""The optimizer of a recipe."""

import keras
from keras import ops

from training import schedules
from training.recipe import Recipe

# What normalisations, and the layers that stand for frozen ones, call their
# scales and shifts.
SCALES_AND_SHIFTS = ("gamma", "beta")


def make(recipe: Recipe) -> keras.optimizers.Optimizer:
    """The recipe's optimizer with its schedule.

    It does not clip: in Keras that would be each device's gradients alone.
    """
    config = recipe.optimizer
    rate = schedules.learning_rate(recipe)
    if config.name == "sgd":
        chosen = SGD(rate, config.momentum, config.weight_decay)
    else:
        chosen = keras.optimizers.Adam(rate)
    if recipe.training.precision == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(chosen)
    return chosen


@keras.saving.register_keras_serializable("training")
class SGD(keras.optimizers.Optimizer):
    """Stochastic gradient descent with Nesterov's momentum and L2.

    With g the gradient, plus l2 w where w is no scale or shift of a
    normalisation, mu the momentum and lr the rate:

        v <- mu v + g
        w <- w - lr (g + mu v)

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
        name: of the optimizer.
        **kwargs: of `keras.optimizers.Optimizer`.

    Raises:
        ValueError: `momentum` or `l2` is out of its range.

    Reference:
        Sutskever et al., On the importance of initialization and momentum in
        deep learning, ICML 2013.
    """

    def __init__(
        self, learning_rate, momentum=0.9, l2=0.0, name="sgd", **kwargs
    ):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        if not 0 <= momentum < 1:
            raise ValueError(
                f"Expected momentum in [0, 1). Received: momentum={momentum}"
            )
        if l2 < 0:
            raise ValueError(f"Expected l2 of at least 0. Received: l2={l2}")
        self.momentum = momentum
        self.l2 = l2

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.velocities = self.add_optimizer_variables(variables, "velocity")
        # By position: inside a step these are the framework's own variables,
        # which have other names.
        self._factors = [self.l2 * has_l2(variable) for variable in variables]

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        velocity, l2 = self.velocities[index], self._factors[index]
        # The dtype of weights is float32 whatever the policy of their layers.
        gradient = ops.cast(gradient, variable.dtype)
        rate = ops.cast(learning_rate, variable.dtype)
        if l2:
            gradient = gradient + l2 * variable
        self.assign(velocity, self.momentum * velocity + gradient)
        self.assign_sub(variable, rate * (gradient + self.momentum * velocity))

    def get_config(self):
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "l2": self.l2,
        }


def has_l2(variable: keras.Variable) -> bool:
    """Whether L2 is for this weight: for all but scales and shifts."""
    return variable.name not in SCALES_AND_SHIFTS
