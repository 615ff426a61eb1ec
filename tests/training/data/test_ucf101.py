import dataclasses

import pytest

from tests.training.data.fixtures import make, read, write
from training.data.manifest import Video
from training.io.user_error import UserError


def test_labels_are_shifted_to_zero(tmp_path):
    listing = read("ucf101", make("ucf101", tmp_path))
    root = f"{tmp_path}/UCF-101"
    assert listing.classes == ("ApplyEyeMakeup", "YoYo", "Archery")
    assert listing.splits["train"] == [
        Video(f"{root}/YoYo/v_YoYo_g02_c01.avi", (1,)),
        Video(f"{root}/ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c02.avi", (0,)),
    ]


def test_test_labels_come_from_folders(tmp_path):
    listing = read("ucf101", make("ucf101", tmp_path))
    assert set(listing.splits) == {"train", "test"}
    assert listing.splits["test"] == [
        Video(f"{tmp_path}/UCF-101/YoYo/v_YoYo_g02_c01.avi", (1,))
    ]


@pytest.mark.parametrize("split", [1, 2, 3])
def test_each_split_has_its_lists(tmp_path, split):
    data = dataclasses.replace(make("ucf101", tmp_path), split=split)
    (video,) = read("ucf101", data).splits["test"]
    assert video.path.endswith(f"v_YoYo_g0{split}_c01.avi")


@pytest.mark.parametrize("split", [0, 4])
def test_unknown_split_number_raises(tmp_path, split):
    data = dataclasses.replace(make("ucf101", tmp_path), split=split)
    with pytest.raises(UserError, match="Expected data.split from 1 to 3"):
        read("ucf101", data)


@pytest.mark.parametrize(
    "file, line, error",
    [
        ["classInd.txt", "0 YoYo", "expected '1 CLASS'. Received: '0 YoYo'"],
        ["classInd.txt", "YoYo", "expected '1 CLASS'. Received: 'YoYo'"],
        ["trainlist02.txt", "YoYo/a.avi", "a label from 1 to 3"],
        ["trainlist02.txt", "YoYo/a.avi 0", "a label from 1 to 3"],
        ["trainlist02.txt", "YoYo/a.avi 4", "a label from 1 to 3"],
        ["testlist02.txt", "Yoyo/a.avi", "Received: 'Yoyo'"],
        ["testlist02.txt", "a.avi", "Received: ''"],
    ],
)
def test_malformed_line_is_named(tmp_path, file, line, error):
    data = make("ucf101", tmp_path)
    path = write(tmp_path / "ucfTrainTestlist" / file, line)
    with pytest.raises(UserError) as caught:
        read("ucf101", data)
    assert str(caught.value).startswith(f"{path}:1: ")
    assert error in str(caught.value)


def test_missing_list_is_named(tmp_path):
    data = make("ucf101", tmp_path)
    (tmp_path / "ucfTrainTestlist" / "testlist02.txt").unlink()
    with pytest.raises(UserError, match=r"There is no file .*testlist02\.txt"):
        read("ucf101", data)


def test_duplicate_class_raises(tmp_path):
    data = make("ucf101", tmp_path)
    write(tmp_path / "ucfTrainTestlist" / "classInd.txt", "1 YoYo", "2 YoYo")
    with pytest.raises(UserError, match=r"classInd\.txt:2: .*again: 'YoYo'"):
        read("ucf101", data)


def test_tabs_and_back_slashes_are_read(tmp_path):
    data = make("ucf101", tmp_path)
    lists = tmp_path / "ucfTrainTestlist"
    write(lists / "classInd.txt", "1\tApplyEyeMakeup", "2\tYoYo")
    write(lists / "trainlist02.txt", "YoYo\\a.avi\t2")
    write(lists / "testlist02.txt", "YoYo\\b.avi")
    splits = read("ucf101", data).splits
    root = f"{tmp_path}/UCF-101/YoYo"
    assert splits["train"] == [Video(f"{root}/a.avi", (1,))]
    assert splits["test"] == [Video(f"{root}/b.avi", (1,))]
