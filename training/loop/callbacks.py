"""Callbacks for `model.fit` of any Keras model.

Example:

>>> statistics = videos.batches("train", 8, seed=1).repeat().take(200)
>>> model.fit(
...     videos.batches("train", 8),
...     validation_data=videos.batches("validation", 8),
...     epochs=10,
...     callbacks=[
...         MovingAverage(0.9999),
...         PreciseBatchNorm(statistics),
...         ExactResume("checkpoints", videos),
...         ListBadVideos(videos, "bad_videos.csv"),
...     ],
... )
"""

import math
import numbers
import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import keras
import tensorflow as tf

from ..io import paths
from ..io.user_error import UserError
from . import checkpointing
from .moving_average import WeightAverage
from .precise_bn import BatchNormStatistics

REMEDY = "Training diverged: train in a new folder with a lower learning rate."


class TrainingVideos(Protocol):
    """A data set with numbered epochs."""

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration over training batches be an epoch."""


class BadInputs(Protocol):
    """Data that counts the inputs that cannot be read."""

    @property
    def bad(self) -> Sequence[Any]:
        """The bad inputs so far."""

    def check_bad(self) -> None:
        """Raise a UserError if there are too many."""


class BadVideos(BadInputs, Protocol):
    """Videos that may turn out to be unreadable."""

    def write_bad(self, path: str | os.PathLike) -> None:
        """Write the list of unreadable videos."""


class ExactResume(keras.callbacks.Callback):
    """Saves checkpoints, from which the same script resumes exactly.

    After each epoch all state of the model is saved: weights, optimizer,
    random generators of layers, moving averages of `MovingAverage`, and the
    history. When the script is started again after it was killed, `fit` begins
    with the epoch after the last checkpoint and ends with weights that are
    equal to the bit to those of an uninterrupted run, where TensorFlow's
    operations are deterministic. Other callbacks begin anew, so the patience of
    `EarlyStopping` does too.

    The checkpoints have the fingerprint of the data set and the arguments
    `batch_size` and `seed` of its training batches, if `videos` has them.

    An epoch of `fit` has to be one iteration over its batches, not
    `steps_per_epoch` of repeated ones. Put the callback after `MovingAverage`
    and `PreciseBatchNorm`, which change weights.

    Args:
        folder: folder of the checkpoints of one training, or its URL. The last
            two are kept.
        videos: data set of the training batches, whose epochs are set to those
            of `fit`; None if batches do not depend on the epoch.

    Raises:
        UserError: `videos` has no epochs; or in `fit`: the model is not built,
            the checkpoint is of another model, data set, batch size or seed,
            or the loss or a weight is not finite, which is not saved.
    """

    def __init__(
        self, folder: str | os.PathLike, videos: TrainingVideos | None = None
    ):
        super().__init__()
        if videos is not None:
            _check_dataset("ExactResume", videos, "set_epoch")
        self._directory = paths.as_path(folder)
        self._videos = videos
        self._data: dict[str, str] = {}
        self._epoch: int | None = None
        self._rows: list[dict] = []
        self._restored_rows: list[dict] = []

    def on_train_begin(self, logs=None):
        _check_built(self.model, "ExactResume")
        start = checkpointing.latest(self._directory)
        self._rows = list(start.history) if start else []
        self._restored_rows = list(self._rows)
        self._data = dict(start.data) if start else {}
        fingerprint = getattr(self._videos, "fingerprint", None)
        if fingerprint is not None:
            self._identify("fingerprint", fingerprint())
        if start is None:
            return
        checkpointing.restore(self.model, start)
        trained = self.model.trainable_variables
        average = getattr(self.model, "average", None)
        if average is not None:
            average.set(checkpointing.read_average(start, trained) or trained)
        # As `keras.callbacks.BackupAndRestore` does.
        self.model._initial_epoch = len(self._rows)

    def on_epoch_begin(self, epoch, logs=None):
        self._end_resuming()
        if epoch != len(self._rows):
            raise UserError(
                f"Expected fit to begin with epoch {len(self._rows)}, the "
                f"number of epochs in {self._directory}. Received: "
                f"initial_epoch={epoch}. Leave initial_epoch out."
            )
        if self._videos is not None:
            self._videos.set_epoch(epoch)
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        begun_batches = getattr(self._videos, "begun_batches", None)
        if self._epoch is None or begun_batches is None:
            return
        # Before validation, when other batches may begin.
        self._identify("batches", begun_batches(self._epoch))
        self._epoch = None

    def on_epoch_end(self, epoch, logs=None):
        logs = {key: float(value) for key, value in (logs or {}).items()}
        loss = logs.get("loss", 0.0)
        if not math.isfinite(loss):
            raise UserError(
                f"The loss is {loss} in epoch {epoch + 1}; this was not "
                f"saved. {REMEDY}"
            )
        finite_logs = {
            key: value if math.isfinite(value) else None
            for key, value in logs.items()
        }
        self._rows.append({"epoch": epoch + 1, **finite_logs})
        checkpointing.save(
            self.model,
            self._directory,
            self._rows,
            remedy=REMEDY,
            data=self._data,
        )

    def on_train_end(self, logs=None):
        self._end_resuming()

    def _identify(self, name: str, value: str | None) -> None:
        """Record the training data, or raise a UserError if it is another."""
        if not value:
            return
        expected = self._data.setdefault(name, value)
        if value != expected:
            raise UserError(
                f"The checkpoints in {self._directory} are of other training "
                f"data. Expected {name}: {expected}. Received: {value}. To "
                "train on other data, start in a new folder."
            )

    def _end_resuming(self) -> None:
        """Complete the history, and let a later `fit` begin with epoch 0."""
        self.model._initial_epoch = None
        history = self.model.history
        for row in self._restored_rows:
            for key, value in row.items():
                if key == "epoch":
                    history.epoch.append(value - 1)
                else:
                    value = math.nan if value is None else value
                    history.history.setdefault(key, []).append(value)
        self._restored_rows = []


class MovingAverage(keras.callbacks.Callback):
    """Keeps an exponential moving average (EMA) of the trainable weights.

    After each batch, average = decay * average + (1 - decay) * weights. The
    averages are the weights in each validation, and those of the model when
    `fit` ends.

    Args:
        decay: share of the old average that remains, such as 0.9999.

    Raises:
        UserError: the decay is not in (0, 1), or in `fit`: the model is not
            built.
    """

    def __init__(self, decay: float):
        super().__init__()
        if not (isinstance(decay, numbers.Real) and 0 < decay < 1):
            raise UserError(
                "Expected decay as a number above 0 and below 1. "
                f"Received: {decay!r}"
            )
        self._decay: float = decay

    def set_model(self, model):
        super().set_model(model)
        _check_built(model, "MovingAverage")
        strategy = model.distribute_strategy
        with strategy.scope():
            average = WeightAverage(model.trainable_variables, self._decay)
        self._update = tf.function(
            lambda: average.update(strategy), autograph=False
        )
        # Checkpoints have it.
        model.average = average

    def on_train_batch_end(self, batch, logs=None):
        self._update()

    def on_test_begin(self, logs=None):
        self.model.average.swap()

    def on_test_end(self, logs=None):
        self.model.average.swap()

    def on_train_end(self, logs=None):
        self.model.average.apply()
        self.model.average = None


class PreciseBatchNorm(keras.callbacks.Callback):
    """Computes statistics of batch normalization from many batches.

    Before each validation, or after each epoch without validation, the moving
    means and variances are replaced by those of all batches together, computed
    with the current weights; those of `MovingAverage` if that is before it in
    the list of callbacks.

    Args:
        batches: about 200 training batches with a seed of their own:
            `videos.batches("train", 8, seed=1).repeat().take(200)`.

    Raises:
        UserError: `batches` are not a `tf.data.Dataset`, or in `fit`:
            `MovingAverage` is after it.

    Reference:
        Wu and Johnson, Rethinking "Batch" in BatchNorm, 2021, section 3.
    """

    def __init__(self, batches: tf.data.Dataset):
        super().__init__()
        if not isinstance(batches, tf.data.Dataset):
            raise UserError(
                "Expected batches as a tf.data.Dataset, such as "
                'videos.batches("train", 8, seed=1).repeat().take(200). '
                f"Received: {batches!r}"
            )
        self._batches = batches
        self._is_outdated = False

    def on_train_begin(self, logs=None):
        self._statistics = BatchNormStatistics(self.model)
        self._is_outdated = False

    def on_train_batch_end(self, batch, logs=None):
        self._is_outdated = True

    def on_test_begin(self, logs=None):
        average = getattr(self.model, "average", None)
        if average is not None and not average.is_swapped:
            raise UserError("Put MovingAverage before PreciseBatchNorm.")
        self._compute()

    def on_epoch_end(self, epoch, logs=None):
        if not self._is_outdated:
            return
        average = getattr(self.model, "average", None)
        if average is not None:
            average.swap()
        self._compute()
        if average is not None:
            average.swap()

    def _compute(self) -> None:
        strategy = self.model.distribute_strategy
        batches = self._batches
        if strategy.num_replicas_in_sync > 1:
            batches = strategy.experimental_distribute_dataset(batches)
        self._statistics(batches)
        self._is_outdated = False


class ListBadInputs(keras.callbacks.Callback):
    """Lists inputs that turn out to be bad, and stops if they are too many.

    Args:
        data: the training data.
        save: writes a list of bad inputs.
    """

    def __init__(self, data: BadInputs, save: Callable[[Sequence[Any]], None]):
        super().__init__()
        self._data = data
        self._save = save
        self._count = len(data.bad)

    def on_train_batch_end(self, batch, logs=None):
        self.update()

    def update(self) -> None:
        """Save the list if it has grown.

        Raises:
            UserError: there are too many.
        """
        if len(self._data.bad) == self._count:
            return
        self._count = len(self._data.bad)
        self._save(self._data.bad)
        self._data.check_bad()


class ListBadVideos(ListBadInputs):
    """Lists unreadable videos in a csv file, and stops if they are too many.

    The file has the columns split, path and reason. It is written when training
    begins and whenever another video turns out to be unreadable; there is no
    file without unreadable videos.

    Args:
        videos: the data set.
        path: the csv file, or its URL.

    Raises:
        UserError: `videos` are not a data set, or in `fit`: more videos than
            `max_bad_share` of the data set are unreadable.
    """

    def __init__(self, videos: BadVideos, path: str | os.PathLike):
        _check_dataset("ListBadVideos", videos, "bad", "check_bad", "write_bad")
        super().__init__(videos, lambda bad: videos.write_bad(path))

    def on_train_begin(self, logs=None):
        self._save(self._data.bad)

    def on_epoch_end(self, epoch, logs=None):
        self.update()  # a validation may have found more


def _check_built(model: keras.Model, callback: str) -> None:
    """Raise a UserError for a model without weights yet."""
    if not model.built:
        raise UserError(
            f"{callback} needs a model with weights. Build the model before "
            "fit, by a keras.Input or by calling it on a batch."
        )


def _check_dataset(callback: str, videos: object, *attributes: str) -> None:
    """Raise a UserError for an object that is not a data set."""
    if not all(hasattr(videos, name) for name in attributes):
        raise UserError(
            f"{callback} expects videos as a data set, such as that of "
            f"data.load. Received: {videos!r}"
        )
