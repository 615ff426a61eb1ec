"""The model of a recipe: built, compiled, and as a run left it."""

import contextlib
import dataclasses
import functools
import hashlib
import tempfile
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from nonlocal_tf import create_model, freeze, list_models
from nonlocal_tf.checkpoints.load import load_weights
from nonlocal_tf.checkpoints.load_report import LoadReport

from ..data import Dataset, datasets
from ..data.dataset_info import DatasetInfo
from ..io import paths, weight_errors
from ..io.user_error import UserError
from ..loop import (
    checkpointing,
    classification_loss,
    fused_batch_norm,
    optimizers,
    parameter_rates,
    schedules,
)
from ..recipes import block_placement
from ..recipes.schema import NEW_HEAD, STARTS, Recipe
from . import named_weights
from .provenance import WeightSource
from .run_folder import RunFolder
from .trained_checkpoint import trained_checkpoint

# Fields of the recipe that are the network's arguments, as they are called.
NETWORK_ARGUMENTS = (
    "sampling",
    "stem",
    "inflation",
    "norm",
    "dropout",
    "width",
    "gradient_checkpointing",
)
BLOCK_ARGUMENTS = ("pairwise", "scale", "axes", "position", "places")


def build_model(recipe: Recipe, dataset: Dataset | DatasetInfo) -> keras.Model:
    """Build the recipe's network for its data set.

    Args:
        recipe: of the run.
        dataset: gives the classes and the shape of clips.

    Returns:
        A functional model to logits, of `create_model`.

    Raises:
        UserError: the network does not take the recipe's settings.
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(recipe.training.precision)
    try:
        model = create_model(
            recipe.model.name, **_network_arguments(recipe, dataset)
        )
        if recipe.model.frozen:
            freeze(model, recipe.model.frozen)
        return model
    except (TypeError, ValueError) as error:
        own = ""
        if recipe.model.name not in list_models():
            own = " If a module of yours registers it, give --plugin MODULE."
        raise UserError(f"Recipe {recipe.name!r}: {error}{own}") from error
    finally:
        keras.config.set_dtype_policy(policy)


def _network_arguments(
    recipe: Recipe, dataset: Dataset | DatasetInfo
) -> dict[str, Any]:
    """Return the arguments of `create_model` for the recipe's network."""
    config = recipe.model
    is_clip = len(dataset.element_shape) == 4
    arguments = {
        "num_classes": len(dataset.classes),
        "clip_shape" if is_clip else "image_shape": dataset.element_shape,
        **_given(config, NETWORK_ARGUMENTS),
    }
    if dataset.multi_label:
        arguments["head"] = "multi_label"
    if recipe.training.synchronized_bn:
        arguments["bn_synchronized"] = True
    if config.nonlocal_block is not None:
        block = config.nonlocal_block
        arguments |= _given(block, BLOCK_ARGUMENTS)
        if "places" in arguments:
            places = block_placement.read(arguments.pop("places"))
            arguments["nonlocal_places"] = places
        fields = vars(block).keys() - set(BLOCK_ARGUMENTS)
        arguments["nonlocal_block"] = _given(block, fields)
    return arguments


def _given(config, names) -> dict:
    """Return the fields that are not None, by name."""
    return {
        name: getattr(config, name)
        for name in names
        if getattr(config, name) is not None
    }


def compile_model(
    model: keras.Model, recipe: Recipe, dataset: Dataset | DatasetInfo
) -> None:
    """Compile a model with the optimizer, loss and metrics of a recipe."""
    fused_batch_norm.use_fused_batch_norm(model)
    model.compile(
        optimizer=optimizers.make(
            recipe.optimizer,
            schedules.learning_rate(
                recipe.optimizer, recipe.batch, recipe.steps
            ),
            loss_scaling=recipe.training.precision == "mixed_float16",
            rates=rates(model, recipe),
        ),
        **classification_loss.compiled(
            dataset.multi_label, len(dataset.classes)
        ),
        # "auto" compiles with XLA on a GPU, unasked.
        jit_compile=recipe.training.jit_compile,
        auto_scale_loss=False,
    )


