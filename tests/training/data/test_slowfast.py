import pytest

from tests.training.data.fixtures import make, read, write
from training.data.listing import Video
from training.errors import UserError
from training.recipe import DataConfig


def test_lists_of_paths_and_labels(tmp_path):
    listing = read("slowfast", make("slowfast", tmp_path))
    root = tmp_path / "videos"
    assert listing.classes == ("0", "1", "2") and not listing.multi_label
    assert listing.splits == {
        "train": [
            Video(f"{root}/a/1.mp4", (0,)),
            Video(f"{root}/b/3.mp4", (2,)),
        ],
        "validation": [Video(f"{root}/a/two words.mp4", (0,))],
        "test": [
            Video(f"{root}/b/3.mp4", (2,)),
            Video(f"{root}/a/1.mp4", (0,)),
        ],
    }


@pytest.mark.parametrize("separator", [",", "\t", "::"])
def test_the_separator_is_a_setting(tmp_path, separator):
    path = write(tmp_path / "train.csv", f"s3://b/a, 1.mp4{separator}0")
    listing = read("slowfast", DataConfig(train=path, separator=separator))
    assert listing.splits["train"] == [Video("s3://b/a, 1.mp4", (0,))]


def test_lines_that_come_twice_are_kept(tmp_path):
    path = write(tmp_path / "train.csv", "a.mp4 0", "a.mp4 0")
    listing = read("slowfast", DataConfig(train=path))
    assert listing.splits["train"] == [Video("a.mp4", (0,))] * 2


def test_names_of_classes_are_of_a_file(tmp_path):
    data = DataConfig(
        validation=write(tmp_path / "val.csv", "a.mp4 1"),
        classes=write(tmp_path / "names.json", '{"yoga": 1, "run": 0}'),
    )
    assert read("slowfast", data).classes == ("run", "yoga")


@pytest.mark.parametrize(
    "line, error",
    [
        [
            "a.mp4",
            "t.csv:2: expected a path, ' ' and a label. Received: 'a.mp4'",
        ],
        ["a.mp4 x", "t.csv:2: expected a label from 0 below 2. Received: 'x'"],
        ["a.mp4 2", "t.csv:2: expected a label from 0 below 2. Received: 2"],
        [
            "a.mp4 -1",
            "t.csv:2: expected a label from 0 below 2. Received: '-1'",
        ],
    ],
)
def test_a_malformed_line_is_named(tmp_path, line, error):
    data = DataConfig(
        train=write(tmp_path / "t.csv", "b.mp4 0", line),
        classes=write(tmp_path / "names.txt", "run", "yoga"),
    )
    with pytest.raises(UserError) as caught:
        read("slowfast", data)
    assert str(caught.value) == f"{tmp_path}/{error}"


def test_a_label_that_training_lacks_is_refused(tmp_path):
    data = DataConfig(
        train=write(tmp_path / "t.csv", "a.mp4 0", "b.mp4 2"),
        validation=write(tmp_path / "v.csv", "c.mp4 2", "d.mp4 1"),
    )
    with pytest.raises(UserError, match=r"v\.csv:2: .*training list"):
        read("slowfast", data)


def test_no_separator_is_refused(tmp_path):
    data = DataConfig(train=write(tmp_path / "t.csv", "a 0"), separator="")
    with pytest.raises(UserError, match="Expected data.separator"):
        read("slowfast", data)
