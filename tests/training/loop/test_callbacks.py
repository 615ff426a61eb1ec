"""Callbacks of plain `model.fit`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nonlocal_tf.layers import BatchNormalization
from training.data import datasets
from training.io.user_error import UserError
from training.loop import callbacks, checkpointing

RNG = np.random.default_rng(5)
X = RNG.standard_normal((12, 5)).astype("float32") * [3, 1, 1, 1, 0.2] + 1
Y = np.arange(12) % 3
STEPS, BATCH = 3, 4


class Epochs:
    """Batches whose order depends on the epoch that is set."""

    def __init__(self):
        self.epoch = None

    def set_epoch(self, epoch):
        self.epoch = epoch

    def batches(self):
        def generate():
            order = np.random.default_rng(self.epoch).permutation(len(X))
            for rows in np.split(order, STEPS):
                yield X[rows].astype("float32"), Y[rows]

        specs = (
            tf.TensorSpec((BATCH, 5), tf.float32),
            tf.TensorSpec((BATCH,), tf.int64),
        )
        dataset = tf.data.Dataset.from_generator(
            generate, output_signature=specs
        )
        count = tf.data.experimental.assert_cardinality(STEPS)
        return dataset.apply(count)


def make_model(rate=0.1):
    """A model with normalization, a random generator and optimizer state."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((5,))
    x = BatchNormalization()(keras.layers.Dense(7)(inputs))
    x = keras.layers.Dropout(0.3)(x)
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    model.compile(
        keras.optimizers.Adam(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    return model


def fit(model, callback_list, epochs=2, validate=True, data=None):
    validation = tf.data.Dataset.from_tensors((X.astype("float32"), Y))
    return model.fit(
        (data or Epochs()).batches(),
        validation_data=validation if validate else None,
        epochs=epochs,
        callbacks=callback_list,
        shuffle=False,
        verbose=0,
    )


class Record(keras.callbacks.Callback):
    """Records the trainable weights after each batch."""

    def __init__(self):
        super().__init__()
        self.weights = []

    def on_train_batch_end(self, batch, logs=None):
        self.weights.append(
            [np.array(v) for v in self.model.trainable_variables]
        )


def test_moving_average_validates_and_ends_with_the_average():
    model = make_model()
    expected = [np.array(v) for v in model.trainable_variables]
    record = Record()
    history = fit(model, [callbacks.MovingAverage(0.75), record])
    for weights in record.weights:
        expected = [
            0.75 * mean + 0.25 * weight
            for mean, weight in zip(expected, weights, strict=True)
        ]
    assert len(record.weights) == 6
    for variable, mean in zip(model.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(variable, mean, atol=1e-6)
    loss, _ = model.evaluate(X.astype("float32"), Y, 12, verbose=0)
    assert history.history["val_loss"][-1] == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("decay", [1.0, 0, "0.9", None])
def test_decay_out_of_range_raises(decay):
    with pytest.raises(UserError, match=f"Received: {decay!r}"):
        callbacks.MovingAverage(decay)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: callbacks.PreciseBatchNorm(3), "Dataset.* Received: 3"),
        (
            lambda: callbacks.ListBadVideos("videos", "bad.csv"),
            "Received: 'videos'",
        ),
        (
            lambda: callbacks.ExactResume("folder", "videos"),
            "Received: 'videos'",
        ),
    ],
)
def test_arguments_are_checked_before_fit(make, message):
    with pytest.raises(UserError, match=message):
        make()


@pytest.mark.parametrize("validate", [True, False])
@pytest.mark.parametrize("averaging", [[], [callbacks.MovingAverage(0.75)]])
def test_precise_statistics_are_those_of_the_final_weights(averaging, validate):
    model = make_model()
    precise = callbacks.PreciseBatchNorm(Epochs().batches())
    fit(model, [*averaging, precise], epochs=1, validate=validate)
    _, dense, normalization, *_ = model.layers
    kernel, bias = (np.array(v, "float64") for v in dense.weights)
    outputs = X @ kernel + bias
    np.testing.assert_allclose(
        normalization.moving_mean, outputs.mean(0), atol=1e-5
    )
    np.testing.assert_allclose(
        normalization.moving_variance, outputs.var(0), rtol=1e-4
    )


def test_precise_statistics_need_the_average_first():
    averaging = callbacks.MovingAverage(0.75)
    precise = callbacks.PreciseBatchNorm(Epochs().batches())
    with pytest.raises(UserError, match="MovingAverage before"):
        fit(make_model(), [precise, averaging], epochs=1)


