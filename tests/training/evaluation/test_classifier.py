import keras
import numpy as np
import pytest
from keras import layers

from nonlocal_tf import create_model
from tests.training.view_runs import (
    randomise,
    shallow,  # noqa: F401, a fixture
)
from training.data.sampling_config import ViewsConfig
from training.evaluation.classifier import Classifier
from training.io.user_error import UserError

CLIP = (3, 8, 10, 3)
PIXELS = np.random.default_rng(0).integers(0, 256, (2, *CLIP), "uint8")


def dense(activation=None, units=5):
    """Build a model of a dense layer at each pixel."""
    inputs = keras.Input(CLIP)
    return keras.Model(inputs, layers.Dense(units, activation)(inputs))


def flat():
    return keras.Sequential(
        [keras.Input(CLIP), layers.Flatten(), layers.Dense(2)]
    )


def expected_scores(x, model, activation):
    """Compute the scores of a model of `dense` in NumPy, float64."""
    kernel, bias = model.get_weights()
    exps = np.exp(x @ kernel.astype("float64") + bias)
    if activation == "sigmoid":
        return (exps / (1 + exps)).mean((1, 2, 3))
    return (exps / exps.sum(-1, keepdims=True)).mean((1, 2, 3))


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("is_logits", [True, False])
def test_probabilities_are_averaged_over_positions(activation, is_logits):
    model = dense(None if is_logits else activation)
    classifier = Classifier(model, multi_label=activation == "sigmoid")
    x = (PIXELS.astype("float64") - 114.75) / 57.375
    np.testing.assert_allclose(
        classifier.probabilities(PIXELS),
        expected_scores(x, model, activation),
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    "preprocess", [None, lambda pixels: keras.ops.cast(pixels, "float32") / 255]
)
def test_preprocessing_may_be_in_the_model_or_a_function(preprocess):
    inner = dense()
    model = inner
    if preprocess is None:
        model = keras.Sequential(
            [keras.Input(CLIP), layers.Rescaling(1 / 255), inner]
        )
    classifier = Classifier(model, preprocess=preprocess)
    np.testing.assert_allclose(
        classifier.probabilities(PIXELS),
        expected_scores(PIXELS / 255, inner, "softmax"),
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    "preprocess",
    [
        lambda pixels: pixels.astype("float32") / 255,
        lambda pixels: np.divide(pixels, 255, dtype="float32"),
        lambda pixels: np.stack([clip / 255 for clip in pixels]),
    ],
)
def test_preprocessing_in_numpy_is_refused(preprocess):
    classifier = Classifier(dense(), preprocess=preprocess)
    with pytest.raises(UserError, match="in Keras or TensorFlow operations"):
        classifier.probabilities(PIXELS)


def test_other_errors_of_the_preprocessing_stay():
    classifier = Classifier(dense(), preprocess=lambda pixels: pixels + None)
    with pytest.raises(ValueError, match="None"):
        classifier.probabilities(PIXELS)


def test_clips_of_its_own_size_need_no_other_network():
    model = flat()
    assert Classifier(model).for_clips(CLIP) is model
    inputs = keras.Input((None, 8, 10, 3))
    any_time = keras.Model(inputs, layers.Dense(2)(inputs))
    assert Classifier(any_time).for_clips(CLIP) is any_time


@pytest.mark.parametrize("shape", [(3, 9, 10, 3), (None, None, None, 3)])
def test_model_of_one_size_is_refused_for_others(shape):
    with pytest.raises(ValueError, match=r"shape \(3, 8, 10, 3\) only"):
        Classifier(flat()).for_clips(shape)


