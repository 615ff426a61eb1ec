"""The model of a recipe: built, compiled, and as a run left it."""

import keras

from nonlocal_tf import models, weights
from training import checkpoints, fused
from training.data import Dataset, dataset_of
from training.errors import UserError
from training.recipe import Recipe
from training.run_folder import RunFolder


def build_model(recipe: Recipe, dataset: Dataset) -> keras.Model:
    """Builds the recipe's network for its dataset."""
    is_clip = len(dataset.element_shape) == 4
    arguments: dict = {
        "num_classes": len(dataset.classes),
        "clip_shape" if is_clip else "image_shape": dataset.element_shape,
    }
    block = recipe.model.nonlocal_block
    if block is not None:
        arguments["nonlocal_block"] = vars(block)
    if recipe.model.sampling is not None:
        arguments["sampling"] = recipe.model.sampling
    try:
        return models.create_model(recipe.model.name, **arguments)
    except (TypeError, ValueError) as error:
        raise UserError(f"Recipe {recipe.name!r}: {error}") from error


def compile_model(model: keras.Model, recipe: Recipe) -> None:
    """Gives the model the recipe's optimizer, loss and metric."""
    config = recipe.optimizer
    warmup = config.warmup_steps
    rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else config.base_lr,
        decay_steps=recipe.steps - warmup,
        warmup_target=config.base_lr if warmup else None,
        warmup_steps=warmup,
    )
    fused.use_fused_batch_norm(model)
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        ),
        # Weighted: a clip that could not be read counts in neither.
        weighted_metrics=["accuracy"],
        # "auto" compiles with XLA on a GPU, unasked.
        jit_compile=False,
    )


def start_from_weights(model: keras.Model, recipe: Recipe) -> str:
    """Fills a new model from the file that the recipe names, if any.

    Returns:
        What was filled, and what was not, as lines for the screen.

    Raises:
        UserError: the file is missing, damaged, or for another network.
    """
    if recipe.model.weights is None:
        return ""
    try:
        return f"{weights.load_weights(model, recipe.model.weights)}\n"
    except ValueError as error:
        raise UserError(f"model.weights: {error}") from error


def load_trained(run: RunFolder) -> tuple[keras.Model, Recipe, Dataset]:
    """The model of a run with the weights of its latest checkpoint.

    Raises:
        UserError: this is no run folder, or nothing was saved in it yet.
    """
    recipe = run.read_recipe()
    checkpoint = checkpoints.latest(run)
    if checkpoint is None:
        raise UserError(
            f"{run.path} has no checkpoint yet. Go on training it with: "
            f"python -m training.train --workdir {run.path}"
        )
    if checkpoint.epoch < recipe.epochs:
        print(
            f"note: {run.path} is trained for {checkpoint.epoch} of "
            f"{recipe.epochs} epochs"
        )
    dataset = dataset_of(recipe)
    run.check_data(dataset)
    model = build_model(recipe, dataset)
    compile_model(model, recipe)
    checkpoints.restore(model, checkpoint)
    return model, recipe, dataset
