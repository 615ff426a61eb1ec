import pytest

from tests.training.data.fixtures import make, read, write
from training.data.manifest import Video
from training.io.user_error import UserError


def test_classes_of_version_2_are_in_the_order_of_labels(tmp_path):
    listing = read("ssv2", make("ssv2", tmp_path))
    assert listing.classes == (
        "Dropping something",
        "Holding something next to something",
    )


def test_template_of_version_2_is_a_class_without_its_brackets(tmp_path):
    listing = read("ssv2", make("ssv2", tmp_path))
    root = f"{tmp_path}/videos"
    assert listing.splits == {
        "train": [Video(f"{root}/78687.webm", (1,))],
        "validation": [Video(f"{root}/42326.webm", (0,))],
        "test": [Video(f"{root}/1420.webm")],
    }


@pytest.mark.parametrize(
    "text, error",
    [
        ["{}", "expected [{"],
        ["[3]", "entry 1: expected {"],
        ['[{"template": "Dropping [something]"}]', "entry 1: expected {"],
        [
            '[{"id": 3, "template": "Dropping [something]"}]',
            "Received: {'id': 3",
        ],
        ['[{"id": "3"}]', "entry 1: expected a class of"],
        ['[{"id": "3", "template": "Throwing [something]"}]', "Throwing some"],
        ['[{"id": "3", "template": ["Dropping something"]}]', "entry 1: exp"],
    ],
)
def test_malformed_entry_of_version_2_is_named(tmp_path, text, error):
    data = make("ssv2", tmp_path)
    path = write(tmp_path / "something-something-v2-validation.json", text)
    with pytest.raises(UserError) as caught:
        read("ssv2", data)
    assert str(caught.value).startswith(f"{path}: ")
    assert error in str(caught.value)


def test_frames_of_version_1(tmp_path):
    listing = read("ssv1", make("ssv1", tmp_path))
    root, name = f"{tmp_path}/videos", "{:05}.jpg"
    assert listing.classes[1] == "Dropping something, then leaving it"
    assert listing.splits == {
        "train": [Video(f"{root}/100218", (1,), frame_name=name)],
        "validation": [Video(f"{root}/24413", (0,), frame_name=name)],
        "test": [Video(f"{root}/1420", frame_name=name)],
    }


@pytest.mark.parametrize("line", ["3", "3;", "3;Throwing something"])
def test_malformed_line_of_version_1_is_named(tmp_path, line):
    data = make("ssv1", tmp_path)
    path = write(
        tmp_path / "something-something-v1-train.csv",
        "2;Holding something",
        line,
    )
    with pytest.raises(UserError) as caught:
        read("ssv1", data)
    assert str(caught.value).startswith(f"{path}:2: expected a class of ")


def test_duplicate_class_of_version_1_raises(tmp_path):
    data = make("ssv1", tmp_path)
    write(tmp_path / "something-something-v1-labels.csv", "Holding", "Holding")
    with pytest.raises(UserError, match=r"labels\.csv:2: .*again: 'Holding'"):
        read("ssv1", data)
