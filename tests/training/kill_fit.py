"""Train with `fit`, and be killed; run by test_kills.py."""

import os
import pathlib
import signal
import sys

import keras
import numpy as np

from training import data
from training.loop import callbacks

EPOCHS = 3


class Kill(keras.callbacks.Callback):
    """Kills the process in the second batch of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self._kill_epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        self._is_due = epoch == self._kill_epoch

    def on_train_batch_end(self, batch, logs=None):
        if self._is_due and batch == 1:
            os.kill(os.getpid(), signal.SIGKILL)


def train(videos_folder, folder, kill_epoch):
    """Train, resuming from a folder, to which the weights go."""
    keras.utils.set_random_seed(1)
    videos = data.load(videos_folder, frames=3, stride=2, size=16)
    inputs = keras.Input((3, 16, 16, 3))
    x = keras.layers.Dropout(0.3)(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    model.compile(
        keras.optimizers.Adam(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    model.fit(
        videos.batches("train", 4, seed=3),
        epochs=EPOCHS,
        callbacks=[
            callbacks.ExactResume(folder / "checkpoints", videos),
            Kill(kill_epoch),
        ],
        shuffle=False,
        verbose=0,
    )
    np.savez(folder / "weights.npz", *model.get_weights())


def main(videos_folder, kill_epoch, *folders):
    """Train in each folder; epoch -1 kills nothing."""
    for folder in map(pathlib.Path, folders):
        train(videos_folder, folder, int(kill_epoch))


if __name__ == "__main__":
    main(*sys.argv[1:])
