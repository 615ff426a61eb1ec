"""Signatures of a SavedModel, against the Keras network and `evaluate`."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import nonlocal_tf as nl
from nonlocal_tf import preprocess
from tests.training import view_runs
from tests.training.data import films
from tests.training.exporting.bombs import huge_jpeg
from tests.training.view_runs import shallow  # noqa: F401, a fixture
from training import evaluate
from training.evaluation import video_scores
from training.evaluation.classifier import Classifier
from training.exporting.saved_model import SavedModel
from training.io.user_error import UserError
from training.prediction.video_inputs import Input
from training.runs import run_model, trained_predictor
from training.tasks import video_evaluation, video_export

# float32 rounding: batch normalizations are folded.
CLOSE = {"rtol": 0, "atol": 1e-5}
VIDEOS = [
    ("train", 0, 9),
    ("test", 2, 7),  # shorter than a clip: all of it wraps
    ("test", 0, films.pictures(11, size=(51, 35), seed=5)),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory, shallow):  # noqa: F811
    """One of the paper's networks on 37 px crops, exported with its views."""
    root = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        data, paths = view_runs.write_lists(root / "data", VIDEOS)
        views = video_evaluation.ViewsConfig(short_side_px=69, crop_px=69)
        run = view_runs.make_run(
            root / "run", data, view_runs.sampled(37, 4), shallow, views
        )
        video_export.export_run(run, root / "models")
        trained, *_ = run_model.load_trained(run)
        yield SavedModel(root / "models"), trained, run, paths


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, "uint8")


def test_graph_has_no_xla_operation(served, tiny):
    # TensorFlow Serving and TensorFlow Lite may lack them.
    for path in (served[0].path, tiny[1]):
        saved = saved_model_pb2.SavedModel.FromString(
            (path / "saved_model.pb").read_bytes()
        )
        graph = saved.meta_graphs[0].graph_def
        ops = {node.op for node in graph.node} | {
            node.op for f in graph.library.function for node in f.node_def
        }
        assert "Softmax" in ops
        assert [op for op in ops if op.startswith("Xla")] == []


def test_logits_and_probabilities_equal_the_networks(served):
    model, trained, *_ = served
    clips = pixels(2, 4, 37, 37, 3)
    got = model.run("serving_default", clips=clips)
    logits = trained(preprocess.normalize(clips), training=False)
    assert np.ptp(logits) > 0.1
    np.testing.assert_allclose(got["logits"], logits, **CLOSE)
    np.testing.assert_allclose(
        got["probabilities"], keras.ops.softmax(logits), **CLOSE
    )
    assert model.classes == list(view_runs.CLASSES)
    names = [name.decode() for name in got["class_name"]]
    assert names == [view_runs.CLASSES[i] for i in np.argmax(logits, -1)]


@pytest.mark.parametrize("size", [(1, 6, 41, 58, 3), (3, 2, 17, 25, 3)])
def test_clips_of_any_size_are_pooled_globally(served, size):
    model, trained, *_ = served
    other = nl.create_model(
        trained.name,
        num_classes=7,
        sampling="8x8",
        width=4,
        clip_shape=size[1:],
    )
    other.set_weights(trained.get_weights())
    got = model.run("serving_default", clips=pixels(*size))["logits"]
    expected = other(preprocess.normalize(pixels(*size)), training=False)
    np.testing.assert_allclose(got, expected, **CLOSE)


def test_features_are_the_inputs_of_the_classifier(served):
    model, trained, *_ = served
    clips = pixels(3, 4, 37, 37, 3)
    features = model.run("features", clips=clips)["features"]
    kernel, bias = trained.get_layer("logits").get_weights()
    logits = model.run("serving_default", clips=clips)["logits"]
    np.testing.assert_allclose(features @ kernel + bias, logits, **CLOSE)


def test_attention_equals_the_networks(served):
    model, trained, *_ = served
    clips = pixels(2, 4, 37, 37, 3)
    query = np.array([[3, 36, 0], [1, 17, 30]], "int32")
    got = model.run("attention", clips=clips, block=["", ""], query=query)
    for i, pixel in enumerate(query.tolist()):
        clip = preprocess.normalize(clips[i])
        look = nl.attention_map(trained, clip, tuple(pixel))
        assert tuple(got["cell"][i]) == look.query
        np.testing.assert_allclose(got["weights"][i], look.weights, **CLOSE)


