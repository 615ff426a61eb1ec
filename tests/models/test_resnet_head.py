"""Heads: their logits, probabilities, windows and dtypes."""

import keras
import numpy as np
import pytest

from nonlocal_tf.models import configs
from nonlocal_tf.models.resnet_head import HEADS
from tests import harness
from tests.harness import normal
from tests.layers.blocks import tensorflow_only
from tests.models.tiny import outline, shallow, tiny, without_weights

LARGER = (8, 96, 96, 3)


def with_logits(**options):
    """A network with random weights on clips larger than its training's."""
    model = tiny("c2d_r50", clip_shape=LARGER, crop_px=64, **options)
    harness.randomise(model)
    return model


def test_fully_convolutional_logits_are_a_map():
    model = outline(
        "c2d_r50", clip_shape=LARGER, crop_px=64, head="fully_convolutional"
    )
    assert model.output_shape == (None, 1, 2, 2, 7)


@tensorflow_only
def test_each_place_has_the_logits_of_its_window():
    whole = with_logits(head="fully_convolutional")
    features = keras.Model(
        whole.input, whole.get_layer("res5_block2_relu").output
    )
    x = normal((2, *LARGER))
    maps = np.asarray(features(x, training=False))  # (2, 4, 3, 3, c)
    kernel, bias = whole.get_layer("logits").get_weights()
    logits = np.asarray(whole(x, training=False))
    for i in range(2):
        for j in range(2):
            window = maps[:, :, i : i + 2, j : j + 2].mean((1, 2, 3))
            np.testing.assert_allclose(
                logits[:, 0, i, j], window @ kernel + bias, rtol=1e-4, atol=1e-5
            )


@tensorflow_only
def test_fully_convolutional_probabilities_are_means_of_softmaxes():
    logits, probabilities = (
        with_logits(head="fully_convolutional", outputs=outputs)
        for outputs in ("logits", "probabilities")
    )
    x = normal((2, *LARGER))
    exp = np.exp(np.asarray(logits(x, training=False)).astype("float64"))
    expected = (exp / exp.sum(-1, keepdims=True)).mean((1, 2, 3))
    y = np.asarray(probabilities(x, training=False))
    np.testing.assert_allclose(y, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("frames", "crop_px"), [(8, 100), (9, 64), (14, 112), (15, 100)]
)
@pytest.mark.parametrize("stem", configs.STEMS)
def test_the_window_is_all_that_is_left_of_a_training_clip(
    stem, crop_px, frames
):
    with without_weights():
        model = shallow(
            "i3d",
            clip_shape=(frames, crop_px, crop_px, 3),
            crop_px=crop_px,
            stem=stem,
            head="fully_convolutional",
        )
    assert model.output_shape[1:4] == (1, 1, 1)


@tensorflow_only
def test_on_a_clip_of_training_size_both_heads_agree():
    heads = [
        tiny("c2d_r50", head=head, crop_px=64)
        for head in ("classification", "fully_convolutional")
    ]
    for model in heads:
        harness.randomise(model)
    x = normal((2, *heads[0].input_shape[1:]))
    one, many = (np.asarray(model(x, training=False)) for model in heads)
    np.testing.assert_allclose(many[:, 0, 0, 0], one, rtol=1e-4, atol=1e-5)


@tensorflow_only
def test_multi_label_probabilities_are_sigmoids():
    model = tiny("c2d_r50", head="multi_label", outputs="probabilities")
    logits = keras.Model(model.input, model.get_layer("logits").output)
    x = normal((2, *model.input_shape[1:]))
    z = np.asarray(logits(x, training=False)).astype("float64")
    y = np.asarray(model(x, training=False))
    np.testing.assert_allclose(y, 1 / (1 + np.exp(-z)), rtol=1e-5)


def test_without_a_head_the_output_is_the_last_feature_map():
    model = outline("c2d_r50", head="none")
    assert model.output_shape == (None, 4, 2, 2, 128)
    assert model.layers[-1].name == "res5_block2_relu"


def test_a_clip_smaller_than_the_window_is_refused():
    with pytest.raises(ValueError, match="at least as large as a training"):
        outline("c2d_r50", head="fully_convolutional")


@tensorflow_only
@pytest.mark.parametrize("head", HEADS)
def test_everything_but_the_channels_may_be_unknown(head):
    model = tiny(
        "c2d_nl1_r50",
        clip_shape=(None, None, None, 3),
        head=head,
        crop_px=64,
        outputs="logits" if head == "none" else "probabilities",
    )
    y = model(normal((2, 8, 70, 96, 3)), training=False)
    assert tuple(y.shape)[0] == 2
    assert np.isfinite(np.asarray(y)).all()


def test_sums_are_float32_under_every_policy():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = outline("c2d_r50")
    finally:
        keras.config.set_dtype_policy("float32")
    dtypes = {x.name: x.compute_dtype for x in model.layers}
    assert dtypes["res5_block2_conv3"] == "bfloat16"
    assert dtypes["pool5"] == dtypes["logits"] == "float32"
