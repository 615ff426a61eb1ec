import dataclasses
import json
import re

import numpy as np
import pytest

from tests.training.evaluation.scored_videos import (
    charades_like,
    charades_map,
    make_scores,
)
from training.evaluation import metrics, video_scores
from training.io.user_error import UserError


def draw(videos, views, classes, seed=0):
    scores = np.random.default_rng(seed).random((videos, views, classes))
    return scores / scores.sum(axis=2, keepdims=True)


def test_scores_round_trip_through_a_file(tmp_path):
    ok = np.array([True, False, True])
    scored = make_scores(draw(3, 2, 5), np.array([4, 0, 2]), ok)
    video_scores.save(tmp_path / "scores.npz", scored)
    back = video_scores.load(tmp_path / "scores.npz")
    for field in dataclasses.fields(scored):
        np.testing.assert_array_equal(
            getattr(back, field.name), getattr(scored, field.name)
        )
    assert video_scores.compute_metrics(back) == video_scores.compute_metrics(
        scored
    )


def test_single_label_metrics_equal_a_loop():
    labels = np.arange(11) % 7
    ok = np.arange(11) % 4 > 0
    scored = make_scores(draw(11, 3, 7), labels, ok)
    results = video_scores.compute_metrics(scored)
    ranks, first, views = [], [], []
    for scores, label in zip(scored.scores[ok], labels[ok], strict=True):
        total = scores.astype("float64").sum(0)
        ranks.append((total > total[label]).sum())
        first.append(scores[0].argmax() == label)
        views += [view.argmax() == label for view in scores]
    assert (results["listed"], results["read"]) == (11, 8)
    assert results["accuracy"] == np.mean(np.array(ranks) < 1)
    assert results["accuracy_of_listed"] == sum(r < 1 for r in ranks) / 11
    assert results["top5"] == np.mean(np.array(ranks) < 5)
    assert results["top5_of_listed"] == sum(r < 5 for r in ranks) / 11
    assert results["clip1_accuracy"] == np.mean(first)
    assert results["clip_accuracy"] == np.mean(views)
    assert results["videos_per_second"] == 2.0


def test_a_metric_of_the_table_is_computed_and_listed(monkeypatch):
    constant = metrics.Metric("a new metric", lambda scores, labels: 0.125)
    monkeypatch.setitem(metrics.SINGLE_LABEL, "new", constant)
    results = video_scores.compute_metrics(
        make_scores(draw(3, 1, 5), np.arange(3))
    )
    assert results["new"] == 0.125
    assert re.search(r"a new metric +12.5 %", video_scores.render(results))


def test_five_classes_have_no_top5():
    results = video_scores.compute_metrics(
        make_scores(draw(4, 2, 5), np.arange(4))
    )
    assert "top5" not in results


def test_unreadable_video_lowers_the_precision_of_its_labels():
    labels = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], np.uint8)
    ok = np.array([True, True, False, True])
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0, 0], [0.3, 0.7]])[:, None]
    results = video_scores.compute_metrics(make_scores(scores, labels, ok))
    assert results["mean_average_precision"] == 1.0
    # Of class 0, the second of two is found at rank 4.
    of_first = (1 + 2 / 4) / 2
    expected = (of_first + 1) / 2
    assert results["mean_average_precision_of_listed"] == pytest.approx(
        expected
    )


def test_charades_excludes_videos_without_an_action():
    """Numbers of videos and classes are those of its validation split."""
    scores, labels = charades_like(1863, 157, 49, seed=1)
    scored = make_scores(scores[:, None], labels, pool="max")
    counted = video_scores.compute_metrics(scored)
    skipping = dataclasses.replace(scored, skips_unlabelled=True)
    results = video_scores.compute_metrics(skipping)
    assert results["mean_average_precision"] == pytest.approx(
        charades_map(scores, labels), rel=1e-12
    )
    assert results["unlabelled"] == counted["unlabelled"] == 49
    with_them = counted["mean_average_precision"]
    assert results["mean_average_precision_with_unlabelled"] == with_them
    # About half a point at the level of table 4.
    gain = results["mean_average_precision"] - with_them
    assert 0.003 < gain < 0.008 and 0.3 < with_them < 0.4


def test_table_counts_videos_without_a_class():
    scores, labels = charades_like(31, 5, 3, seed=4)
    scored = make_scores(scores[:, None], labels)
    text = video_scores.render(video_scores.compute_metrics(scored))
    assert "3, negatives of every class" in text
    scored = dataclasses.replace(scored, skips_unlabelled=True)
    text = video_scores.render(video_scores.compute_metrics(scored))
    assert "3, excluded from average precision" in text
    with_all = make_scores(scores[labels.any(1), None], labels[labels.any(1)])
    text = video_scores.render(video_scores.compute_metrics(with_all))
    assert "without a class" not in text


