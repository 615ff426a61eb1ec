"""Build the network of an evaluation: fully convolutional, to scores."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from nonlocal_tf import preprocess

from ..data.sampling_config import ViewsConfig
from ..io.user_error import UserError
from . import resized_network
from .classifier import ScoreStep
from .network_builder import NetworkBuilder


def build_network(
    trained: keras.Model,
    builder: NetworkBuilder,
    clip_shape: tuple[int, ...],
    views: ViewsConfig,
) -> keras.Model:
    """Build the network of an evaluation with the weights of a trained one.

    Frames may be larger than in training. The authors' networks and SlowFast's
    then have a score at each position, of windows of the training size. With
    `starts="mmaction2"`, as in networks without a fully convolutional head,
    global average pooling covers the whole view.

    Args:
        trained: the trained network.
        builder: of the same network.
        clip_shape: of training clips, `(time, height, width, 3)`.
        views: clips and crops of each video.

    Returns:
        A model to logits, `(batch, classes)` or `(batch, t, h, w, classes)`.

    Raises:
        UserError: the views are smaller than the windows.
    """
    frames, train_px = clip_shape[:2]
    side = views.crop_px if views.crops else None
    arguments: dict = {"clip_shape": (frames, side, side, 3)}
    if builder.has_windows:
        arguments["outputs"] = "logits"
    if builder.has_windows and views.starts != "mmaction2":
        short = views.crop_px if views.crops else views.short_side_px
        if short < train_px:
            raise UserError(
                f"This network is trained on {train_px} x {train_px} pixels. "
                f"Expected views no smaller. Received: {short}"
            )
        arguments |= {"head": "fully_convolutional", "crop_px": train_px}
    model = builder.build(**arguments)
    resized_network.copy_weights(trained, model)
    return model


def default_strategy() -> tf.distribute.Strategy:
    """Return the current strategy, or a mirrored one on several GPUs."""
    several = len(tf.config.list_logical_devices("GPU")) > 1
    if several and not tf.distribute.has_strategy():
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def make_score_step(
    model: keras.Model,
    multi_label: bool,
    strategy: tf.distribute.Strategy | None = None,
) -> ScoreStep:
    """Make a function from uint8 views to scores, float32 `(n, classes)`.

    It applies a softmax (or sigmoids for multi-label data) at each position of
    the logits and averages the probabilities over positions.

    Args:
        model: to logits.
        multi_label: whether a video may have several labels.
        strategy: that the model was created with; its devices share views.
    """
    shape = (None, *model.input_shape[1:])
    activation = tf.sigmoid if multi_label else tf.nn.softmax

    def step(pixels):
        logits = model(preprocess.normalize(pixels), training=False)
        probabilities = activation(tf.cast(logits, tf.float32))
        positions = list(range(1, len(probabilities.shape) - 1))
        return tf.reduce_mean(probabilities, axis=positions)

    if strategy is not None and strategy.num_replicas_in_sync > 1:
        return _distributed(step, strategy)
    # One trace for all sizes; "auto" would compile with XLA on a GPU.
    compiled = tf.function(
        step,
        input_signature=[tf.TensorSpec(shape, tf.uint8)],
        autograph=False,
        jit_compile=False,
    )
    return lambda pixels: compiled(pixels).numpy()


def _distributed(step: Callable, strategy: tf.distribute.Strategy) -> ScoreStep:
    """Distribute the views of a step over devices."""
    count = strategy.num_replicas_in_sync
    run = tf.function(
        lambda views: strategy.run(step, (views,)),
        autograph=False,
        jit_compile=False,
        reduce_retracing=True,
    )

    def score(pixels):
        # Equal shards: some views may be computed twice.
        rows = np.arange(len(pixels) + -len(pixels) % count) % len(pixels)
        parts = np.split(rows, count)
        views = strategy.experimental_distribute_values_from_function(
            lambda on: tf.constant(pixels[parts[on.replica_id_in_sync_group]])
        )
        scores = strategy.experimental_local_results(run(views))
        return np.concatenate([s.numpy() for s in scores])[: len(pixels)]

    return score
