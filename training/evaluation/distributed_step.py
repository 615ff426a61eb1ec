"""Distribute the scoring of clips over several devices."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

ScoreStep = Callable[[np.ndarray], np.ndarray]


def default_strategy() -> tf.distribute.Strategy:
    """Return the current strategy, or a mirrored one on several GPUs."""
    several = len(tf.config.list_logical_devices("GPU")) > 1
    if several and not tf.distribute.has_strategy():
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def is_on_devices(model: keras.Model, strategy: tf.distribute.Strategy) -> bool:
    """Return True for a model whose weights are on a strategy's devices."""
    if strategy.num_replicas_in_sync == 1:
        return True
    return all(
        strategy.extended.variable_created_in_scope(weight.value)
        for weight in model.weights
    )


def distribute(step: Callable, strategy: tf.distribute.Strategy) -> ScoreStep:
    """Compile a step whose clips the devices of a strategy share.

    Args:
        step: function from uint8 clips to scores `(n, classes)`.
        strategy: of the variables of the step.
    """
    count = strategy.num_replicas_in_sync
    run = tf.function(
        lambda clips: strategy.run(step, (clips,)),
        autograph=False,
        jit_compile=False,
        reduce_retracing=True,
    )

    def score(clips):
        # Equal shards: some clips may be computed twice.
        rows = np.arange(len(clips) + -len(clips) % count) % len(clips)
        shards = np.split(rows, count)
        values = strategy.experimental_distribute_values_from_function(
            lambda on: tf.constant(clips[shards[on.replica_id_in_sync_group]])
        )
        scores = strategy.experimental_local_results(run(values))
        return np.concatenate([s.numpy() for s in scores])[: len(clips)]

    return score
