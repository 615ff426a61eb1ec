"""A trainer of a linear classifier, and a batch for it."""

import keras
import numpy as np

from training.loop.train_step import Signals
from training.loop.trainer import Trainer

CLASSES, FEATURES, BATCH = 3, 5, 6
X = np.random.default_rng(1).standard_normal((BATCH, FEATURES))
X = X.astype("float32")
LABELS = np.array([0, 2, 1, 1, 0, 2])


def make(bias=True, jit_compile=False, **options):
    """Build the trainer."""
    inputs = keras.Input((FEATURES,))
    x = keras.layers.Dense(CLASSES, use_bias=bias, name="linear")(inputs)
    trainer = Trainer(keras.Model(inputs, x), Signals(), **options)
    trainer.compile(
        keras.optimizers.SGD(1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=["accuracy"],
        jit_compile=jit_compile,
    )
    return trainer
