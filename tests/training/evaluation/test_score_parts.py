"""Scores in parts: batches, resuming and unreadable videos."""

import numpy as np
import pytest
import tensorflow as tf

from tests.training import view_runs
from training.data import datasets
from training.data.sampling_config import ViewsConfig
from training.evaluation import scoring
from training.evaluation.score_parts import Parts
from training.io.user_error import UserError

pytestmark = pytest.mark.usefixtures("own_cache")
SEVEN = [("train", 0, 5)] + [
    ("test", number % 7, 4 + number) for number in range(7)
]
TWO_BY_THREE = ViewsConfig(clips=2, short_side_px=31, crop_px=27)


def by_colour(pixels):
    """Score views by seven statistics of their colours."""
    flat = pixels.reshape(len(pixels), -1, 3).astype("float32") / 255
    return np.concatenate(
        [flat.mean(1), flat.std(1), flat[:, :1, 0]], axis=1
    )  # (n, 7)


@pytest.fixture
def seven(tmp_path):
    data, paths = view_runs.write_lists(tmp_path / "data", SEVEN)
    return datasets.load("mmaction2", data, view_runs.sampled(24)), paths


def score(dataset, folder, step=by_colour, batch=4, **settings):
    parts = Parts(folder, {"split": "test", "weights": "0", **settings})
    return scoring.score_videos(
        step, dataset, "test", TWO_BY_THREE, batch, parts
    )


def arrays_of(scored):
    return [scored.scores, scored.ok, scored.labels, scored.paths]


def assert_same(first, second):
    for a, b in zip(arrays_of(first), arrays_of(second), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("batch", [1, 4, 6, 1000])
def test_scores_are_in_order_for_every_batch_size(
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
    """Make a step that fails after a number of calls."""
    remaining = iter(range(steps))

    def step(pixels):
        if next(remaining, None) is None:
            raise Killed
        return by_colour(pixels)

    return step


def test_interrupted_evaluation_resumes_after_its_last_part(
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
    assert "Resuming after 3 of 7 videos" in capsys.readouterr().out


def test_parts_of_other_weights_are_discarded(seven, tmp_path, capsys):
    dataset, _ = seven
    score(dataset, tmp_path / "scores", weights="one")
    other = score(
        dataset, tmp_path / "scores", lambda p: 1 - by_colour(p), weights="two"
    )
    assert "(weights differ): starting over" in capsys.readouterr().out
    expected = score(dataset, tmp_path / "new", lambda p: 1 - by_colour(p))
    assert_same(other, expected)


def test_damaged_part_is_scored_again(seven, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(scoring, "PART_VIDEOS", 3)
    dataset, _ = seven
    whole = score(dataset, tmp_path / "scores")
    part = tmp_path / "scores" / "part_00001.npz"
    part.write_bytes(part.read_bytes()[:1000])
    assert_same(score(dataset, tmp_path / "scores"), whole)
    printed = capsys.readouterr().out
    assert "scoring again" in printed and "after 3 of 7" in printed


def test_unreadable_videos_keep_their_rows(tmp_path):
    data, paths = view_runs.write_lists(tmp_path / "data", SEVEN)
    paths[2].write_bytes(b"")  # bad when the data set is indexed
    dataset = datasets.load("mmaction2", data, view_runs.sampled(24))
    paths[5].write_bytes(b"")  # bad when it is read
    scored = score(dataset, tmp_path / "scores")
    assert scored.ok.tolist() == [i not in (2, 5) for i in range(7)]
    assert scored.labels.tolist() == list(range(7))
    assert not scored.scores[[2, 5]].any()
    assert (scored.scores[scored.ok] > 0).any(axis=2).all()
    assert [bool(reason) for reason in scored.reasons] == (~scored.ok).tolist()


def test_batches_have_views_of_one_size():
    shapes = []

    def step(pixels):
        shapes.append(pixels.shape[:3])
        return pixels[:, 0, 0, 0].astype("float32")

    batcher = scoring.ViewBatcher(step, batch=3)
    views = np.arange(2 * 5 * 4 * 4 * 3).reshape(2, 5, 4, 4, 3)
    wide = np.arange(4 * 5 * 4 * 7 * 3).reshape(4, 5, 4, 7, 3)
    for pixels in (views, wide, views):
        batcher.add(pixels)
    expected = [v[:, 0, 0, 0] for v in (views, wide, views)]
    np.testing.assert_array_equal(batcher.finish(), np.concatenate(expected))
    assert shapes == [(2, 5, 4), (3, 5, 4), (1, 5, 4), (2, 5, 4)]


def test_folder_with_other_files_is_refused(seven, tmp_path):
    (tmp_path / "metrics.json").write_text("mine")
    with pytest.raises(UserError, match="neither empty nor a folder of scores"):
        score(seven[0], tmp_path)
    assert (tmp_path / "metrics.json").read_text() == "mine"


def test_progress_counts_videos():
    pixels = tf.zeros((2, 1, 3, 3, 3), tf.uint8)
    videos = iter([(pixels, 0, 1.0, 5), (pixels, 0, 0.0, 6)])
    counts = []

    class ProgressStub:
        update = staticmethod(counts.append)

    part = scoring.score_part(
        lambda views: np.ones((len(views), 4), np.float32),
        videos,
        range(5, 7),
        batch=3,
        classes=4,
        progress=ProgressStub(),
    )
    assert counts == [6, 7] and part.ok.tolist() == [True, False]
