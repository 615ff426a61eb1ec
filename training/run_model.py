"""The model of a recipe: built, compiled, and as a run left it."""

import keras

from nonlocal_tf import models, weights
from training import block_places, checkpoints, fused
from training.data import Dataset, dataset_of
from training.errors import UserError
from training.recipe import Recipe
from training.run_folder import RunFolder

# Fields of the recipe that are the network's arguments, as they are called.
NETWORK_ARGUMENTS = (
    "sampling",
    "stem",
    "inflation",
    "norm",
    "dropout",
    "width",
)
BLOCK_ARGUMENTS = ("pairwise", "scale", "axes", "places")


def build_model(recipe: Recipe, dataset: Dataset, **arguments) -> keras.Model:
    """Builds the recipe's network for its dataset.

    Args:
        recipe: of the run.
        dataset: with the classes and the shape of what it looks at.
        **arguments: for `create_model`, instead of the recipe's.

    Returns:
        A functional model to logits, if not asked else.

    Raises:
        UserError: the network does not take what the recipe says.
    """
    config = recipe.model
    is_clip = len(dataset.element_shape) == 4
    given: dict = {
        "num_classes": len(dataset.classes),
        "clip_shape" if is_clip else "image_shape": dataset.element_shape,
        **_given(config, NETWORK_ARGUMENTS),
    }
    if dataset.multi_label:
        given["head"] = "multi_label"
    if recipe.training.synchronized_bn:
        given["bn_synchronized"] = True
    if config.nonlocal_block is not None:
        given |= _given(config.nonlocal_block, BLOCK_ARGUMENTS)
        if "places" in given:
            given["nonlocal_places"] = block_places.read(given.pop("places"))
        others = vars(config.nonlocal_block).keys() - set(BLOCK_ARGUMENTS)
        given["nonlocal_block"] = _given(config.nonlocal_block, others)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(recipe.training.precision)
    try:
        return models.create_model(config.name, **{**given, **arguments})
    except (TypeError, ValueError) as error:
        raise UserError(f"Recipe {recipe.name!r}: {error}") from error
    finally:
        keras.config.set_dtype_policy(before)


def _given(config, names) -> dict:
    """The fields that are set."""
    return {
        name: getattr(config, name)
        for name in names
        if getattr(config, name) is not None
    }


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
