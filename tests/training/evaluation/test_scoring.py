"""Tests on views, against the protocols written out as loops."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import average_precision_score

from nonlocal_tf import create_model, preprocess
from tests.training import view_runs
from tests.training.data import films
from tests.training.view_runs import shallow  # noqa: F401, a fixture
from training import evaluate
from training.data import dataset_of, load_dataset
from training.evaluation import scoring, video_scores
from training.evaluation.score_parts import Parts
from training.io.user_error import UserError
from training.recipes.schema import ViewsConfig
from training.runs import run_model

pytestmark = pytest.mark.usefixtures("own_cache")
# The pixels are the same; what is left is float32 in the networks.
EXACT = {"rtol": 0, "atol": 2e-5}
TALL = films.pictures(11, size=(51, 35), seed=5)


def halves_up(value):
    return int(np.floor(value + 0.5))


def scaled_slowly(frames, short):
    """Bilinear, pixel by pixel, all frames at once; uint8 as OpenCV has it."""
    _, height, width, _ = frames.shape
    by = short / min(height, width)
    tall, wide = halves_up(height * by), halves_up(width * by)
    out = np.zeros((len(frames), tall, wide, 3))
    for i in range(tall):
        y = min(max((i + 0.5) * height / tall - 0.5, 0), height - 1)
        y0, y1 = int(y), min(int(y) + 1, height - 1)
        for j in range(wide):
            x = min(max((j + 0.5) * width / wide - 0.5, 0), width - 1)
            x0, x1 = int(x), min(int(x) + 1, width - 1)
            top = frames[:, y0, x0] * (1 - x % 1) + frames[:, y0, x1] * (x % 1)
            low = frames[:, y1, x0] * (1 - x % 1) + frames[:, y1, x1] * (x % 1)
            out[:, i, j] = top * (1 - y % 1) + low * (y % 1)
    return np.floor(out + 0.5)


def views_slowly(path, sampling, short, crop, starts=None):
    """The authors' 10 x 3 views of a film, `(30, t, crop, crop, 3)`."""
    frames = films.decode_all(path).astype("float64")
    n = len(frames)
    if starts is None:
        starts = [int(float(n) / 10 * j) % n for j in range(10)]
    scaled = scaled_slowly(frames, short)
    tall, wide = scaled.shape[1:3]
    views = []
    for start in starts:
        clip = np.stack(
            [
                scaled[(start + k * sampling.frame_stride) % n]
                for k in range(sampling.frames)
            ]
        )
        for p in range(3):
            y = (tall - crop) // 2 * (p if tall > wide else 1)
            x = (wide - crop) // 2 * (p if wide >= tall else 1)
            views.append(clip[:, y : y + crop, x : x + crop])
    return (np.stack(views) - 114.75) / 57.375


def softmax(logits):
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def features_of(run, side):
    """The trained network at another size up to res5, and its classifier."""
    trained, recipe, dataset = run_model.load_trained(run)
    body = create_model(
        recipe.model.name,
        num_classes=0,
        clip_shape=(recipe.sampling.frames, side, side, 3),
        sampling="8x8",
        width=4,
        head="none",
    )
    for layer in body.layers:
        layer.set_weights(trained.get_layer(layer.name).get_weights())
    return body, trained.get_layer("logits").get_weights()


def scores_slowly(maps, kernel, bias, window):
    """Softmax at every position of a window, then their mean."""
    _, t, h, w, _ = maps.shape
    scores = [
        softmax(
            maps[:, i : i + window[0], y : y + window[1], x : x + window[2]]
            .astype("float64")
            .mean((1, 2, 3))
            @ kernel
            + bias
        )
        for i in range(t - window[0] + 1)
        for y in range(h - window[1] + 1)
        for x in range(w - window[2] + 1)
    ]
    return np.mean(scores, axis=0)


VIDEOS = [
    ("train", 0, 9),
    ("test", 2, 7),  # shorter than a clip: all of it wraps
    ("test", 0, TALL),
    ("test", 6, 23),
]


def scored_by(run, *arguments):
    """What the command writes."""
    folder = run.path / f"scores{len(list(run.path.glob('scores*')))}"
    evaluate.main([f"--workdir={run.path}", f"--scores={folder}", *arguments])
    return video_scores.load(folder / "scores.npz")


