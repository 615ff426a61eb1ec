"""Changes of the training files of a run."""

import pytest

from training.data.data_files import DataFile
from training.io.user_error import UserError
from training.runs import training_files

FILES = [
    DataFile("jump/a.mp4", "jump", "3 frames"),
    DataFile('jump/"ü", b.mp4', "jump", "5 frames"),
    DataFile("walk/c.mp4", "walk", "7 frames"),
]


def moved(folder, rows=FILES):
    return [DataFile(f"{folder}/{r.name}", r.label, r.content) for r in rows]


def test_a_table_comes_back():
    text = training_files.to_csv(FILES)
    assert training_files.from_csv(text, "x.csv") == FILES


@pytest.mark.parametrize("text", ["", "a,b\n", "file,label,content\na,b\n"])
def test_a_damaged_table_is_named(text):
    with pytest.raises(UserError, match=r"x\.csv is damaged"):
        training_files.from_csv(text, "x.csv")


@pytest.mark.parametrize("rows", [FILES, moved("/new/place"), moved("b")])
def test_the_same_files_may_be_elsewhere(rows):
    assert training_files.differences(FILES, rows) == ""
    assert training_files.differences(moved("/old"), rows) == ""


def test_another_order_is_said():
    how = training_files.differences(FILES, FILES[::-1])
    assert how == "the same files come in another order"


def test_what_differs_is_counted_and_named():
    now = [
        *(DataFile(f"new{n}.mp4", "walk", "1 frames") for n in range(5)),
        DataFile("jump/a.mp4", "walk", "3 frames"),
        DataFile("walk/c.mp4", "walk", "8 frames"),
    ]
    assert training_files.differences(FILES, now) == (
        "added: 5 (new0.mp4, new1.mp4, new2.mp4 and 2 more); "
        'gone: 1 (jump/"ü", b.mp4); '
        "label changed: 1 (jump/a.mp4: jump, now walk); "
        "content changed: 1 (walk/c.mp4: 7 frames, now 8 frames)"
    )


def test_what_is_held_out_now_is_not_gone():
    now = [*FILES[1:], DataFile("jump/new.mp4", "jump", "3 frames")]
    how = training_files.differences(FILES, now, held_out=["jump/a.mp4"])
    assert how == ("added: 1 (jump/new.mp4); held out now: 1 (jump/a.mp4)")


def test_what_cannot_be_read_is_not_gone():
    how = training_files.differences(FILES, FILES[1:], ["/x/jump/a.mp4"])
    assert how == "cannot be read: 1 (jump/a.mp4)"


def test_a_file_that_is_listed_twice_counts_twice():
    how = training_files.differences(FILES, [*FILES, FILES[0]])
    assert how.startswith("label changed: 1 (jump/a.mp4: jump, now jump and")


def test_files_that_were_added_where_others_moved_are_named():
    rows = [*FILES, DataFile("walk/d.mp4", "walk", "9 frames")]
    how = training_files.differences(moved("/old"), moved("/new", rows))
    assert how == "added: 1 (walk/d.mp4)"
