"""Heads: logits, probabilities, windows and dtypes."""

import keras
import numpy as np
import pytest

from nonlocal_tf.models.resnet_head import HEADS
from tests import harness
from tests.harness import array, normal
from tests.layers.blocks import tensorflow_only
from tests.models.tiny import shallow, shallow_outline

pytestmark = tensorflow_only
# Larger than the training crop, of which the last feature map has 4 x 2 x 2.
LARGER = {"clip_shape": (8, 96, 96, 3), "crop_px": 64, "nonlocal_res3": ()}


def randomized(**options):
    model = shallow("c2d", **options)
    harness.randomise(model)
    return model


def test_fully_convolutional_logits_are_a_map():
    model = shallow_outline("c2d", **LARGER, head="fully_convolutional")
    assert model.output_shape == (None, 1, 2, 2, 5)


def test_each_position_has_the_logits_of_its_window():
    model = randomized(**LARGER, head="fully_convolutional")
    features = keras.Model(
        model.input, model.get_layer("res5_block0_relu").output
    )
    x = normal((2, *model.input_shape[1:]))
    maps = array(features(x, training=False))  # (2, 4, 3, 3, c)
    kernel, bias = model.get_layer("logits").get_weights()
    logits = array(model(x, training=False))
    for i in range(2):
        for j in range(2):
            window = maps[:, :, i : i + 2, j : j + 2].mean((1, 2, 3))
            np.testing.assert_allclose(
                logits[:, 0, i, j], window @ kernel + bias, rtol=1e-4, atol=1e-5
            )


def test_fully_convolutional_probabilities_are_means_of_softmaxes():
    logits, probabilities = (
        randomized(**LARGER, head="fully_convolutional", outputs=outputs)
        for outputs in ("logits", "probabilities")
    )
    x = normal((2, *logits.input_shape[1:]))
    exp = np.exp(array(logits(x, training=False)).astype("float64"))
    expected = (exp / exp.sum(-1, keepdims=True)).mean((1, 2, 3))
    y = array(probabilities(x, training=False))
    np.testing.assert_allclose(y, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("stem", "frames", "crop_px"),
    [
        ("official", 8, 100),
        ("official_strided", 9, 64),
        ("slowfast", 14, 112),
        ("mmaction2", 15, 100),
    ],
)
def test_window_is_the_last_feature_map_of_a_training_clip(
    stem, frames, crop_px
):
    model = shallow_outline(
        "i3d",
        clip_shape=(frames, crop_px, crop_px, 3),
        crop_px=crop_px,
        stem=stem,
        head="fully_convolutional",
    )
    assert model.output_shape[1:4] == (1, 1, 1)


def test_heads_agree_on_a_clip_of_training_size():
    heads = [
        randomized(head=head, crop_px=32)
        for head in ("classification", "fully_convolutional")
    ]
    x = normal((2, *heads[0].input_shape[1:]))
    expected, y = (array(model(x, training=False)) for model in heads)
    np.testing.assert_allclose(y[:, 0, 0, 0], expected, rtol=1e-4, atol=1e-5)


def test_multi_label_probabilities_are_sigmoids():
    model = shallow("c2d", head="multi_label", outputs="probabilities")
    logits = keras.Model(model.input, model.get_layer("logits").output)
    x = normal((2, *model.input_shape[1:]))
    z = array(logits(x, training=False)).astype("float64")
    y = array(model(x, training=False))
    np.testing.assert_allclose(y, 1 / (1 + np.exp(-z)), rtol=1e-5)


def test_output_without_a_head_is_the_last_feature_map():
    model = shallow_outline("c2d", clip_shape=(8, 64, 64, 3), head="none")
    assert model.output_shape == (None, 4, 2, 2, 128)
    assert model.layers[-1].name == "res5_block0_relu"


def test_clip_smaller_than_the_window_is_an_error():
    with pytest.raises(ValueError, match="at least as large as a training"):
        shallow_outline("c2d", head="fully_convolutional")


@pytest.mark.parametrize("head", HEADS)
def test_sizes_may_be_unknown(head):
    model = shallow(
        "c2d",
        clip_shape=(None, None, None, 3),
        head=head,
        crop_px=32,
        outputs="logits" if head == "none" else "probabilities",
    )
    y = model(normal((2, 8, 38, 48, 3)), training=False)
    assert tuple(y.shape)[0] == 2
    assert np.isfinite(array(y)).all()


def test_head_is_float32_under_every_policy():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = shallow_outline("c2d")
    finally:
        keras.config.set_dtype_policy("float32")
    dtypes = {x.name: x.compute_dtype for x in model.layers}
    assert dtypes["res5_block0_conv3"] == "bfloat16"
    assert dtypes["pool5"] == dtypes["logits"] == "float32"