@pytest.fixture(scope="module")
def evaluated(served, tmp_path_factory):
    """Scores of the views of each video by the command evaluate."""
    folder = tmp_path_factory.mktemp("scores")
    evaluate.main([f"--workdir={served[2].path}", f"--scores={folder}"])
    return video_scores.load(folder / "scores.npz").scores


def test_prediction_in_windows_equals_evaluation(served, evaluated):
    model, _, _, paths = served
    predictor = trained_predictor.load(model.path, lambda views, _: views)
    assert evaluated.shape == (2, 30, 7)
    for path, views in zip(paths, evaluated, strict=True):
        scores = predictor.score(predictor.read(Input(str(path))))
        np.testing.assert_allclose(scores, views.mean(0), **CLOSE)


def test_frames_of_a_video_score_as_in_evaluation(served, evaluated):
    model, _, _, paths = served
    for path, views in zip(paths, evaluated, strict=True):
        frames = [encoded(frame) for frame in films.decode_all(path)]
        got = model.run("serve_frames", frames_bytes=[frames])
        (probabilities,) = got["probabilities"]
        # Resized pixels may be rounded differently.
        np.testing.assert_allclose(
            probabilities, views.mean(0), rtol=0, atol=1e-4
        )
        best = np.argsort(-probabilities)[:5]
        np.testing.assert_array_equal(
            got["top_k_scores"][0], probabilities[best]
        )
        names = [model.classes[i].encode() for i in best]
        assert got["top_k_classes"][0].tolist() == names


def test_views_are_scored_in_windows_as_in_evaluation(served):
    model, trained, *_ = served
    clips = pixels(2, 4, 69, 69, 3)
    views = video_evaluation.ViewsConfig(short_side_px=69, crop_px=69)
    expected = Classifier(trained).for_views(views).probabilities(clips)
    got = model.run("serve_views", clips=clips)["probabilities"]
    np.testing.assert_allclose(got, expected, **CLOSE)
    assert np.abs(got - model.probabilities(clips)).max() > 1e-3


def encoded(frame):
    return tf.io.encode_png(frame).numpy()


@pytest.mark.parametrize(
    ("signature", "inputs", "message"),
    [
        (
            "serving_default",
            {"clips": pixels(1, 0, 4, 4, 3)},
            "Received sizes",
        ),
        ("features", {"clips": pixels(0, 2, 4, 4, 3)}, "no size of 0"),
        ("serving_default", {"clips": pixels(1, 2, 4, 4, 1)}, "Expected RGB"),
        # oneDNN's pooling fails first; without oneDNN, the check does.
        ("features", {"clips": pixels(1, 2, 3, 3, 3)}, "pooling|larger than"),
        ("serve_frames", {"frames_bytes": np.zeros((1, 0), "S1")}, "one frame"),
        ("serve_frames", {"frames_bytes": [[b"\xff\xd8\xff!"]]}, "JPEG"),
        (
            "serve_frames",
            {"frames_bytes": [[huge_jpeg()]]},
            "at most 16777216 pixels. Received height and width:.*13300 13300",
        ),
        ("attention", {"block": [""], "query": [[0, 0, 9]]}, "within"),
        ("attention", {"block": [""], "query": [[-1, 0, 0]]}, "within"),
        ("attention", {"block": [], "query": [[0, 0, 0]]}, "for each clip"),
        ("attention", {"block": ["a"], "query": [[0, 0, 0]]}, "res3_block0"),
    ],
)
def test_bad_requests_raise_what_was_expected(
    served, signature, inputs, message
):
    if signature == "attention":
        inputs = {
            "clips": pixels(1, 4, 9, 9, 3),
            "block": np.array(inputs["block"], "S"),
            "query": np.array(inputs["query"], "int32"),
        }
    with pytest.raises(UserError, match=message) as raised:
        served[0].run(signature, **inputs)
    assert "\n" not in str(raised.value)


def test_checks_of_a_request_come_before_its_use(served):
    inputs = {
        "clips": pixels(1, 4, 9, 9, 3),
        "block": np.array([], "S"),
        "query": np.array([[0, 0, 0]], "int32"),
    }
    for _ in range(30):  # operations race
        with pytest.raises(UserError, match="for each clip"):
            served[0].run("attention", **inputs)


def test_weights_are_stored_once(served):
    model, trained, *_ = served
    (data,) = (model.path / "variables").glob("*.data*")
    weights = sum(w.numpy().nbytes for w in trained.trainable_weights)
    assert weights < data.stat().st_size < 1.1 * weights
