"""Validation of recipes: fields whose values do not fit together."""

import math

from nonlocal_tf.choices import unknown

from ..data.class_weights import BALANCED
from ..io.user_error import UserError
from ..loop import parameter_rates
from ..loop.best_epoch import BEST
from .schema import STARTS, BaseRecipe, ModelConfig, Recipe

OPTIMIZERS = ("adam", "adamw", "lion", "sgd")
SCHEDULES = ("cosine", "cosine_throughout", "steps", "constant")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


def check_common(
    recipe: BaseRecipe, precisions: tuple[str, ...] = PRECISIONS
) -> None:
    """Validate the fields that recipes of every task have.

    Args:
        recipe: of any task.
        precisions: values of `training.precision` that the task supports.

    Raises:
        UserError: a value is out of range, or two do not fit each other.
    """
    _check_steps(recipe)
    _check_optimizer(recipe)
    _check_step_config(recipe, precisions)


def check(recipe: Recipe) -> Recipe:
    """Validate and return the recipe of a video classification network.

    Raises:
        UserError: a value is out of range, or two do not fit each other.
    """
    check_common(recipe)
    _check_model(recipe.model)
    _check_training(recipe)
    if recipe.sampling is not None:
        recipe.sampling.check_batch(recipe.batch)
    if recipe.image_stage is not None:
        if recipe.model.weights is not None or recipe.model.start != "scratch":
            raise UserError(
                "A network starts from its image_stage or from model.weights, "
                "not from both; --set image_stage=None leaves out the first."
            )
        check(recipe.image_stage)
    return recipe


def _check_steps(recipe: BaseRecipe) -> None:
    for field in ("batch", "steps", "epoch_steps"):
        expect(getattr(recipe, field) >= 1, recipe, field, "to be at least 1")
    expect(0 <= recipe.seed < 2**31, recipe, "seed", f"from 0 to {2**31 - 1}")


def _check_model(model: ModelConfig) -> None:
    one_of("model.start", model.start, STARTS)
    width = model.width
    expect(width is None or width >= 1, model, "width", "to be at least 1")
    dropout = model.dropout
    expect(
        dropout is None or 0 <= dropout < 1,
        model,
        "dropout",
        "in [0, 1)",
    )


def _check_optimizer(recipe: BaseRecipe) -> None:
    config = recipe.optimizer
    one_of("optimizer.name", config.name, OPTIMIZERS)
    one_of("optimizer.schedule", config.schedule, SCHEDULES)
    if not 0 <= config.warmup_steps < recipe.steps:
        raise UserError(
            "Expected optimizer.warmup_steps from 0 to below "
            f"steps={recipe.steps}. Received: {config.warmup_steps}; "
            "for a short run: --set optimizer.warmup_steps=0"
        )
    for field in ("base_lr", "warmup_lr", "weight_decay", "drop_factor"):
        value = getattr(config, field)
        expect(0 <= value < math.inf, config, field, "to be a number from 0")
    expect(0 <= config.momentum < 1, config, "momentum", "in [0, 1)")
    clip, batch = config.clip_norm, config.lr_batch
    expect(clip is None or clip > 0, config, "clip_norm", "to be above 0")
    expect(batch is None or batch >= 1, config, "lr_batch", "to be at least 1")
    drops = config.drops_at_steps
    if list(drops) != sorted(set(drops)) or any(drop < 1 for drop in drops):
        raise UserError(
            "Expected optimizer.drops_at_steps to be rising steps from 1. "
            f"Received: {drops}"
        )
    if config.schedule == "steps" and not drops:
        raise UserError(
            "optimizer.schedule=steps needs the steps: --set "
            "optimizer.drops_at_steps=150000,300000"
        )
    if config.schedule != "steps" and drops:
        raise UserError(
            "optimizer.drops_at_steps goes with --set optimizer.schedule=steps."
            f" Received: optimizer.schedule={config.schedule}"
        )
    if config.weight_decay and config.name == "adam":
        raise UserError(
            "optimizer.weight_decay goes with optimizer.name=adamw, lion or "
            f"sgd. Received: {config.name!r}"
        )
    decay = config.layer_decay
    expect(0 < decay <= 1, config, "layer_decay", "above 0, and at most 1")
    parameter_rates.read_part_rates(config.part_rates)
    if config.scale_lr and config.lr_batch is None:
        raise UserError(
            "optimizer.scale_lr needs optimizer.lr_batch, the batch that "
            "base_lr is meant for."
        )


def _check_training(recipe: Recipe) -> None:
    config = recipe.training
    smoothing, batches = config.label_smoothing, config.precise_bn_batches
    expect(0 <= smoothing < 1, config, "label_smoothing", "in [0, 1)")
    expect(batches >= 0, config, "precise_bn_batches", "to be at least 0")
    for field in ("focal_gamma", "mixup", "cutmix"):
        value = getattr(config, field)
        expect(0 <= value < math.inf, config, field, "to be a number from 0")
    weights = config.class_weights
    expect(
        weights in (None, BALANCED)
        or (all(0 <= w < math.inf for w in weights) and any(weights)),
        config,
        "class_weights",
        "to be numbers from 0, not all of them 0",
    )


def _check_step_config(recipe: BaseRecipe, precisions: tuple[str, ...]) -> None:
    config = recipe.training
    one_of("training.precision", config.precision, precisions)
    decay, micro_batches = config.ema_decay, config.micro_batches
    expect(
        decay is None or 0 < decay < 1,
        config,
        "ema_decay",
        "in (0, 1)",
    )
    expect(micro_batches >= 1, config, "micro_batches", "to be at least 1")
    one_of("training.keep", config.keep, ("last", BEST))
    patience = config.patience
    expect(
        patience is None or patience >= 1,
        config,
        "patience",
        "to be at least 1",
    )
    if config.metric and config.keep != BEST and patience is None:
        raise UserError(
            "training.metric goes with --set training.keep=best or "
            f"training.patience=5. Received: training.metric={config.metric}"
        )
    if recipe.batch % micro_batches:
        raise UserError(
            f"Expected training.micro_batches to divide batch={recipe.batch}. "
            f"Received: {micro_batches}"
        )


def expect(fits: bool, config, field: str, expected: str) -> None:
    """Raises a UserError unless a field fits."""
    if not fits:
        raise UserError(
            f"Expected {field} {expected}. "
            f"Received: {field}={getattr(config, field)}"
        )


def one_of(field: str, value: str, choices) -> None:
    """Raises a UserError unless a value is one of some."""
    if value not in choices:
        raise UserError(unknown(field, value, choices))