def test_thirty_views_of_a_small_network_are_those_of_a_loop(tmp_path):
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
    assert video_scores.figures(scored)["accuracy"] == np.mean(right)


@pytest.fixture(scope="module")
def residual(tmp_path_factory, shallow):  # noqa: F811
    """A run of a paper's network on crops of 37, and its test videos."""
    root = tmp_path_factory.mktemp("residual")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        data, paths = view_runs.write_lists(root / "data", VIDEOS)
        sampling = view_runs.sampled(37, frames=4)
        run = view_runs.make_run(root / "run", data, sampling, shallow)
    return run, sampling, paths


def test_the_papers_networks_score_every_window_of_training_size(residual):
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


def test_mmaction2s_variant_averages_over_everything(residual):
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
def test_slowfasts_variant_has_its_starts_and_windows(residual):
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


def test_whole_frames_of_any_size(residual):
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


SEVEN = [("train", 0, 5)] + [
    ("test", number % 7, 4 + number) for number in range(7)
]
TWO_BY_THREE = ViewsConfig(clips=2, short_side_px=31, crop_px=27)


def by_colour(pixels):
    """Stands for a network: seven numbers of each view."""
    flat = pixels.reshape(len(pixels), -1, 3).astype("float32") / 255
    return np.concatenate(
        [flat.mean(1), flat.std(1), flat[:, :1, 0]], axis=1
    )  # (n, 7)


@pytest.fixture
def seven(tmp_path):
    data, paths = view_runs.write_lists(tmp_path / "data", SEVEN)
    return load_dataset("mmaction2", data, view_runs.sampled(24)), paths


def score(dataset, folder, step=by_colour, batch=4, **settings):
    parts = Parts(folder, {"split": "test", "weights": "0", **settings})
    return scoring.score_videos(
        step, dataset, "test", TWO_BY_THREE, batch, parts
    )


def arrays_of(scored):
    return [scored.scores, scored.ok, scored.labels, scored.paths]


