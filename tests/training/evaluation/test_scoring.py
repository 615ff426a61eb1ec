"""Multi-view evaluation, against the protocols written out as loops."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from nonlocal_tf import create_model, preprocess
from tests.training import view_runs
from tests.training.data import films
from tests.training.evaluation.view_loops import (
    features_of,
    scaled_slowly,
    scores_slowly,
    softmax,
    views_slowly,
)
from tests.training.view_runs import shallow  # noqa: F401, a fixture
from training import evaluate, evaluation
from training.data import datasets
from training.data.sampling_config import ViewsConfig
from training.evaluation import video_scores
from training.runs import run_model

pytestmark = pytest.mark.usefixtures("own_cache")
# The pixels are the same; float32 networks differ by rounding.
EXACT = {"rtol": 0, "atol": 2e-5}
TALL = films.pictures(11, size=(51, 35), seed=5)
VIDEOS = [
    ("train", 0, 9),
    ("test", 2, 7),  # shorter than a clip: all of it wraps
    ("test", 0, TALL),
    ("test", 6, 23),
]


def scored_by(run, *arguments):
    """Run the command and load the scores that it writes."""
    folder = run.path / f"scores{len(list(run.path.glob('scores*')))}"
    evaluate.main([f"--workdir={run.path}", f"--scores={folder}", *arguments])
    return video_scores.load(folder / "scores.npz")


def test_10x3_views_of_a_small_network_equal_a_loop(tmp_path):
    data, paths = view_runs.write_lists(tmp_path / "data", VIDEOS)
    sampling = view_runs.sampled(24, frames=4)
    run = view_runs.make_run(tmp_path / "run", data, sampling)
    sizes = "--short-side=31", "--crop=27"
    scored = scored_by(run, "--views=10x3", *sizes)
    trained, _, _ = run_model.load_trained(run)
    network = create_model(
        "c2d_nl1_small", num_classes=7, clip_shape=(4, 27, 27, 3)
    )
    network.set_weights(trained.get_weights())
    rows = []
    for path in paths:
        views = views_slowly(path, sampling, 31, 27)
        rows.append(softmax(np.asarray(network(views), "float64")))
    np.testing.assert_allclose(scored.scores, rows, **EXACT)
    assert np.std(rows, axis=1).max() > 0.01  # views differ
    best = [int(np.argmax(sum(views))) for views in rows]
    right = [b == k for b, k in zip(best, (2, 0, 6), strict=True)]
    assert video_scores.compute_metrics(scored)["accuracy"] == np.mean(right)


@pytest.fixture(scope="module")
def residual(tmp_path_factory, shallow):  # noqa: F811
    """Run of one of the paper's networks on 37 px crops, and test videos."""
    root = tmp_path_factory.mktemp("residual")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        data, paths = view_runs.write_lists(root / "data", VIDEOS)
        sampling = view_runs.sampled(37, frames=4)
        run = view_runs.make_run(root / "run", data, sampling, shallow)
    return run, sampling, paths


def test_papers_networks_score_windows_of_the_training_size(residual):
    run, sampling, paths = residual
    scored = scored_by(run, "--views=10x3", "--short-side=69")
    body, classifier = features_of(run, 69)
    for path, got in zip(paths, scored.scores, strict=True):
        maps = np.asarray(body(views_slowly(path, sampling, 69, 69)))
        assert maps.shape[1:4] == (2, 3, 3)
        # A clip of 37 pixels leaves 2 x 2.
        expected = scores_slowly(maps, *classifier, (2, 2, 2))
        np.testing.assert_allclose(got, expected, **EXACT)
    once = scores_slowly(maps, *classifier, (2, 3, 3))
    assert np.abs(once - expected).max() > 10 * EXACT["atol"]


def test_script_scores_as_the_command(residual, shallow):  # noqa: F811
    run, sampling, _ = residual
    scored = scored_by(run, "--views=2x3", "--short-side=69")
    trained, recipe, videos = run_model.load_trained(run)
    model = create_model(
        shallow.name,
        num_classes=len(videos.classes),
        clip_shape=(4, 37, 37, 3),
        sampling="8x8",
        width=4,
    )
    model.set_weights(trained.get_weights())
    videos = datasets.load(recipe.dataset, recipe.data, sampling)
    views = ViewsConfig(2, 3, short_side_px=69, crop_px=69)
    result = evaluation.evaluate(model, videos, views=views, batch_size=5)
    np.testing.assert_allclose(result.scores.scores, scored.scores, **EXACT)
    expected = video_scores.compute_metrics(scored)
    assert result.metrics["accuracy"] == expected["accuracy"]
    assert result.metrics["loss"] == pytest.approx(expected["loss"], abs=1e-4)


