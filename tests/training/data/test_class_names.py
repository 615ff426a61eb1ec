import pytest

from tests.training.data.fixtures import write
from training.data import class_names
from training.data.manifest import Video
from training.io.user_error import UserError


def test_names_are_one_a_line(tmp_path):
    path = write(tmp_path / "names.txt", "yoga", "air drumming")
    assert class_names.read_classes(path) == ("yoga", "air drumming")


@pytest.mark.parametrize("labels", [["0", "1"], ['"0"', '"1"']])
def test_names_of_json_are_in_the_order_of_labels(tmp_path, labels):
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
def test_json_that_is_no_table_of_names_is_refused(tmp_path, text, error):
    path = write(tmp_path / "names.json", text)
    with pytest.raises(UserError) as caught:
        class_names.read_classes(path)
    assert error in str(caught.value) and path in str(caught.value)


def test_a_name_that_comes_twice_is_refused(tmp_path):
    path = write(tmp_path / "names.txt", "yoga", "jump", "yoga")
    with pytest.raises(UserError, match=r"names\.txt:3: .*again: 'yoga'"):
        class_names.read_classes(path)


def test_an_empty_file_of_names_is_refused(tmp_path):
    with pytest.raises(UserError, match="Expected class names"):
        class_names.read_classes(write(tmp_path / "names.txt"))


def test_without_names_there_are_as_many_as_training_has():
    train = [(Video("a", (0,)), "t:1"), (Video("b", (3,)), "t:2")]
    test = [(Video("c", (3,)), "v:1"), (Video("d"), "v:2")]
    found = class_names.numbered({"train": train, "test": test})
    assert found == ("0", "1", "2", "3")


@pytest.mark.parametrize("label", [1, 4])
def test_a_label_that_training_lacks_is_refused(label):
    train = [(Video("a", (0,)), "t:1"), (Video("b", (3,)), "t:2")]
    test = [(Video("c", (label,)), "v:7")]
    with pytest.raises(
        UserError, match=rf"v:7: expected a label of .*Received: {label}"
    ):
        class_names.numbered({"train": train, "test": test})


def test_without_names_and_labels_names_are_asked_for():
    with pytest.raises(UserError, match="--set data.classes=FILE"):
        class_names.numbered({"test": [(Video("a"), "t:1")]})
