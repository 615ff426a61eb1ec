import collections

import numpy as np
import pytest

from tests.training.data.fixtures import read, touch, write
from training.data import stratified_splits
from training.data.data_config import DataConfig
from training.io.user_error import UserError

SPLITS = ("train", "validation", "test")
COUNTS = {"hop": 13, "jump": 29, "walk": 7}


def labels_and_groups(seed):
    """Draw videos of three classes, one of them rare, in groups."""
    random = np.random.default_rng(seed)
    count = int(random.integers(40, 110))
    labels = random.choice(3, count, p=[0.6, 0.25, 0.15])
    groups = random.integers(0, count // int(random.integers(1, 5)), count)
    return labels, groups


def parts_of(labels, groups, shares):
    members = collections.defaultdict(list)
    for video, (label, group) in enumerate(zip(labels, groups, strict=True)):
        members[f"g{group}"].append((str(label), str(video)))
    number_of = stratified_splits.assigned(members, shares)
    return np.array([number_of[f"g{group}"] for group in groups])


def deviation(parts, labels, folds):
    """Chi-squared of the classes' counts in folds."""
    total = 0.0
    for label in np.unique(labels):
        counts = np.bincount(parts[labels == label], minlength=folds)
        expected = counts.sum() / folds
        total += np.sum((counts - expected) ** 2) / expected
    return total


@pytest.fixture
def root(tmp_path):
    for name, count in COUNTS.items():
        for number in range(count):
            touch(tmp_path / "videos" / name / f"{number}.mp4")
    return tmp_path / "videos"


def by_split(root, **settings):
    """Return relative paths by split."""
    manifest = read("folder", DataConfig(root=str(root), **settings))
    return {
        split: {
            video.path.removeprefix(f"{root}/")
            for video in manifest.splits.get(split, ())
        }
        for split in SPLITS
    }


def class_counts(paths):
    counts = collections.Counter(path.partition("/")[0] for path in paths)
    return np.array([counts[name] for name in COUNTS])


def test_each_video_is_in_the_test_split_of_one_fold(root):
    tested = []
    for fold in range(4):
        splits = by_split(root, folds=4, fold=fold)
        paths = [path for split in SPLITS for path in splits[split]]
        assert len(paths) == len(set(paths)) == 49
        tested += splits["test"]
    assert len(tested) == len(set(tested)) == 49


def test_folds_have_the_same_share_of_each_class(root):
    counts = np.array([*COUNTS.values()])
    for fold in range(4):
        splits = by_split(root, folds=4, fold=fold)
        held = class_counts(splits["test"])
        assert np.all(np.abs(held - counts / 4) < 1)
        rest = counts - held
        validated = class_counts(splits["validation"])
        assert np.all(np.abs(validated - 0.15 * rest) < 1)


def test_groups_stay_together_as_evenly_as_in_scikit_learn():
    model_selection = pytest.importorskip("sklearn.model_selection")
    deviations = []
    for seed in range(20):
        (labels, groups), folds = labels_and_groups(seed), 3 + seed % 3
        own, peer = parts_of(labels, groups, [1] * folds), np.zeros_like(labels)
        splitter = model_selection.StratifiedGroupKFold(folds)
        for fold, (_, test) in enumerate(
            splitter.split(labels, labels, groups)
        ):
            peer[test] = fold
        deviations.append([deviation(p, labels, folds) for p in (own, peer)])
        for group in np.unique(groups):
            assert len(np.unique(own[groups == group])) == 1
    own, peer = np.mean(deviations, axis=0)
    assert own <= peer


@pytest.mark.parametrize(
    "count, sizes", [(1, [1, 0, 0]), (3, [1, 1, 1]), (20, [14, 3, 3])]
)
def test_parts_have_their_shares(count, sizes):
    parts = parts_of([0] * count, range(count), [0.7, 0.15, 0.15])
    assert np.bincount(parts, minlength=3).tolist() == sizes


def test_groups_of_a_file_are_in_one_split(root, tmp_path):
    rows = [
        f"{name}/{number}.mp4,person {number % 6}"
        for name, count in COUNTS.items()
        for number in range(count)
    ]
    groups = write(tmp_path / "groups.csv", "video,group", *rows)
    for settings in ({}, {"folds": 3, "fold": 1}):
        splits = by_split(root, groups=groups, **settings)
        split_of = {path: s for s in SPLITS for path in splits[s]}
        assert len(split_of) == 49 and len(set(split_of.values())) == 3
        for number in range(6):
            own = {
                split_of[f"{name}/{video}.mp4"]
                for name, count in COUNTS.items()
                for video in range(number, count, 6)
            }
            assert len(own) == 1


def test_videos_without_a_group_are_noted(root, tmp_path):
    rows = [f"jump/{number}.mp4,a" for number in range(29)]
    groups = write(tmp_path / "groups.csv", "video,group", *rows)
    data = DataConfig(root=str(root), groups=groups)
    (note,) = read("folder", data).notes
    assert "20 videos without a group" in note and "hop/0.mp4, ..." in note


def test_another_split_number_is_another_division(root):
    first, second = by_split(root), by_split(root, split=2)
    assert first["test"] != second["test"]
    assert list(class_counts(second["test"])) == [2, 4, 1]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"folds": 1}, "data.folds from 2. Received: 1"),
        ({"folds": 3, "fold": 3}, "data.fold from 0 to 2. Received: 3"),
        ({"fold": 1}, "Give both. Received: data.fold=1"),
        ({"folds": 50}, "number of groups, 49. Received: 50"),
        ({"split": 0}, "data.split from 1"),
    ],
)
def test_wrong_divisions_are_refused(root, settings, message):
    with pytest.raises(UserError, match=message):
        by_split(root, **settings)


@pytest.mark.parametrize(
    "rows, message",
    [
        (["jump/99.mp4,a"], ":2: expected the path of a video .*jump/99.mp4"),
        (["jump/1.mp4,"], ":2: expected one group of jump/1.mp4.*'none'"),
        (["jump/1.mp4,a", "jump/1.mp4,b"], ":3: .*'b' after 'a'"),
    ],
)
def test_wrong_groups_are_named_by_line(root, tmp_path, rows, message):
    groups = write(tmp_path / "groups.csv", "video,group", *rows)
    with pytest.raises(UserError, match=message):
        by_split(root, groups=groups)


def test_a_class_of_one_group_is_trained_on_but_in_no_folds(root, tmp_path):
    rows = [f"walk/{number}.mp4,anna" for number in range(7)]
    groups = write(tmp_path / "groups.csv", "video,group", *rows)
    assert class_counts(by_split(root, groups=groups)["train"])[2] == 7
    for fold in range(3):  # before any is trained
        with pytest.raises(UserError, match="none of walk"):
            by_split(root, groups=groups, folds=3, fold=fold)


def test_a_class_of_one_video_is_in_no_folds(root):
    touch(root / "rare one" / "0.mp4")
    with pytest.raises(UserError, match="none of rare one"):
        by_split(root, folds=3)
    touch(root / "rare one" / "1.mp4")
    assert "rare one" in str(by_split(root, folds=3, fold=2)["train"])


def test_folders_of_splits_are_not_divided_again(tmp_path):
    for path in ("train/a/1.mp4", "train/b/2.mp4", "val/a/3.mp4"):
        touch(tmp_path / path)
    with pytest.raises(UserError, match="splits are folders: train, val"):
        by_split(tmp_path, folds=2)
