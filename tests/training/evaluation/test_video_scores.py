import dataclasses
import json

import numpy as np
import pytest

from tests.training.evaluation.test_metrics import charades_like, official
from training.evaluation import video_scores
from training.evaluation.video_scores import VideoScores
from training.io.user_error import UserError


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


def test_charades_leaves_out_videos_without_an_action():
    """As many videos, classes and such videos as it has to validate on."""
    scores, labels = charades_like(1863, 157, 49, seed=1)
    scored = made(scores[:, None], labels, pool="max")
    counted = video_scores.figures(scored)
    skipping = dataclasses.replace(scored, skips_unlabelled=True)
    found = video_scores.figures(skipping)
    assert found["mean_average_precision"] == pytest.approx(
        official(scores, labels), rel=1e-12
    )
    assert found["unlabelled"] == counted["unlabelled"] == 49
    with_them = counted["mean_average_precision"]
    assert found["mean_average_precision_with_unlabelled"] == with_them
    # About half a point at the level of table 4.
    gain = found["mean_average_precision"] - with_them
    assert 0.003 < gain < 0.008 and 0.3 < with_them < 0.4


def test_the_table_says_how_many_videos_have_no_class():
    scores, labels = charades_like(31, 5, 3, seed=4)
    scored = made(scores[:, None], labels)
    text = video_scores.render(video_scores.figures(scored))
    assert "3, negatives of every class" in text
    scored = dataclasses.replace(scored, skips_unlabelled=True)
    text = video_scores.render(video_scores.figures(scored))
    assert "3, left out of average precision" in text
    with_all = made(scores[labels.any(1), None], labels[labels.any(1)])
    text = video_scores.render(video_scores.figures(with_all))
    assert "without a class" not in text


def test_a_video_that_is_left_out_and_bad_does_not_count_twice():
    scores, labels = charades_like(31, 5, 3, seed=4)
    (unlabelled,) = np.nonzero(~labels.any(axis=1))
    ok = np.ones(31, bool)
    ok[unlabelled[0]] = False
    scored = made(scores[:, None], labels, ok)
    scored = dataclasses.replace(scored, skips_unlabelled=True)
    found = video_scores.figures(scored)
    assert found["unlabelled"] == 2
    of_listed = found["mean_average_precision_of_listed"]
    assert found["mean_average_precision"] == of_listed


def test_scores_of_older_versions_count_every_video(tmp_path):
    scores, labels = charades_like(31, 5, 3, seed=4)
    path = tmp_path / "scores.npz"
    video_scores.save(path, made(scores[:, None], labels))
    arrays = video_scores.unpacked(path)
    about = json.loads(str(arrays.pop("about")))
    del about["skips_unlabelled"]
    content = video_scores.packed(about=np.array(json.dumps(about)), **arrays)
    path.write_bytes(content)
    assert not video_scores.load(path).skips_unlabelled


def test_nothing_that_could_be_read_is_an_error():
    scored = made(draw(2, 1, 3), np.array([0, 1]), np.zeros(2, bool))
    with pytest.raises(UserError, match="None of the 2 videos"):
        video_scores.figures(scored)


def test_scores_that_are_not_finite_are_an_error():
    scores = draw(3, 2, 5)
    scores[1, 1, 4] = np.nan
    scored = made(scores, np.arange(3))
    with pytest.raises(UserError, match="not finite for 1 of 3 examples"):
        video_scores.figures(scored)
    without = made(scores, np.arange(3), np.array([True, False, True]))
    assert video_scores.figures(without)["read"] == 2


def test_a_file_whose_arrays_do_not_fit_is_said(tmp_path):
    scored = made(draw(3, 2, 5), np.arange(3))
    short = dataclasses.replace(scored, ok=np.ones(2, bool))
    video_scores.save(tmp_path / "scores.npz", short)
    with pytest.raises(UserError, match="expected ok for scores"):
        video_scores.load(tmp_path / "scores.npz")


def test_chance_is_of_all_classes_and_the_majority_class_is_named():
    # Of three classes, one has no video; what could not be read counts not.
    labels = np.array([0, 2, 2, 2, 0, 0, 0])
    ok = np.array([True, True, True, True, True, False, False])
    found = video_scores.figures(made(draw(7, 1, 3), labels, ok))
    assert found["chance"] == pytest.approx(1 / 3)
    assert found["majority_class"] == "class 2"
    assert found["majority_share"] == pytest.approx(3 / 5)
    rows = video_scores.render(found).splitlines()
    of_chance = [" ".join(row.split()) for row in rows if "chance" in row]
    assert of_chance == ["chance (1 of 3 classes) 33.3 %"]
    assert "60.0 % by always saying 'class 2'" in video_scores.render(found)


def test_a_long_name_of_the_majority_class_is_shortened():
    name = "opening a jar of pickles with one hand while standing"
    found = {"chance": 0.5, "majority_class": name, "majority_share": 0.75}
    rows = video_scores.guessing(found)
    assert rows[1][1] == (
        "75.0 % by always saying 'opening a jar of pickles with one hand …'"
    )


def test_chance_of_several_labels_is_that_of_random_scores():
    labels = np.array([[1, 0], [1, 1], [1, 0], [0, 0]], np.uint8)
    found = video_scores.figures(made(draw(4, 1, 2), labels))
    assert video_scores.guessing(found) == [
        ("chance (random scores)", "50.0 %")
    ]


def test_a_file_of_scores_with_another_chance_is_still_read(tmp_path):
    scored = made(draw(4, 1, 3), np.array([0, 0, 1, 0]))
    path = tmp_path / "scores.npz"
    video_scores.save(path, scored)
    arrays = video_scores.unpacked(path)
    about = {**json.loads(str(arrays["about"])), "chance": 0.75}
    arrays["about"] = np.array(json.dumps(about))
    path.write_bytes(video_scores.packed(**arrays))
    assert video_scores.figures(video_scores.load(path))["chance"] == 1 / 3


def test_compressed_scores_are_not_unpacked(tmp_path):
    path = tmp_path / "scores.npz"
    np.savez_compressed(path, scores=np.zeros(10_000_000), about="{}")
    with pytest.raises(UserError, match="'scores.npy' is compressed"):
        video_scores.load(path)
