"""The network of a test: as trained, on frames of any size, to scores."""

import inspect
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from nonlocal_tf import models, preprocess

from ..data import Dataset
from ..data.datasets import DatasetInfo
from ..io.user_error import UserError
from ..recipes.schema import Recipe, ViewsConfig
from ..runs import run_model

Step = Callable[[np.ndarray], np.ndarray]


def build_network(
    trained: keras.Model,
    recipe: Recipe,
    dataset: Dataset | DatasetInfo,
    views: ViewsConfig,
) -> keras.Model:
    """The network of a test, with the weights of the trained one.

    Frames may be larger than in training. Then the authors' networks, as
    SlowFast's, average over windows of the training's size, and have a score
    at each position; with mmaction2's `starts` they average over everything, as
    there, and so do networks without such a head.

    Args:
        trained: the network of the recipe.
        recipe: of the run.
        dataset: of the recipe.
        views: what it will look at.

    Returns:
        A model to logits, `(batch, classes)` or `(batch, t, h, w, classes)`.

    Raises:
        UserError: the views are smaller than the windows.
    """
    frames = dataset.element_shape[0]
    side = views.crop_px if views.crops else None
    shape = (frames, side, side, 3)
    arguments: dict = {"clip_shape": shape, "outputs": "logits"}
    if not has_windows(recipe):
        del arguments["outputs"]
    elif views.starts != "mmaction2":
        train_px = dataset.element_shape[1]
        short = views.crop_px if views.crops else views.short_side_px
        if short < train_px:
            raise UserError(
                f"This network is trained on {train_px} x {train_px} pixels. "
                f"Expected views no smaller. Received: {short}"
            )
        arguments |= {"head": "fully_convolutional", "crop_px": train_px}
    model = run_model.build_model(recipe, dataset, **arguments)
    copy_weights(trained, model)
    return model


def has_windows(recipe: Recipe) -> bool:
    """Whether the recipe's network has a fully convolutional head."""
    builder = models.registry.MODELS[recipe.model.name]
    return "crop_px" in inspect.signature(builder).parameters


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Gives a network the weights of another, layer by layer, by name."""
    given = {layer.name: layer for layer in source.layers if layer.weights}
    taking = {layer.name: layer for layer in target.layers if layer.weights}
    if given.keys() != taking.keys():
        raise ValueError(
            "Expected networks whose layers have the same names. Received: "
            f"{sorted(given.keys() ^ taking.keys())} in one alone"
        )
    for name, layer in taking.items():
        layer.set_weights(given[name].get_weights())


def devices() -> tf.distribute.Strategy:
    """All GPUs there are, if there are several; else what is in use."""
    several = len(tf.config.list_logical_devices("GPU")) > 1
    if several and not tf.distribute.has_strategy():
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def step_of(
    model: keras.Model,
    multi_label: bool,
    strategy: tf.distribute.Strategy | None = None,
) -> Step:
    """A function of uint8 views to their scores, float32 `(n, classes)`.

    At each position that the logits have, the probabilities are computed, by a
    softmax or, for several labels a video, sigmoids; then they are averaged.

    Args:
        model: to logits.
        multi_label: whether a video may have several labels.
        strategy: in whose scope the model was made; its devices share views.
    """
    shape = (None, *model.input_shape[1:])
    activation = tf.sigmoid if multi_label else tf.nn.softmax

    def step(pixels):
        logits = model(preprocess.normalize(pixels), training=False)
        each = activation(tf.cast(logits, tf.float32))
        return tf.reduce_mean(each, axis=list(range(1, len(each.shape) - 1)))

    if strategy is not None and strategy.num_replicas_in_sync > 1:
        return _shared(step, strategy)
    # One trace for all sizes; "auto" would compile with XLA on a GPU.
    compiled = tf.function(
        step,
        input_signature=[tf.TensorSpec(shape, tf.uint8)],
        autograph=False,
        jit_compile=False,
    )
    return lambda pixels: compiled(pixels).numpy()


def _shared(step: Callable, strategy: tf.distribute.Strategy) -> Step:
    """A step in which each device takes a part of the views."""
    count = strategy.num_replicas_in_sync
    run = tf.function(
        lambda views: strategy.run(step, (views,)),
        autograph=False,
        jit_compile=False,
        reduce_retracing=True,
    )

    def of(pixels):
        # Parts are of one size: some views may be computed twice.
        rows = np.arange(len(pixels) + -len(pixels) % count) % len(pixels)
        parts = np.split(rows, count)
        views = strategy.experimental_distribute_values_from_function(
            lambda on: tf.constant(pixels[parts[on.replica_id_in_sync_group]])
        )
        scores = strategy.experimental_local_results(run(views))
        return np.concatenate([s.numpy() for s in scores])[: len(pixels)]

    return of