def test_subclass_of_model_takes_clips_that_its_call_takes():
    class Pooled(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(5)

        def call(self, x, training=None):
            return self.dense(keras.ops.mean(x, (1, 2, 3)))

    classifier = Classifier(Pooled(), from_logits=True)
    scores = classifier.probabilities(PIXELS)
    functional = classifier.replace(classifier.for_clips((None, None, None, 3)))
    np.testing.assert_allclose(functional.probabilities(PIXELS), scores, 1e-6)


@pytest.mark.parametrize("model", [None, "model.keras"])
def test_path_is_no_model(model):
    with pytest.raises(TypeError, match=f"Keras model. Received: {model!r}"):
        Classifier(model)


def test_two_outputs_are_refused():
    inputs = keras.Input(CLIP)
    model = keras.Model(inputs, [layers.Dense(2)(inputs)] * 2)
    with pytest.raises(ValueError, match="Received: 2 outputs"):
        Classifier(model)


@pytest.fixture(scope="module")
def windowed(shallow):  # noqa: F811
    """A narrow network, whose evaluation averages over windows of 64 pixels."""
    shape = (4, 64, 64, 3)
    model = create_model(
        shallow.name, num_classes=3, clip_shape=shape, sampling="8x8", width=4
    )
    randomise(model)
    return model


def test_larger_views_are_averaged_over_windows(windowed, shallow):  # noqa: F811
    views = ViewsConfig(clips=2, crops=1, short_side_px=96, crop_px=96)
    classifier = Classifier(windowed)
    pixels = np.random.default_rng(1).integers(0, 256, (2, 4, 96, 96, 3))
    pixels = pixels.astype("uint8")
    scores = classifier.for_views(views).probabilities(pixels)
    features = create_model(
        shallow.name,
        clip_shape=(4, 96, 96, 3),
        sampling="8x8",
        width=4,
        head="none",
    )
    for layer in features.layers:
        layer.set_weights(windowed.get_layer(layer.name).get_weights())
    maps = np.asarray(features((pixels - 114.75) / 57.375), "float64")
    assert maps.shape[2:4] == (3, 3)
    kernel, bias = windowed.get_layer("logits").get_weights()
    expected = []
    for y in range(2):
        for x in range(2):
            window = maps[:, :, y : y + 2, x : x + 2].mean((1, 2, 3))
            exps = np.exp(window @ kernel + bias)
            expected.append(exps / exps.sum(-1, keepdims=True))
    np.testing.assert_allclose(scores, np.mean(expected, 0), rtol=1e-5)


@pytest.mark.parametrize(
    ("views", "window_px"),
    [
        (ViewsConfig(crop_px=64), 64),
        (ViewsConfig(crop_px=96), 64),
        (ViewsConfig(crops=0), 64),
        (ViewsConfig(starts="mmaction2"), None),
    ],
)
def test_window_is_of_the_training_size(windowed, views, window_px):
    assert Classifier(windowed).window_px(views) == window_px
    small = create_model("c2d_small", num_classes=3)
    assert Classifier(small).window_px(views) is None


def test_views_of_the_training_size_need_no_other_network(windowed):
    views = ViewsConfig(short_side_px=70, crop_px=64)
    assert Classifier(windowed).for_views(views).model is windowed


def test_views_smaller_than_the_windows_are_refused(windowed):
    views = ViewsConfig(short_side_px=60, crop_px=60)
    with pytest.raises(UserError, match="64 x 64 pixels"):
        Classifier(windowed).for_views(views)


def test_training_size_of_a_model_of_any_size_is_that_of_the_clips(
    shallow,  # noqa: F811
):
    model = create_model(
        shallow.name,
        num_classes=3,
        clip_shape=(4, None, None, 3),
        sampling="8x8",
        width=4,
    )
    classifier = Classifier(model)
    views = ViewsConfig(crop_px=96)
    assert classifier.window_px(views, (4, 80, 80, 3)) == 80
    network = classifier.for_views(views, (4, 80, 80, 3)).model
    assert network.input_shape == (None, 4, 96, 96, 3)
    assert len(network.output_shape) == 5


@pytest.mark.parametrize(
    "clips", [PIXELS[:, :2], PIXELS.astype("float32")], ids=["size", "dtype"]
)
def test_other_clips_are_refused(clips):
    with pytest.raises(UserError, match="uint8 pixels of shape"):
        Classifier(dense()).probabilities(clips)


def test_number_of_outputs_is_that_of_the_classes():
    with pytest.raises(UserError, match="each of the 2 classes"):
        Classifier(dense()).check_classes(["waving", "clapping"])
