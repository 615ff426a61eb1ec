"""Exported networks: float32, multi-label data, full frames."""

import dataclasses
import shutil

import numpy as np
import pytest
import tensorflow as tf

from nonlocal_tf import preprocess
from tests.training import view_runs
from tests.training.data import films
from tests.training.view_runs import shallow  # noqa: F401, a fixture
from training import evaluate
from training.data.sampling_config import ViewsConfig
from training.evaluation import video_scores
from training.evaluation.classifier import Classifier
from training.exporting import inference_model
from training.exporting.saved_model import SavedModel
from training.io.user_error import UserError
from training.runs import run_model, trained_predictor
from training.runs.run_folder import RunFolder
from training.tasks import video_export

VIDEOS = [
    ("train", "0", 9),
    ("test", "0 3", 13),
    ("test", "5", films.pictures(11, size=(51, 35), seed=5)),
]


@pytest.fixture(scope="module")
def several(tmp_path_factory, shallow):  # noqa: F811
    """Multi-label run with the views of Charades: run, SavedModel, videos."""
    root = tmp_path_factory.mktemp("several")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        data, paths = view_runs.write_lists(root / "data", VIDEOS)
        views = ViewsConfig(clips=3, crops=0, short_side_px=69, pool="max")
        run = view_runs.make_run(
            root / "run", data, view_runs.sampled(37, 4), shallow, views
        )
        video_export.export_run(run, root / "models")
        yield run, SavedModel(root / "models"), paths


def test_network_is_in_float32(tiny):
    _, recipe, info = run_model.load_trained(RunFolder(tiny[0] / "image_stage"))
    mixed = dataclasses.replace(recipe.training, precision="mixed_bfloat16")
    recipe = dataclasses.replace(recipe, training=mixed)
    model = run_model.build_model(recipe, info)
    served = inference_model.build(Classifier(model), info)
    assert {layer.compute_dtype for layer in served.network.layers} == {
        "float32"
    }


def test_default_views_are_the_authors(several):
    model, recipe, info = run_model.load_trained(several[0])
    served = inference_model.build(Classifier(model), info, recipe.sampling)
    views = served.averaging.views
    side = recipe.sampling.eval_short_side_px
    assert (views.clips, views.crops, views.starts) == (10, 3, "authors")
    assert (views.short_side_px, views.crop_px) == (side, side)


def test_multi_label_probabilities_are_sigmoids(several):
    run, model, _ = several
    trained, *_ = run_model.load_trained(run)
    clips = np.random.default_rng(0).integers(0, 256, (2, 4, 37, 37, 3))
    logits = trained(preprocess.normalize(clips), training=False)
    got = model.probabilities(clips.astype("uint8"))
    # float32 rounding: batch normalizations are folded.
    np.testing.assert_allclose(got, tf.sigmoid(logits), rtol=0, atol=1e-5)
    assert np.abs(got.sum(-1) - 1).max() > 0.1


def test_full_frames_score_as_in_evaluation(several, tmp_path):
    run, model, paths = several
    evaluate.main([f"--workdir={run.path}", f"--scores={tmp_path / 's'}"])
    views = video_scores.load(tmp_path / "s" / "scores.npz").scores
    assert views.shape == (2, 3, 7)
    expected = views.max(1)
    assert np.abs(expected - views.mean(1)).max() > 1e-3
    for path, scores in zip(paths, expected, strict=True):
        frames = [tf.io.encode_png(f).numpy() for f in films.decode_all(path)]
        got = model.run("serve_frames", frames_bytes=[frames])
        # Resized pixels may be rounded differently.
        np.testing.assert_allclose(
            got["probabilities"][0], scores, rtol=0, atol=1e-4
        )


def test_older_export_is_predicted_by_its_recipe(several, tmp_path):
    version = several[1].path
    older = tmp_path / "1"
    shutil.copytree(version, older)
    (older / "assets" / "clips.json").unlink()
    expected, got = (
        trained_predictor.load(path, lambda views, _: views)
        for path in (version, older)
    )
    assert got.views.pool == "max"
    assert (got.views, got.sampling) == (expected.views, expected.sampling)


def test_card_names_the_pooling_of_views(several):
    card = (several[1].path / "README.md").read_text("utf-8")
    row = "3 x 1 views of 4 frames, largest score |"
    assert row in card and "averaged" not in card


def test_extreme_aspect_ratio_is_refused(several):
    line = tf.io.encode_png(np.zeros((3, 25, 3), "uint8")).numpy()
    with pytest.raises(UserError, match="at most 8 times the short side"):
        several[1].run("serve_frames", frames_bytes=[[line]])