def test_unreadable_video_without_a_class_counts_once():
    scores, labels = charades_like(31, 5, 3, seed=4)
    (unlabelled,) = np.nonzero(~labels.any(axis=1))
    ok = np.ones(31, bool)
    ok[unlabelled[0]] = False
    scored = make_scores(scores[:, None], labels, ok)
    scored = dataclasses.replace(scored, skips_unlabelled=True)
    results = video_scores.compute_metrics(scored)
    assert results["unlabelled"] == 2
    of_listed = results["mean_average_precision_of_listed"]
    assert results["mean_average_precision"] == of_listed


def test_older_files_include_unlabelled_videos(tmp_path):
    scores, labels = charades_like(31, 5, 3, seed=4)
    path = tmp_path / "scores.npz"
    video_scores.save(path, make_scores(scores[:, None], labels))
    arrays = video_scores.read_npz(path)
    about = json.loads(str(arrays.pop("about")))
    del about["skips_unlabelled"]
    content = video_scores.npz_bytes(
        about=np.array(json.dumps(about)), **arrays
    )
    path.write_bytes(content)
    assert not video_scores.load(path).skips_unlabelled


def test_no_readable_video_is_an_error():
    scored = make_scores(draw(2, 1, 3), np.array([0, 1]), np.zeros(2, bool))
    with pytest.raises(UserError, match="None of the 2 videos"):
        video_scores.compute_metrics(scored)


def test_nan_scores_are_an_error():
    scores = draw(3, 2, 5)
    scores[1, 1, 4] = np.nan
    scored = make_scores(scores, np.arange(3))
    with pytest.raises(UserError, match="not finite for 1 of 3 examples"):
        video_scores.compute_metrics(scored)
    without = make_scores(scores, np.arange(3), np.array([True, False, True]))
    assert video_scores.compute_metrics(without)["read"] == 2


def test_inconsistent_shapes_in_a_file_are_an_error(tmp_path):
    scored = make_scores(draw(3, 2, 5), np.arange(3))
    short = dataclasses.replace(scored, ok=np.ones(2, bool))
    video_scores.save(tmp_path / "scores.npz", short)
    with pytest.raises(UserError, match="expected ok for scores"):
        video_scores.load(tmp_path / "scores.npz")


def test_chance_counts_all_classes_and_the_majority_class_is_named():
    # One of the classes has no video; unreadable videos do not count.
    labels = np.array([0, 2, 2, 2, 0, 0, 0])
    ok = np.array([True, True, True, True, True, False, False])
    results = video_scores.compute_metrics(
        make_scores(draw(7, 1, 3), labels, ok)
    )
    assert results["chance"] == pytest.approx(1 / 3)
    assert results["majority_class"] == "class 2"
    assert results["majority_share"] == pytest.approx(3 / 5)
    rows = video_scores.render(results).splitlines()
    of_chance = [" ".join(row.split()) for row in rows if "chance" in row]
    assert of_chance == ["chance (1 of 3 classes) 33.3 %"]
    assert "60.0 % for always 'class 2'" in video_scores.render(results)


def test_long_name_of_the_majority_class_is_shortened():
    name = "opening a jar of pickles with one hand while standing"
    results = {"chance": 0.5, "majority_class": name, "majority_share": 0.75}
    rows = video_scores.baseline_rows(results)
    assert rows[1][1] == (
        "75.0 % for always 'opening a jar of pickles with one hand …'"
    )


def test_multi_label_chance_is_that_of_random_scores():
    labels = np.array([[1, 0], [1, 1], [1, 0], [0, 0]], np.uint8)
    results = video_scores.compute_metrics(make_scores(draw(4, 1, 2), labels))
    assert video_scores.baseline_rows(results) == [
        ("chance (random scores)", "50.0 %")
    ]


def write_with(path, **fields):
    """Write scores with further fields."""
    scored = make_scores(draw(4, 1, 3), np.array([0, 0, 1, 0]))
    video_scores.save(path, scored)
    arrays = video_scores.read_npz(path)
    about = {**json.loads(str(arrays["about"])), **fields}
    arrays["about"] = np.array(json.dumps(about))
    path.write_bytes(video_scores.npz_bytes(**arrays))


def test_stored_chance_of_older_files_is_ignored(tmp_path):
    path = tmp_path / "scores.npz"
    write_with(path, chance=0.75)
    metrics = video_scores.compute_metrics(video_scores.load(path))
    assert metrics["chance"] == 1 / 3


def test_unknown_fields_of_another_version_are_named(tmp_path):
    path = tmp_path / "scores.npz"
    write_with(path, crops=3)
    with pytest.raises(UserError, match="scores: unknown field 'crops'"):
        video_scores.load(path)


def test_compressed_scores_are_refused(tmp_path):
    path = tmp_path / "scores.npz"
    np.savez_compressed(path, scores=np.zeros(10_000_000), about="{}")
    with pytest.raises(UserError, match="'scores.npy' is compressed"):
        video_scores.load(path)
