import dataclasses

import numpy as np
import pytest

from training.errors import UserError
from training.evaluation import video_scores
from training.evaluation.video_scores import VideoScores


def made(scores, labels, ok=None, pool="mean"):
    """Scores of videos that have no more to them."""
    videos, _, classes = scores.shape
    ok = np.ones(videos, bool) if ok is None else ok
    return VideoScores(
        scores=np.asarray(scores, "float32"),
        labels=labels,
        ok=ok,
        paths=np.array([f"ä {i}.mp4" for i in range(videos)]),
        reasons=np.where(ok, "", "the file is empty"),
        classes=np.array([f"class {c}" for c in range(classes)]),
        split="test",
        views="2 clips",
        pool=pool,
        chance=0.25,
        reading_seconds=1.0,
        computing_seconds=3.0,
        versions={},
    )


def draw(videos, views, classes, seed=0):
    scores = np.random.default_rng(seed).random((videos, views, classes))
    return scores / scores.sum(axis=2, keepdims=True)


def test_scores_come_back_from_their_file(tmp_path):
    ok = np.array([True, False, True])
    scored = made(draw(3, 2, 5), np.array([4, 0, 2]), ok)
    video_scores.save(tmp_path / "scores.npz", scored)
    back = video_scores.load(tmp_path / "scores.npz")
    for field in dataclasses.fields(scored):
        np.testing.assert_array_equal(
            getattr(back, field.name), getattr(scored, field.name)
        )
    assert video_scores.figures(back) == video_scores.figures(scored)


def test_figures_of_one_label_are_counted_by_hand():
    labels = np.arange(11) % 7
    ok = np.arange(11) % 4 > 0
    scored = made(draw(11, 3, 7), labels, ok)
    found = video_scores.figures(scored)
    ranks, first, views = [], [], []
    for scores, label in zip(scored.scores[ok], labels[ok], strict=True):
        total = scores.astype("float64").sum(0)
        ranks.append((total > total[label]).sum())
        first.append(scores[0].argmax() == label)
        views += [view.argmax() == label for view in scores]
    assert (found["listed"], found["read"]) == (11, 8)
    assert found["accuracy"] == np.mean(np.array(ranks) < 1)
    assert found["accuracy_of_listed"] == sum(r < 1 for r in ranks) / 11
    assert found["top5"] == np.mean(np.array(ranks) < 5)
    assert found["top5_of_listed"] == sum(r < 5 for r in ranks) / 11
    assert found["clip1_accuracy"] == np.mean(first)
    assert found["clip_accuracy"] == np.mean(views)
    assert found["videos_per_second"] == 2.0


def test_of_five_classes_there_is_no_top5():
    found = video_scores.figures(made(draw(4, 2, 5), np.arange(4)))
    assert "top5" not in found


def test_a_broken_video_lowers_the_precision_of_its_labels():
    labels = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], np.uint8)
    ok = np.array([True, True, False, True])
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0, 0], [0.3, 0.7]])[:, None]
    found = video_scores.figures(made(scores, labels, ok))
    assert found["mean_average_precision"] == 1.0
    # Of class 0, the second of two is found at rank 4.
    of_first = (1 + 2 / 4) / 2
    expected = (of_first + 1) / 2
    assert found["mean_average_precision_of_listed"] == pytest.approx(expected)


def test_nothing_that_could_be_read_is_an_error():
    scored = made(draw(2, 1, 3), np.array([0, 1]), np.zeros(2, bool))
    with pytest.raises(UserError, match="None of the 2 videos"):
        video_scores.figures(scored)


def test_a_file_whose_arrays_do_not_fit_is_said(tmp_path):
    scored = made(draw(3, 2, 5), np.arange(3))
    short = dataclasses.replace(scored, ok=np.ones(2, bool))
    video_scores.save(tmp_path / "scores.npz", short)
    with pytest.raises(UserError, match="expected ok for scores"):
        video_scores.load(tmp_path / "scores.npz")