def assert_same(one, other):
    for a, b in zip(arrays_of(one), arrays_of(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("batch", [1, 4, 6, 1000])
def test_every_view_is_scored_once_in_its_place_whatever_the_batch(
    seven, tmp_path, batch, monkeypatch
):
    monkeypatch.setattr(scoring, "PART_VIDEOS", 3)
    dataset, paths = seven
    sizes = []

    def step(pixels):
        sizes.append(len(pixels))
        return by_colour(pixels)

    scored = score(dataset, tmp_path / "scores", step, batch)
    for pixels, label, _, index in dataset.view_batches("test", TWO_BY_THREE):
        got = scored.scores[int(index)]
        np.testing.assert_array_equal(got, by_colour(pixels.numpy()))
        assert scored.labels[int(index)] == int(label)
        assert scored.paths[int(index)] == str(paths[int(index)])
    assert sum(sizes) == 7 * 6 and max(sizes) <= batch


class Killed(Exception):
    pass


def dies_after(steps):
    """A step that works so many times."""
    left = iter(range(steps))

    def step(pixels):
        if next(left, None) is None:
            raise Killed
        return by_colour(pixels)

    return step


def test_a_killed_test_goes_on_after_its_last_part(
    seven, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(scoring, "PART_VIDEOS", 3)
    dataset, _ = seven
    whole = score(dataset, tmp_path / "whole")
    # 3 videos of 6 views are 5 steps of up to 4: the second part is cut off.
    with pytest.raises(Killed):
        score(dataset, tmp_path / "cut", dies_after(7))
    steps_left = 5 + 2
    resumed = score(dataset, tmp_path / "cut", dies_after(steps_left))
    assert_same(resumed, whole)
    assert "Going on after 3 of 7 videos" in capsys.readouterr().out


def test_parts_of_another_test_are_not_mixed_in(seven, tmp_path, capsys):
    dataset, _ = seven
    score(dataset, tmp_path / "scores", weights="one")
    other = score(
        dataset, tmp_path / "scores", lambda p: 1 - by_colour(p), weights="two"
    )
    assert "(weights differ): it starts anew" in capsys.readouterr().out
    expected = score(dataset, tmp_path / "new", lambda p: 1 - by_colour(p))
    assert_same(other, expected)


def test_a_damaged_part_is_scored_again(seven, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(scoring, "PART_VIDEOS", 3)
    dataset, _ = seven
    whole = score(dataset, tmp_path / "scores")
    part = tmp_path / "scores" / "part_00001.npz"
    part.write_bytes(part.read_bytes()[:1000])
    assert_same(score(dataset, tmp_path / "scores"), whole)
    printed = capsys.readouterr().out
    assert "scored again" in printed and "after 3 of 7" in printed


def test_videos_that_cannot_be_read_keep_their_rows(tmp_path):
    data, paths = view_runs.write_lists(tmp_path / "data", SEVEN)
    paths[2].write_bytes(b"")  # known when the videos are looked at
    dataset = load_dataset("mmaction2", data, view_runs.sampled(24))
    paths[5].write_bytes(b"")  # only when it is read
    scored = score(dataset, tmp_path / "scores")
    assert scored.ok.tolist() == [i not in (2, 5) for i in range(7)]
    assert scored.labels.tolist() == list(range(7))
    assert not scored.scores[[2, 5]].any()
    assert (scored.scores[scored.ok] > 0).any(axis=2).all()
    assert [bool(reason) for reason in scored.reasons] == (~scored.ok).tolist()


def test_views_of_other_sizes_have_a_step_of_their_own():
    shapes = []

    def step(pixels):
        shapes.append(pixels.shape[:3])
        return pixels[:, 0, 0, 0].astype("float32")

    waiting = scoring.Waiting(step, batch=3)
    views = np.arange(2 * 5 * 4 * 4 * 3).reshape(2, 5, 4, 4, 3)
    wide = np.arange(4 * 5 * 4 * 7 * 3).reshape(4, 5, 4, 7, 3)
    for pixels in (views, wide, views):
        waiting.add(pixels)
    expected = [v[:, 0, 0, 0] for v in (views, wide, views)]
    np.testing.assert_array_equal(waiting.end(), np.concatenate(expected))
    assert shapes == [(2, 5, 4), (3, 5, 4), (1, 5, 4), (2, 5, 4)]


def test_several_labels_have_sigmoids_at_every_window(tmp_path, shallow):  # noqa: F811
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
    found = video_scores.figures(scored)
    of_classes = [
        average_precision_score(scored.labels[:, c], scored.scores.max(1)[:, c])
        for c in (0, 1, 4)
    ]
    assert found["mean_average_precision"] == pytest.approx(np.mean(of_classes))


def test_a_folder_of_something_else_is_left_alone(seven, tmp_path):
    (tmp_path / "metrics.json").write_text("mine")
    with pytest.raises(UserError, match="neither empty nor a folder of scores"):
        score(seven[0], tmp_path)
    assert (tmp_path / "metrics.json").read_text() == "mine"


def test_the_middle_clip_is_the_one_of_validation(tmp_path):
    data, _ = view_runs.write_lists(tmp_path / "data", VIDEOS)
    run = view_runs.make_run(tmp_path / "run", data, view_runs.sampled(24))
    scored = scored_by(run)
    trained, recipe, _ = run_model.load_trained(run)
    (batch,) = dataset_of(recipe).eval_batches("test")
    logits = np.asarray(trained(preprocess.normalize(batch[0])), "float64")
    np.testing.assert_allclose(scored.scores[:, 0], softmax(logits), **EXACT)
    assert scored.labels.tolist() == batch[1].numpy().tolist()


def test_each_video_of_a_part_is_counted():
    pixels = tf.zeros((2, 1, 3, 3, 3), tf.uint8)
    videos = iter([(pixels, 0, 1.0, 5), (pixels, 0, 0.0, 6)])
    counts = []

    class Shown:
        at = staticmethod(counts.append)

    part = scoring.score_part(
        lambda views: np.ones((len(views), 4), np.float32),
        videos,
        range(5, 7),
        batch=3,
        classes=4,
        shown=Shown(),
    )
    assert counts == [6, 7] and part.ok.tolist() == [True, False]
