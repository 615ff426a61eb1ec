import pytest

from tests.training.data.fixtures import make, read, write
from training.data.data_config import DataConfig
from training.data.manifest import Video
from training.io.user_error import UserError

FORMATS = ["mmaction2", "mmaction2_frames", "mmaction2_frames_offset"]


def test_test_videos_may_lack_labels(tmp_path):
    listing = read("mmaction2", make("mmaction2", tmp_path))
    assert listing.classes == ("0", "1", "2") and listing.multi_label
    assert listing.splits == {
        "train": [
            Video(f"{tmp_path}/some/000.mp4", (1,)),
            Video(f"{tmp_path}/some/001.mp4", (0, 2)),
        ],
        "validation": [Video(f"{tmp_path}/some/002.mp4", (2,))],
        "test": [Video(f"{tmp_path}/some/000.mp4")],
    }


def test_frames_are_counted(tmp_path):
    listing = read("mmaction2_frames", make("mmaction2_frames", tmp_path))
    assert listing.splits["train"] == [
        Video(f"{tmp_path}/d-1", (1,), frames=3, frame_name="img_{:05}.jpg"),
        Video(f"{tmp_path}/d-2", (0,), frames=5, first_frame=1),
    ]
    assert not listing.multi_label


def test_offset_is_a_number_of_frames_before(tmp_path):
    name = "mmaction2_frames_offset"
    listing = read(name, make(name, tmp_path))
    assert listing.splits["train"] == [
        Video(f"{tmp_path}/d-1", (0,), frames=2, first_frame=1),
        Video(f"{tmp_path}/d-1", (1,), frames=5, first_frame=3),
    ]


def test_same_line_without_an_offset_has_two_labels(tmp_path):
    path = write(tmp_path / "t.txt", "d-1 2 5 1")
    listing = read("mmaction2_frames", DataConfig(train=path))
    (video,) = listing.splits["train"]
    assert (video.frames, video.labels, listing.multi_label) == (
        2,
        (5, 1),
        True,
    )


def test_repeated_label_counts_once(tmp_path):
    path = write(tmp_path / "t.txt", "a.mp4 1 1")
    listing = read("mmaction2", DataConfig(train=path))
    assert listing.splits["train"][0].labels == (1,)
    assert not listing.multi_label


def test_white_space_of_any_kind_is_a_space(tmp_path):
    path = write(tmp_path / "t.txt", "a.mp4  1\t2")
    listing = read("mmaction2", DataConfig(train=path))
    assert listing.splits["train"] == [Video("a.mp4", (1, 2))]


def test_another_delimiter_leaves_spaces_in_paths(tmp_path):
    path = write(tmp_path / "t.txt", "a b.mp4, 1")
    listing = read("mmaction2", DataConfig(train=path, separator=","))
    assert listing.splits["train"] == [Video("a b.mp4", (1,))]


def test_class_names_from_a_file(tmp_path):
    data = DataConfig(
        test=write(tmp_path / "t.txt", "a.mp4"),
        classes=write(tmp_path / "label_map.txt", "run", "yoga"),
    )
    assert read("mmaction2", data).classes == ("run", "yoga")


@pytest.mark.parametrize("name", FORMATS)
def test_label_without_a_name_raises(tmp_path, name):
    data = DataConfig(
        train=write(tmp_path / "t.txt", "a 1 1 1", "a 1 1 2"),
        classes=write(tmp_path / "label_map.txt", "run", "yoga"),
    )
    with pytest.raises(
        UserError, match=r"t\.txt:2: expected a label .*below 2"
    ):
        read(name, data)


@pytest.mark.parametrize(
    "name, line, error",
    [
        ["mmaction2", "a.mp4", "expected labels"],
        ["mmaction2", "a.mp4 x", "expected a label from 0. Received: 'x'"],
        ["mmaction2", "a.mp4,1", '--set data.separator=","'],
        ["mmaction2", "my clip.mp4;1", '--set data.separator=";"'],
        ["mmaction2_frames", "d", "expected 'path frames label'"],
        ["mmaction2_frames", "d 3", "expected labels"],
        ["mmaction2_frames", "d x 1", "expected labels"],
        ["mmaction2_frames", "d 1.5 1", "expected a number for frames"],
        ["mmaction2_frames", "d,3,1", '--set data.separator=","'],
        [
            "mmaction2_frames_offset",
            "d 1",
            "expected 'path offset frames label'",
        ],
        ["mmaction2_frames_offset", "d 1 3", "expected labels"],
        ["mmaction2_frames_offset", "d -1 3 0", "expected a number for offset"],
    ],
)
def test_malformed_line_is_named(tmp_path, name, line, error):
    path = write(tmp_path / "t.txt", "", line)
    with pytest.raises(UserError) as caught:
        read(name, DataConfig(train=path))
    assert str(caught.value).startswith(f"{path}:2: ")
    assert error in str(caught.value)


@pytest.mark.parametrize("name", FORMATS)
def test_empty_separator_raises(tmp_path, name):
    data = DataConfig(train=write(tmp_path / "t.txt", "a 0"), separator="")
    with pytest.raises(UserError, match="Expected data.separator"):
        read(name, data)


@pytest.mark.parametrize(
    "line, labels",
    [
        ["drinking (31).mp4 1", (1,)],
        ["drinking (31).mp4 1 0", (1, 0)],
        ['"drinking (31).mp4" 1', (1,)],
    ],
)
def test_path_may_have_spaces(tmp_path, line, labels):
    path = write(tmp_path / "t.txt", line)
    listing = read("mmaction2", DataConfig(train=path))
    assert listing.splits["train"] == [Video("drinking (31).mp4", labels)]


def test_path_without_labels_may_have_spaces(tmp_path):
    data = DataConfig(
        train=write(tmp_path / "t.txt", "my  clip 2.avi 0"),
        test=write(tmp_path / "s.txt", "2 clips 3.avi"),
    )
    splits = read("mmaction2", data).splits
    assert splits["train"][0].path == "my  clip 2.avi"
    assert splits["test"] == [Video("2 clips 3.avi")]


def test_folder_of_frames_may_have_spaces(tmp_path):
    path = write(tmp_path / "t.txt", "walking (2) slowly 163 1")
    listing = read("mmaction2_frames", DataConfig(train=path))
    assert listing.splits["train"] == [
        Video("walking (2) slowly", (1,), frames=163)
    ]


def test_paths_in_quotes_may_have_the_separator(tmp_path):
    path = write(tmp_path / "t.txt", '"a, b.mp4",0,2,')
    listing = read("mmaction2", DataConfig(train=path, separator=","))
    assert listing.splits["train"] == [Video("a, b.mp4", (0, 2))]


@pytest.mark.parametrize(
    ("name", "line", "frames", "labels"),
    [
        ("mmaction2", "walk 2 1", None, (1,)),
        ("mmaction2", "walk 2 1 3", None, (1, 3)),
        ("mmaction2_frames", "walk 2 4 1", 4, (1,)),
    ],
)
def test_path_that_exists_may_end_in_a_number(
    tmp_path, name, line, frames, labels
):
    (tmp_path / "walk 2").mkdir()
    path = write(tmp_path / "t.txt", line)
    listing = read(name, DataConfig(root=str(tmp_path), train=path))
    (video,) = listing.splits["train"]
    assert video.path == f"{tmp_path}/walk 2"
    assert (video.frames, video.labels) == (frames, labels)
