"""Learning rates of the parts of a network, for fine-tuning."""

import math
import re

import keras

from nonlocal_tf.models.freezing import BLOCKS

from ..io.user_error import UserError

NUMBER = r"\d*\.?\d+(e[+-]?\d+)?"
FACTORS = re.compile(rf"\w+={NUMBER}(,\w+={NUMBER})*")
LAST_STAGE = "res5"  # of the paper's backbones


def rates(
    model: keras.Model,
    layer_decay: float = 1.0,
    part_rates: str | None = None,
) -> dict[str, float]:
    """Return the factor on the learning rate of each variable.

    A part is the layers whose names begin with the same word, in the order of
    the model: conv1, res2 to res5, logits. With `layer_decay` d, the last has
    1, the one before it d, then d * d, and so on; blocks have that of their
    stage, and whatever a detector has after its backbone has 1. Factors of
    `part_rates` come on top.

    Args:
        model: to train.
        layer_decay: factor on the rate of each part to that of the part after
            it.
        part_rates: factors on the rates of parts, such as "logits=10", and
            "nonlocal" for the blocks.

    Returns:
        Factors other than 1, by path of the variable, for the optimizers of
        `training.loop.optimizers`.

    Raises:
        UserError: `layer_decay` is not in (0, 1], or `part_rates` names a part
            that the model does not have or train.

    Reference:
        Clark et al., ELECTRA, ICLR 2020 (layer-wise learning-rate decay).

    Example:

    >>> factors = rates(model, layer_decay=0.75, part_rates="logits=10")
    >>> optimizer = optimizers.AdamW(1e-3, decay=0.05, rates=factors)
    """
    if not 0 < layer_decay <= 1:
        raise UserError(
            "Expected layer_decay above 0, and at most 1. Received: "
            f"{layer_decay!r}"
        )
    factors = read_part_rates(part_rates)
    variables = model.trainable_variables
    parts = list(dict.fromkeys(map(_part_of, variables)))
    names = {*parts, *(BLOCKS for v in variables if _is_of_block(v))}
    for part in factors.keys() - names:
        raise UserError(
            f"Expected optimizer.part_rates of trained parts of {model.name}: "
            f"{', '.join(sorted(names))}. Received: {part!r}"
        )
    top = len(parts) - 1
    if LAST_STAGE in parts:
        top = parts.index(LAST_STAGE) + 1
    depth = {part: max(top - i, 0) for i, part in enumerate(parts)}
    result = {}
    for variable in variables:
        part = _part_of(variable)
        rate = layer_decay ** depth[part]
        named = BLOCKS if _is_of_block(variable) else part
        rate *= factors.get(named, 1.0)
        if rate != 1:
            result[variable.path] = rate
    if variables and not any(result.get(v.path, 1) for v in variables):
        raise UserError(
            "Expected optimizer.part_rates above 0 of a part that is trained: "
            f"{', '.join(sorted(names))}. Received: {part_rates!r}"
        )
    return result


def read_part_rates(text: str | None) -> dict[str, float]:
    """Read factors such as "logits=10,nonlocal=10".

    Raises:
        UserError: the text is none.
    """
    if not text:
        return {}
    try:
        if not isinstance(text, str):
            raise ValueError
        words = "".join(text.split())
        if not FACTORS.fullmatch(words):
            raise ValueError
        pairs = [word.split("=") for word in words.split(",")]
        factors = {part: float(factor) for part, factor in pairs}
        if len(factors) < len(pairs) or math.inf in factors.values():
            raise ValueError
        return factors
    except ValueError:
        raise UserError(
            "Expected optimizer.part_rates such as logits=10,nonlocal=10, "
            f"each part once. Received: {text!r}"
        ) from None


def _part_of(variable: keras.Variable) -> str:
    return variable.path.split("/")[0].split("_")[0]


def _is_of_block(variable: keras.Variable) -> bool:
    return variable.path.split("/")[0].endswith(f"_{BLOCKS}")