def test_mmaction2_protocol_pools_over_whole_views(residual):
    run, sampling, paths = residual
    arguments = "--views=4x3", "--short-side=69", "--starts=mmaction2"
    scored = scored_by(run, *arguments)
    body, classifier = features_of(run, 69)
    for path, got in zip(paths, scored.scores, strict=True):
        room = max(len(films.decode_all(path)) - 10, 0)
        starts = [round(j * (room / 3)) for j in range(4)]
        views = views_slowly(path, sampling, 69, 69, starts)
        maps = np.asarray(body(views))
        expected = scores_slowly(maps, *classifier, (2, 3, 3))
        np.testing.assert_allclose(got, expected, **EXACT)


@pytest.mark.slow
def test_slowfast_protocol_has_its_starts_and_windows(residual):
    run, sampling, paths = residual
    arguments = "--views=3x3", "--short-side=69", "--starts=slowfast"
    scored = scored_by(run, *arguments)
    body, classifier = features_of(run, 69)
    for path, got in zip(paths, scored.scores, strict=True):
        room = max(len(films.decode_all(path)) - 12, 0)
        starts = [int(room * j / 3) for j in range(3)]
        views = views_slowly(path, sampling, 69, 69, starts)
        expected = scores_slowly(
            np.asarray(body(views)), *classifier, (2, 2, 2)
        )
        np.testing.assert_allclose(got, expected, **EXACT)


def test_full_frames_of_any_size(residual):
    run, sampling, paths = residual
    scored = scored_by(run, "--views=2x1", "--full-frame", "--short-side=69")
    body, classifier = features_of(run, None)
    sizes = set()
    for path, got in zip(paths, scored.scores, strict=True):
        frames = films.decode_all(path).astype("float64")
        n = len(frames)
        scaled = (scaled_slowly(frames, 69) - 114.75) / 57.375
        views = np.stack(
            [
                scaled[[(start + 3 * k) % n for k in range(4)]]
                for start in (0, int(n / 2))
            ]
        )
        maps = np.asarray(body(views))
        sizes.add(maps.shape[2:4])
        expected = scores_slowly(maps, *classifier, (2, 2, 2))
        np.testing.assert_allclose(got, expected, **EXACT)
    assert sizes == {(3, 3), (4, 3)}


def test_multi_label_scores_are_sigmoids_of_every_window(tmp_path, shallow):  # noqa: F811
    videos = [("train", "0 1", 5), ("test", "0 4", 7), ("test", "1", 9)]
    data, paths = view_runs.write_lists(tmp_path / "data", videos)
    sampling = view_runs.sampled(37, frames=4)
    run = view_runs.make_run(tmp_path / "run", data, sampling, shallow)
    scored = scored_by(run, "--views=1x3", "--short-side=69", "--pool=max")
    assert scored.labels.tolist() == [[1, 0, 0, 0, 1, 0, 0], [0, 1] + [0] * 5]
    body, (kernel, bias) = features_of(run, 69)
    views = views_slowly(paths[0], sampling, 69, 69, starts=[0])
    maps = np.asarray(body(views), "float64")
    logits = [
        maps[:, :, y : y + 2, x : x + 2].mean((1, 2, 3)) @ kernel + bias
        for y in range(2)
        for x in range(2)
    ]
    expected = np.mean([1 / (1 + np.exp(-z)) for z in logits], axis=0)
    np.testing.assert_allclose(scored.scores[0], expected, **EXACT)
    assert not scored.skips_unlabelled  # a rule of Charades
    results = video_scores.compute_metrics(scored)
    of_classes = [
        average_precision_score(scored.labels[:, c], scored.scores.max(1)[:, c])
        for c in (0, 1, 4)
    ]
    assert results["mean_average_precision"] == pytest.approx(
        np.mean(of_classes)
    )


def test_middle_clip_is_that_of_validation(tmp_path):
    data, _ = view_runs.write_lists(tmp_path / "data", VIDEOS)
    run = view_runs.make_run(tmp_path / "run", data, view_runs.sampled(24))
    scored = scored_by(run)
    trained, recipe, _ = run_model.load_trained(run)
    (batch,) = datasets.load(
        recipe.dataset, recipe.data, recipe.sampling
    ).eval_batches("test")
    logits = np.asarray(trained(preprocess.normalize(batch[0])), "float64")
    np.testing.assert_allclose(scored.scores[:, 0], softmax(logits), **EXACT)
    assert scored.labels.tolist() == batch[1].numpy().tolist()
