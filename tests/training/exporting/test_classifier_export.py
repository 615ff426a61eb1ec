"""Exports of Keras models that no recipe describes, against the models."""

import shutil
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import nonlocal_tf as nl
from nonlocal_tf import preprocess
from tests.training import view_runs
from tests.training.clip_models import CLIP, FRAMES, SIDE, flat, listed_videos
from tests.training.data import films
from training import data, evaluation, export
from training.data.datasets import DatasetInfo
from training.data.sampling_config import SamplingConfig, ViewsConfig
from training.exporting import inference_model
from training.exporting.saved_model import SavedModel
from training.io.user_error import UserError
from training.prediction.video_inputs import Input
from training.runs import trained_predictor

CLOSE = {"rtol": 0, "atol": 1e-5}
VIDEOS = [("train", 0, 5), ("test", 1, 7), ("test", 2, 8)]


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, "uint8")


def plain():
    """Build a model without any layer of ours, to probabilities."""
    model = keras.Sequential(
        [
            keras.Input(CLIP, name="film"),
            layers.Conv3D(4, 3, activation="relu"),
            layers.GlobalAveragePooling3D(),
            layers.Dense(7, name="classes"),
            layers.Activation("softmax"),
        ]
    )
    view_runs.randomise(model)
    return model


def nested():
    """Build a model to logits with a block in a nested model."""
    backbone = keras.Sequential(
        [
            keras.Input(CLIP),
            layers.Conv3D(4, 3, (1, 2, 2), padding="same"),
            nl.NonLocalBlock(gamma_init=1.0, name="block"),
        ],
        name="backbone",
    )
    inputs = keras.Input(CLIP)
    x = layers.GlobalAveragePooling3D()(backbone(inputs, training=False))
    model = keras.Model(inputs, layers.Dense(7, name="classes")(x))
    view_runs.randomise(model)
    return model


def from_zero_to_one(pixels):
    return keras.ops.cast(pixels, "float32") / 255


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """The data set, and the paths of its test videos."""
    with listed_videos(tmp_path_factory, VIDEOS) as videos:
        yield videos


@pytest.fixture(scope="module")
def plain_export(videos, tmp_path_factory):
    """The plain model, and its SavedModel."""
    model, out = plain(), tmp_path_factory.mktemp("plain")
    views = ViewsConfig(2, 3, short_side_px=29, crop_px=27)
    version = export.saved_model(model, out, videos[0], views=views)
    assert version == out / "1"
    return model, SavedModel(out)


@pytest.fixture(scope="module")
def nested_export(tmp_path_factory):
    """The nested model, and its SavedModel without a data set."""
    model, out = nested(), tmp_path_factory.mktemp("nested")
    export.saved_model(
        model,
        out,
        classes=view_runs.CLASSES,
        sampling=SamplingConfig(FRAMES, 2, crop_px=SIDE, eval_short_side_px=25),
        preprocess=from_zero_to_one,
        description="recognizes gestures",
        license="CC0.",
    )
    return model, SavedModel(out)


def test_plain_model_has_probabilities_and_class_names(plain_export):
    model, exported = plain_export
    clips = pixels(2, *CLIP)
    expected = np.asarray(model(preprocess.normalize(clips)))
    got = exported.run("serving_default", clips=clips)
    assert sorted(got) == ["class_name", "probabilities"]
    np.testing.assert_allclose(got["probabilities"], expected, **CLOSE)
    assert exported.classes == list(view_runs.CLASSES)
    names = [name.decode() for name in got["class_name"]]
    assert names == [view_runs.CLASSES[i] for i in expected.argmax(-1)]
    assert sorted(exported.signatures) == [
        "features",
        "serve_frames",
        "serving_default",
    ]


def test_features_are_the_inputs_of_the_last_layer_with_weights(plain_export):
    model, exported = plain_export
    clips = pixels(3, *CLIP)
    features = exported.run("features", clips=clips)["features"]
    kernel, bias = model.get_layer("classes").get_weights()
    expected = keras.ops.softmax(features @ kernel + bias)
    np.testing.assert_allclose(exported.probabilities(clips), expected, **CLOSE)


def test_views_are_predicted_as_evaluated(plain_export, videos):
    model, exported = plain_export
    dataset, paths = videos
    views = ViewsConfig(2, 3, short_side_px=29, crop_px=27)
    result = evaluation.evaluate(model, dataset, views=views)
    expected = result.scores.scores.mean(1)
    predictor = trained_predictor.load(exported.path, lambda views, _: views)
    assert predictor.views == views
    for path, scores in zip(paths, expected, strict=True):
        got = predictor.score(predictor.read(Input(str(path))))
        np.testing.assert_allclose(got, scores, **CLOSE)
        frames = [tf.io.encode_png(f).numpy() for f in films.decode_all(path)]
        got = exported.run("serve_frames", frames_bytes=[frames])
        # Resized pixels may be rounded differently.
        np.testing.assert_allclose(
            got["probabilities"][0], scores, rtol=0, atol=1e-3
        )


def test_clips_of_another_size_are_served(plain_export):
    model, exported = plain_export
    clips = pixels(2, 5, 31, 22, 3)
    larger = evaluation.Classifier(model).for_clips(clips.shape[1:])
    np.testing.assert_allclose(
        exported.probabilities(clips),
        larger(preprocess.normalize(clips)),
        **CLOSE,
    )


def test_nested_model_has_logits_of_its_own_preprocessing(nested_export):
    model, exported = nested_export
    clips = pixels(2, *CLIP)
    got = exported.run("serving_default", clips=clips)
    logits = model(from_zero_to_one(clips))
    np.testing.assert_allclose(got["logits"], logits, **CLOSE)
    np.testing.assert_allclose(
        got["probabilities"], keras.ops.softmax(logits), **CLOSE
    )