class Stop(keras.callbacks.Callback):
    """Raises in the last batch of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self._epoch, self._stop_epoch = None, epoch

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self._epoch, batch) == (self._stop_epoch, STEPS - 1):
            raise KeyboardInterrupt


def state(model):
    variables = [*model.variables, *model.optimizer.variables]
    return [np.array(variable) for variable in variables]


def resumable(folder):
    """Callbacks that change or save the state of a model, and their data."""
    data = Epochs()
    return [
        callbacks.MovingAverage(0.75),
        callbacks.PreciseBatchNorm(data.batches()),
        callbacks.ExactResume(folder, data),
    ], data


def test_resumed_training_equals_an_uninterrupted_one(tmp_path):
    straight, stopped = make_model(), make_model()
    callback_list, data = resumable(tmp_path / "straight")
    expected = fit(straight, callback_list, epochs=3, data=data)
    callback_list, data = resumable(tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        fit(stopped, [*callback_list, Stop(1)], epochs=3, data=data)
    assert checkpointing.latest(tmp_path / "stopped").epoch == 1
    for _ in range(2):  # the second time, all epochs are done
        resumed = make_model()
        callback_list, data = resumable(tmp_path / "stopped")
        history = fit(resumed, callback_list, epochs=3, data=data)
        for got, want in zip(state(resumed), state(straight), strict=True):
            np.testing.assert_array_equal(got, want)
        assert history.epoch == [0, 1, 2]
        assert history.history == expected.history


class IdentifiedEpochs(Epochs):
    """Batches of a data set that knows what identifies them."""

    def __init__(self, fingerprint="a1", arguments="batch_size=4, seed=0"):
        super().__init__()
        self._fingerprint, self._arguments = fingerprint, arguments

    def fingerprint(self):
        return self._fingerprint

    def begun_batches(self, epoch):
        assert epoch == self.epoch
        return self._arguments


def resume(folder, data, epochs):
    callback = callbacks.ExactResume(folder, data)
    return fit(make_model(), [callback], epochs, validate=False, data=data)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (IdentifiedEpochs("b2"), "fingerprint: a1. Received: b2. .*new folder"),
        (
            IdentifiedEpochs(arguments="batch_size=4, seed=7"),
            "batch_size=4, seed=0. Received: batch_size=4, seed=7",
        ),
    ],
)
def test_other_training_data_does_not_resume(tmp_path, other, message):
    resume(tmp_path, IdentifiedEpochs(), 1)
    with pytest.raises(UserError, match=message):
        resume(tmp_path, other, 2)
    assert checkpointing.latest(tmp_path).epoch == 1
    assert resume(tmp_path, IdentifiedEpochs(), 2).epoch == [0, 1]


def test_a_checkpoint_without_a_record_of_its_data_resumes(tmp_path):
    resume(tmp_path, Epochs(), 1)
    assert checkpointing.latest(tmp_path).data == {}
    resume(tmp_path, IdentifiedEpochs(), 2)
    expected = {"fingerprint": "a1", "batches": "batch_size=4, seed=0"}
    assert checkpointing.latest(tmp_path).data == expected


def test_resumed_batches_are_those_of_fit(tmp_path):
    """Other training batches of the data set do not count."""
    digits = datasets.load("digits_recall")
    digits.train_examples = 4

    def train(seed, epochs):
        inputs = keras.Input(digits.element_shape)
        pooled = keras.layers.GlobalAveragePooling3D()(inputs)
        model = keras.Model(inputs, keras.layers.Dense(10)(pooled))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("sgd", loss, jit_compile=False)
        unused = digits.batches("train", 2, seed=seed + epochs)
        next(iter(unused))
        model.fit(
            digits.batches("train", 2, seed=seed),
            epochs=epochs,
            callbacks=[callbacks.ExactResume(tmp_path, digits)],
            shuffle=False,
            verbose=0,
        )

    train(seed=1, epochs=1)
    train(seed=1, epochs=2)
    with pytest.raises(UserError, match=r"seed=1\. Received: .*seed=2"):
        train(seed=2, epochs=3)


def test_a_later_fit_begins_with_its_first_epoch(tmp_path):
    model = make_model()
    fit(model, [callbacks.ExactResume(tmp_path)], epochs=1)
    fit(model, [callbacks.ExactResume(tmp_path)], epochs=2)
    assert len(fit(model, [], epochs=1).epoch) == 1


def test_a_diverged_epoch_is_not_saved(tmp_path):
    resume = callbacks.ExactResume(tmp_path)
    with pytest.raises(UserError, match="lower learning rate"):
        fit(make_model(rate=1e38), [resume], epochs=4, validate=False)
    latest = checkpointing.latest(tmp_path)
    assert latest is None or latest.epoch < 4


def test_initial_epoch_is_that_of_the_checkpoint(tmp_path):
    model = make_model()
    with pytest.raises(UserError, match="initial_epoch=2. Leave"):
        model.fit(
            Epochs().batches(),
            initial_epoch=2,
            epochs=3,
            callbacks=[callbacks.ExactResume(tmp_path)],
            shuffle=False,
            verbose=0,
        )


@pytest.mark.parametrize(
    "callback", [callbacks.MovingAverage(0.9), callbacks.ExactResume("folder")]
)
def test_a_model_without_weights_raises(callback):
    model = keras.Sequential([keras.layers.Dense(3)])
    model.compile("sgd", "mse", jit_compile=False)
    with pytest.raises(UserError, match="Build the model before"):
        fit(model, [callback])


class Videos:
    """Data with videos that turn out to be bad, up to two."""

    def __init__(self):
        self.bad = []
        self.written = []

    def write_bad(self, path):
        self.written.append((path, list(self.bad)))

    def check_bad(self):
        if len(self.bad) > 2:
            raise UserError("too many")


def test_bad_videos_are_listed_until_they_are_too_many():
    videos = Videos()
    callback = callbacks.ListBadVideos(videos, "bad.csv")
    callback.on_train_begin()
    videos.bad.append("a.mp4")
    callback.on_train_batch_end(0)
    callback.on_train_batch_end(1)
    videos.bad.append("b.mp4")  # of validation
    callback.on_epoch_end(0)
    assert videos.written == [
        ("bad.csv", []),
        ("bad.csv", ["a.mp4"]),
        ("bad.csv", ["a.mp4", "b.mp4"]),
    ]
    videos.bad.append("c.mp4")
    with pytest.raises(UserError, match="too many"):
        callback.on_train_batch_end(0)