def rates(model: keras.Model, recipe: Recipe) -> dict[str, float]:
    """Return the factor on the learning rate of each variable.

    Raises:
        UserError: the recipe names a part that the model does not have, or
            does not train.
    """
    config = recipe.optimizer
    return parameter_rates.rates(model, config.layer_decay, config.part_rates)


def start_from_weights(
    model: keras.Model, recipe: Recipe
) -> tuple[str, list[WeightSource] | None]:
    """Load the start weights of a recipe, from a file or a run.

    The classifier stays new where the file has none, or another number of
    classes, and for the kinds of start in `NEW_HEAD`.

    Returns:
        What was filled, and what was not, as lines for the screen; and the
        files that the weights come from, None where a run does not say.

    Raises:
        UserError: it is missing, damaged, or for another network.
    """
    config = recipe.model
    weights = config.starts_from
    if weights is None and config.start != "scratch":
        raise UserError(
            f"{recipe.name} starts from {STARTS[config.start]}. Give it: --set "
            "model.weights=FILE; or, to start from random weights, --set "
            "model.start=scratch"
        )
    if weights is None:
        return "", []
    path = named_weights.path_for_model(weights, config.name)
    remedy: Callable[[str], str]
    remedy = functools.partial(weight_errors.of_recipe, config.name)
    new_head = config.start in NEW_HEAD
    if config.weights is None:  # those of the package have other classes
        new_head = True
        remedy = weight_errors.of_start
    note = "  the classifier is new, not the file's\n" * new_head
    if (path / "recipe.json").is_file():
        report, sources = _start_from_run(
            model, RunFolder(path), new_head, remedy
        )
        return f"{report}\n{note}", sources
    with (
        paths.local_copy(path) as copy,
        weight_errors.shown("model.weights", remedy, str(copy), str(path)),
    ):
        report = load_weights(model, copy, new_head)
    report = dataclasses.replace(report, path=str(path))
    return f"{report}\n{note}", [WeightSource(path.name, report.format)]


def _start_from_run(
    model: keras.Model,
    run: RunFolder,
    new_head: bool,
    remedy: Callable[[str], str],
) -> tuple[LoadReport, list[WeightSource] | None]:
    """Load the weights of a run into a new model, through a file.

    That is the one way in which normalisations become affine, blocks are left
    new, and what did not fit is said.
    """
    trained, *_ = load_trained(run)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/{trained.name}.keras"
        trained.save(path)
        with weight_errors.shown("model.weights", remedy, path, str(run.path)):
            report = load_weights(model, path, new_head)
    report = dataclasses.replace(report, path=str(run.path))
    return report, run.read_provenance()


def load_trained(
    run: RunFolder,
) -> tuple[keras.Model, Recipe, DatasetInfo]:
    """Load the model of a run from its latest checkpoint.

    It takes the run folder alone: neither its data nor the weights that it
    started from.

    Raises:
        UserError: this is no run folder, or nothing was saved in it yet.
    """
    recipe = run.read_recipe(Recipe)
    checkpoint = trained_checkpoint(run)
    info = info_of(run, recipe)
    model = build_model(recipe, info)
    compile_model(model, recipe, info)
    checkpointing.restore(model, checkpoint)
    checkpointing.restore_average(model, checkpoint)
    return model, recipe, info


def weights_digest(model: keras.Model) -> str:
    """Compute the SHA-256 digest of a model's weights."""
    digest = hashlib.sha256()
    for weight in model.weights:
        array = np.asarray(keras.ops.convert_to_numpy(weight))
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def info_of(run: RunFolder, recipe: Recipe) -> DatasetInfo:
    """Return classes and shapes of the data of a run.

    Raises:
        UserError: an older version of the code began the run and did not keep
            it, and the data is not available.
    """
    info = run.read_info()
    if info is not None:
        return info
    try:
        dataset = datasets.load(recipe.dataset, recipe.data, recipe.sampling)
    except UserError as error:
        raise UserError(
            f"{run.path} is a run of an older version, whose data.json does "
            "not say what its network has to know of the data. Put the data "
            f"back for the first command, which then keeps it. {error}"
        ) from error
    with contextlib.suppress(PermissionError):  # it may be someone else's run
        run.check_data(dataset)
    return dataset.info
