"""Evaluation of Keras models, against loops over batches and views."""

import keras
import numpy as np
import pytest
from keras import layers

from tests.training.clip_models import (
    CLIP,
    FRAMES,
    SIDE,
    flat,
    listed_videos,
    pooled,
)
from training import evaluation
from training.data import datasets
from training.data.sampling_config import ViewsConfig
from training.io.user_error import UserError

VIDEOS = [("train", 0, 5)] + [("test", k % 3, 5 + k) for k in range(4)]
EXACT = {"rtol": 0, "atol": 1e-6}  # float32, in batches of other sizes


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Four test videos of seven classes."""
    with listed_videos(tmp_path_factory, VIDEOS) as (videos, _):
        yield videos


def softmax(x):
    exps = np.exp(np.asarray(x, "float64"))
    return exps / exps.sum(-1, keepdims=True)


def normalized(pixels):
    return (np.asarray(pixels, "float32") - 114.75) / 57.375


@pytest.mark.parametrize("batch_size", [1, 3])
def test_centre_clips_are_those_of_validation(videos, batch_size):
    model = pooled()
    result = evaluation.evaluate(model, videos, batch_size=batch_size)
    scores, labels = [], []
    for pixels, batch_labels, _ in videos.eval_batches("test"):
        scores += list(softmax(model(normalized(pixels))))
        labels += list(batch_labels.numpy())
    np.testing.assert_allclose(result.scores.scores[:, 0], scores, **EXACT)
    assert result.scores.labels.tolist() == labels == [0, 1, 2, 0]
    right = np.argmax(scores, axis=1) == labels
    assert result.accuracy == result.metrics["accuracy"] == right.mean()
    assert f"{100 * right.mean():.1f} %" in str(result)
    assert [row.support for row in result.classes] == [2, 1, 1, 0, 0, 0, 0]
    recalls = [row.recall for row in result.classes[:3]]
    assert recalls == [right[[0, 3]].mean(), right[1], right[2]]
    assert "recall" in str(result)


def test_10x3_views_are_averaged(videos):
    model = pooled("softmax")
    result = evaluation.evaluate(model, videos, views="10x3")
    side = videos.sampling.eval_short_side_px
    views = ViewsConfig(10, 3, short_side_px=side, crop_px=side)
    best = []
    rows = zip(
        videos.view_batches("test", views), result.scores.scores, strict=True
    )
    for (pixels, *_), scores in rows:
        expected = np.asarray(model(normalized(pixels)), "float64")
        assert expected.shape == (30, 7)
        np.testing.assert_allclose(scores, expected, **EXACT)
        best.append(int(expected.mean(0).argmax()))
    assert result.accuracy == np.mean(np.equal(best, [0, 1, 2, 0]))


def test_views_of_another_size_are_scored_by_a_clone(videos):
    model = pooled()
    views = ViewsConfig(2, 1, short_side_px=31, crop_px=27)
    result = evaluation.evaluate(model, videos, views=views)
    clone = pooled(shape=(FRAMES, 27, 27, 3))
    clone.set_weights(model.get_weights())
    expected = [
        softmax(clone(normalized(pixels)))
        for pixels, *_ in videos.view_batches("test", views)
    ]
    np.testing.assert_allclose(result.scores.scores, expected, **EXACT)


def test_network_of_one_size_takes_views_of_that_size_only(videos):
    model = flat("softmax")
    views = ViewsConfig(2, 1, short_side_px=31, crop_px=SIDE)
    result = evaluation.evaluate(model, videos, views=views)
    expected = [
        model(normalized(pixels))
        for pixels, *_ in videos.view_batches("test", views)
    ]
    np.testing.assert_allclose(result.scores.scores, expected, **EXACT)
    larger = ViewsConfig(2, 1, short_side_px=31, crop_px=27)
    with pytest.raises(UserError, match=r"shape \(3, 24, 24, 3\) only") as e:
        evaluation.evaluate(model, videos, views=larger)
    assert str(views) in str(e.value)  # views that fit


def test_preprocessing_inside_the_model(videos):
    inner = pooled()
    model = keras.Sequential(
        [keras.Input(CLIP), layers.Rescaling(1 / 57.375, -2), inner]
    )
    expected = evaluation.evaluate(inner, videos).scores.scores
    scores = evaluation.evaluate(model, videos, preprocess=None).scores.scores
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("views", ["10", "10x2", "x3", 10, (10, 3)])
def test_views_as_text_are_clips_by_crops(videos, views):
    with pytest.raises(UserError, match="such as '?10x3"):
        evaluation.evaluate(pooled(), videos, views=views)


def test_views_of_generated_examples_are_refused():
    digits = datasets.load("digits_recall")
    model = keras.Sequential(
        [keras.Input(digits.element_shape), layers.Flatten(), layers.Dense(10)]
    )
    with pytest.raises(UserError, match="views expects a data set of videos"):
        evaluation.evaluate(model, digits, views="1x1")


@pytest.mark.parametrize("size", [0, -1, 2.5])
@pytest.mark.parametrize("views", [None, "2x1"])
def test_batch_size_is_a_positive_integer(videos, size, views):
    with pytest.raises(UserError, match="batch_size as an integer above 0"):
        evaluation.evaluate(pooled(), videos, views=views, batch_size=size)


def test_path_is_no_data_set():
    with pytest.raises(TypeError, match="data.load. Received: a str"):
        evaluation.evaluate(pooled(), "videos")


def test_network_of_images_is_refused(videos):
    images = keras.Sequential(
        [keras.Input((SIDE, SIDE, 3)), layers.Flatten(), layers.Dense(7)]
    )
    with pytest.raises(UserError, match=r"inputs of shape \(24, 24, 3\)"):
        evaluation.evaluate(images, videos)