def test_attention_of_a_block_in_a_nested_model(nested_export):
    model, exported = nested_export
    clips = pixels(1, *CLIP)
    got = exported.run(
        "attention", clips=clips, block=["block"], query=[[2, 23, 4]]
    )
    assert exported.blocks == ("block",)
    clip = from_zero_to_one(clips[0])
    expected = nl.attention_map(model, clip, (2, 23, 4))
    assert tuple(got["cell"][0]) == expected.query
    np.testing.assert_allclose(got["weights"][0], expected.weights, **CLOSE)


def test_card_has_what_was_given(nested_export):
    card = (nested_export[1].path / "README.md").read_text("utf-8")
    assert "Recognizes gestures" in card and "CC0." in card
    assert "`export.saved_model`" in card


def test_clips_of_the_sampling_are_predicted(nested_export, videos):
    predictor = trained_predictor.load(nested_export[1].path)
    assert predictor.sampling.frame_stride == 2
    views = predictor.read(Input(str(videos[1][0])))
    assert views.shape == (1, *CLIP)
    assert predictor.score(views).shape == (7,)


def test_model_of_one_size_is_exported_in_this_size(videos, tmp_path):
    model = flat()
    export.saved_model(model, tmp_path, videos[0])
    exported = SavedModel(tmp_path)
    assert exported.input_shape == CLIP
    clips = pixels(2, *CLIP)
    logits = exported.run("serving_default", clips=clips)["logits"]
    np.testing.assert_allclose(
        logits, model(preprocess.normalize(clips)), **CLOSE
    )


def test_images_are_exported_with_attention(tmp_path):
    inputs = keras.Input((9, 8, 3))
    x = nl.NonLocalBlock(name="block")(layers.Conv2D(4, 3)(inputs))
    x = layers.Dense(2)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    export.saved_model(model, tmp_path, classes=["no", "yes"])
    exported, images = SavedModel(tmp_path), pixels(2, 9, 8, 3)
    got = exported.run("serving_default", images=images)["logits"]
    expected = model(preprocess.normalize(images))
    np.testing.assert_allclose(got, expected, **CLOSE)
    got = exported.run(
        "attention", images=images, block=["block"] * 2, query=[[8, 7], [0, 0]]
    )
    assert got["cell"].tolist() == [[6, 5], [0, 0]]


def test_unknown_number_of_frames_is_not_exported_where_it_is_wrong():
    # Keras' TimeDistributed then runs over the batch.
    inputs = keras.Input((3, 5, 6, 3))
    x = layers.TimeDistributed(layers.GlobalAveragePooling2D())(inputs)
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, layers.Dense(2)(x))
    served = inference_model.build(
        evaluation.Classifier(model), DatasetInfo(("a", "b"), (3, 5, 6, 3))
    )
    assert served.classifier.clip_shape == (3, None, None, 3)


def test_model_of_one_size_that_is_not_square_has_no_views():
    inputs = keras.Input((2, 5, 6, 3))
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(inputs)))
    served = inference_model.build(
        evaluation.Classifier(model), DatasetInfo(("a", "b"), (2, 5, 6, 3))
    )
    assert (served.averaging, served.input_name) == (None, "clips")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "`videos` or `classes`"),
        ({"classes": ["a", "b"], "clip_shape": (None, 2, 2, 3)}, "known sizes"),
        ({"classes": view_runs.CLASSES, "views": "2x1"}, "`sampling`"),
    ],
)
def test_what_is_missing_is_said(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        export.saved_model(flat(), tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_views_that_the_model_does_not_take_are_refused(videos, tmp_path):
    with pytest.raises(UserError, match="size that the network takes"):
        export.saved_model(
            flat(),
            tmp_path,
            videos[0],
            views=ViewsConfig(crop_px=25),
        )


def test_path_is_no_data_set(tmp_path):
    with pytest.raises(TypeError, match="data.load. Received: a str"):
        export.saved_model(flat(), tmp_path / "out", "videos")


def test_versions_are_not_written_among_the_classes(videos, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for path in videos[1]:
            shutil.copy(path, tmp_path / name)
    dataset = data.load(tmp_path, frames=FRAMES)
    with pytest.raises(UserError, match="every folder is a class"):
        export.saved_model(flat(), tmp_path / "out", dataset)


def test_string_is_not_taken_as_classes(tmp_path):
    with pytest.raises(TypeError, match="sequence of names"):
        export.saved_model(flat(), tmp_path, classes="abcdefg")


def test_quantized_model_is_refused(tmp_path):
    model = flat()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Flatten is not quantized
        model.quantize("int8")
    with pytest.raises(ValueError, match="int8 is a `dtype` of the export"):
        export.saved_model(model, tmp_path, classes=[*"abcdefg"])


def test_class_that_is_named_twice_is_refused(tmp_path):
    with pytest.raises(UserError, match="again: 'b'"):
        export.saved_model(flat(), tmp_path, classes=[*"abcdef", "b"])


def test_another_number_of_classes_is_refused(tmp_path):
    with pytest.raises(UserError, match="7 outputs"):
        export.saved_model(flat(), tmp_path, classes=["a", "b"])


def test_variables_of_the_preprocessing_have_to_be_found(tmp_path):
    scale = tf.Variable(0.01)
    with pytest.raises(UserError, match="without variables"):
        export.saved_model(
            flat(),
            tmp_path,
            classes=view_runs.CLASSES,
            preprocess=lambda x: tf.cast(x, tf.float32) * scale,
        )
