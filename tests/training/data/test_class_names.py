import pytest

from tests.training.data.fixtures import write
from training.data import class_names
from training.data.manifest import Video
from training.io.user_error import UserError


def test_text_file_has_one_name_per_line(tmp_path):
    path = write(tmp_path / "names.txt", "yoga", "air drumming")
    assert class_names.read_classes(path) == ("yoga", "air drumming")


@pytest.mark.parametrize("labels", [["0", "1"], ['"0"', '"1"']])
def test_json_names_are_sorted_by_label(tmp_path, labels):
    first, second = labels
    path = write(
        tmp_path / "names.json",
        rf'{{"\"petting cat\"": {second}, "yoga": {first}}}',
    )
    assert class_names.read_classes(path) == ("yoga", "petting cat")


@pytest.mark.parametrize(
    "text, error",
    [
        ["[]", 'expected {"class": label'],
        ["{", "is not JSON"],
        ["{}", "Expected class names"],
        ['{"a": 1, "b": 2}', "expected the labels 0 to 1, each once"],
        ['{"a": "x"}', "expected a label for 'a'. Received: 'x'"],
        ['{"a": true}', "expected a label for 'a'. Received: True"],
        ['{"a": 0, "b": 0}', "expected the labels 0 to 1, each once"],
        [r'{"a": 0, "\"a\"": 1}', "Received again: 'a'"],
    ],
)
def test_malformed_json_of_names_raises(tmp_path, text, error):
    path = write(tmp_path / "names.json", text)
    with pytest.raises(UserError) as caught:
        class_names.read_classes(path)
    assert error in str(caught.value) and path in str(caught.value)


def test_duplicate_name_raises(tmp_path):
    path = write(tmp_path / "names.txt", "yoga", "jump", "yoga")
    with pytest.raises(UserError, match=r"names\.txt:3: .*again: 'yoga'"):
        class_names.read_classes(path)


def test_empty_file_of_names_raises(tmp_path):
    with pytest.raises(UserError, match="Expected class names"):
        class_names.read_classes(write(tmp_path / "names.txt"))


def test_unnamed_classes_are_those_of_training():
    train = [(Video("a", (0,)), "t:1"), (Video("b", (3,)), "t:2")]
    test = [(Video("c", (3,)), "v:1"), (Video("d"), "v:2")]
    classes = class_names.numbered({"train": train, "test": test})
    assert classes == ("0", "1", "2", "3")


@pytest.mark.parametrize("label", [1, 4])
def test_label_missing_in_training_raises(label):
    train = [(Video("a", (0,)), "t:1"), (Video("b", (3,)), "t:2")]
    test = [(Video("c", (label,)), "v:7")]
    with pytest.raises(
        UserError, match=rf"v:7: expected a label of .*Received: {label}"
    ):
        class_names.numbered({"train": train, "test": test})


def test_no_names_and_no_labels_raise():
    with pytest.raises(UserError, match="--set data.classes=FILE"):
        class_names.numbered({"test": [(Video("a"), "t:1")]})
