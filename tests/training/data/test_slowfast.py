import pytest

from tests.training.data.fixtures import make, read, write
from training.data.data_config import DataConfig
from training.data.manifest import Video
from training.io.user_error import UserError


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
def test_separator_is_a_setting(tmp_path, separator):
    path = write(tmp_path / "train.csv", f"s3://b/a, 1.mp4{separator}0")
    listing = read("slowfast", DataConfig(train=path, separator=separator))
    assert listing.splits["train"] == [Video("s3://b/a, 1.mp4", (0,))]


def test_repeated_lines_are_kept(tmp_path):
    path = write(tmp_path / "train.csv", "a.mp4 0", "a.mp4 0")
    listing = read("slowfast", DataConfig(train=path))
    assert listing.splits["train"] == [Video("a.mp4", (0,))] * 2


def test_class_names_from_a_file(tmp_path):
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
        ["a.mp4 3", "t.csv:2: expected a label from 0 below 2. Received: 3"],
        [
            "a.mp4 -1",
            "t.csv:2: expected a label from 0 below 2. Received: '-1'",
        ],
    ],
)
def test_malformed_line_is_named(tmp_path, line, error):
    data = DataConfig(
        train=write(tmp_path / "t.csv", "b.mp4 0", line),
        classes=write(tmp_path / "names.txt", "run", "yoga"),
    )
    with pytest.raises(UserError) as caught:
        read("slowfast", data)
    assert str(caught.value) == f"{tmp_path}/{error}"


def test_label_missing_in_training_raises(tmp_path):
    data = DataConfig(
        train=write(tmp_path / "t.csv", "a.mp4 0", "b.mp4 2"),
        validation=write(tmp_path / "v.csv", "c.mp4 2", "d.mp4 1"),
    )
    with pytest.raises(UserError, match=r"v\.csv:2: .*training list"):
        read("slowfast", data)


def test_empty_separator_raises(tmp_path):
    data = DataConfig(train=write(tmp_path / "t.csv", "a 0"), separator="")
    with pytest.raises(UserError, match="Expected data.separator"):
        read("slowfast", data)


@pytest.mark.parametrize(
    "separator, line",
    [
        [",", '"a, b.mp4",0'],
        [",", '"a, b.mp4","0",'],
        ["\\t", '"a, b.mp4"\t0'],
        [";", "a, b.mp4; 0;;"],
        [" ", '"a, b.mp4" 0'],
    ],
)
def test_quotes_and_trailing_separators_are_removed(tmp_path, separator, line):
    path = write(tmp_path / "train.csv", line)
    listing = read("slowfast", DataConfig(train=path, separator=separator))
    assert listing.splits["train"] == [Video("a, b.mp4", (0,))]


@pytest.mark.parametrize(
    "separator, line, setting",
    [
        [" ", "a.mp4,0", '","'],
        [" ", "my clip.mp4,0", '","'],
        [" ", "a.mp4, 0", '","'],
        [" ", "a.mp4\t0", r'"\t"'],
        [" ", "a.mp4;0", '";"'],
        [",", "a.mp4 0", '" "'],
        ["\t", "a.mp4,0", '","'],
        [" ", "path,label", '","'],
    ],
)
@pytest.mark.parametrize("name", ["slowfast", "nonlocal_net"])
def test_other_separator_suggests_the_setting(
    tmp_path, name, separator, line, setting
):
    path = write(tmp_path / "train.csv", line)
    with pytest.raises(UserError, match=r"train\.csv:1: expected") as caught:
        read(name, DataConfig(train=path, separator=separator))
    assert str(caught.value).endswith(f": --set data.separator={setting}")


@pytest.mark.parametrize("header", ["path label", '"video_path" "class_id"'])
def test_header_is_skipped(tmp_path, header):
    path = write(tmp_path / "train.csv", header, "a.mp4 0")
    listing = read("slowfast", DataConfig(train=path))
    assert listing.splits["train"] == [Video("a.mp4", (0,))]


@pytest.mark.parametrize("name", ["slowfast", "mmaction2"])
def test_label_before_the_path_raises(tmp_path, name):
    path = write(tmp_path / "train.csv", "a.mp4 0", "0 b.mp4")
    with pytest.raises(UserError, match=r"csv:2: .*The path comes first"):
        read(name, DataConfig(train=path))


def test_list_of_kinetics_suggests_its_data_set(tmp_path):
    header = "label,youtube_id,time_start,time_end,split"
    path = write(tmp_path / "train.csv", header, "yoga,Zz9,0,10,train")
    with pytest.raises(UserError, match=r"csv:1: .*--set dataset=kinetics$"):
        read("slowfast", DataConfig(train=path))


def test_backslashes_are_converted(tmp_path):
    path = write(tmp_path / "train.csv", r"dir\a.mp4 0")
    listing = read("slowfast", DataConfig(train=path, root="r"))
    assert listing.splits["train"] == [Video("r/dir/a.mp4", (0,))]


@pytest.mark.parametrize("start", ["C:\\", "D:/", "\\\\server\\"])
def test_windows_drive_raises(tmp_path, start):
    path = write(tmp_path / "train.csv", "b.mp4 0", f"{start}a.mp4 0")
    with pytest.raises(UserError, match=r"csv:2: expected a path of this mach"):
        read("slowfast", DataConfig(train=path))


def test_huge_label_raises(tmp_path):
    path = write(tmp_path / "train.csv", "a.mp4 0", "b.mp4 171234567")
    with pytest.raises(UserError, match=r"csv:2: .*Received: 171234567"):
        read("slowfast", DataConfig(train=path))
