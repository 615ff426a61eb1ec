import dataclasses

import pytest

from tests.training.data.fixtures import make, read, write
from training.data.manifest import Video
from training.io.user_error import UserError


def test_classes_are_sorted_by_name_and_not_by_file(tmp_path):
    listing = read("hmdb51", make("hmdb51", tmp_path))
    assert listing.classes == ("sword", "sword_exercise")


def test_codes_of_splits(tmp_path):
    listing = read("hmdb51", make("hmdb51", tmp_path))
    root = f"{tmp_path}/hmdb51_org"
    assert listing.splits == {
        "train": [
            Video(f"{root}/sword/a_#1_sword.avi", (0,)),
            Video(f"{root}/sword_exercise/a_#1_sword_exercise.avi", (1,)),
        ],
        "test": [
            Video(f"{root}/sword/b_#1_sword.avi", (0,)),
            Video(f"{root}/sword_exercise/b_#1_sword_exercise.avi", (1,)),
        ],
    }


@pytest.mark.parametrize("split, train", [[1, "a"], [2, "c"], [3, "b"]])
def test_each_split_has_its_lists(tmp_path, split, train):
    data = dataclasses.replace(make("hmdb51", tmp_path), split=split)
    video, _ = read("hmdb51", data).splits["train"]
    assert video.path.endswith(f"/{train}_#1_sword.avi")


@pytest.mark.parametrize("split", [0, 4])
def test_unknown_split_number_raises(tmp_path, split):
    data = dataclasses.replace(make("hmdb51", tmp_path), split=split)
    with pytest.raises(UserError, match="Expected data.split from 1 to 3"):
        read("hmdb51", data)


@pytest.mark.parametrize("line", ["a.avi", "a.avi 3", "a.avi x", "1"])
def test_malformed_line_is_named(tmp_path, line):
    data = make("hmdb51", tmp_path)
    path = write(
        tmp_path / "testTrainMulti_7030_splits" / "sword_test_split1.txt",
        "b.avi 1",
        line,
    )
    with pytest.raises(UserError) as caught:
        read("hmdb51", data)
    assert str(caught.value).startswith(f"{path}:2: expected 'VIDEO 0'")


def test_class_without_a_list_of_the_split_is_refused(tmp_path):
    data = make("hmdb51", tmp_path)
    (tmp_path / "testTrainMulti_7030_splits" / "sword_test_split1.txt").unlink()
    with pytest.raises(UserError, match=r"no file .*/sword_test_split1\.txt"):
        read("hmdb51", data)


def test_folder_without_lists_is_refused(tmp_path):
    data = dataclasses.replace(
        make("hmdb51", tmp_path), classes=str(tmp_path / "hmdb51_org")
    )
    with pytest.raises(
        UserError, match=r"Expected lists CLASS_test_split1\.txt"
    ):
        read("hmdb51", data)
