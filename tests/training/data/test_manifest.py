import os

import pytest

from tests.training.data.fixtures import touch, write
from training.data import folder_paths, text_files, video_lists
from training.io.user_error import UserError


def test_lines_are_stripped_and_counted(tmp_path):
    path = write(tmp_path / "list.txt", "a 1", "", "  b 2")
    assert list(text_files.read_lines(path)) == [
        ("a 1", f"{path}:1"),
        ("b 2", f"{path}:3"),
    ]


def test_windows_line_ends_and_byte_order_mark_are_removed(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbfa 1\r\nb 2\r\n")
    lines = [line for line, _ in text_files.read_lines(tmp_path / "list.txt")]
    assert lines == ["a 1", "b 2"]


def test_byte_order_mark_within_a_file_is_removed(tmp_path):
    (tmp_path / "list.txt").write_bytes(2 * b"\xef\xbb\xbfa 1\n")
    lines = [line for line, _ in text_files.read_lines(tmp_path / "list.txt")]
    assert lines == ["a 1", "a 1"]


def test_carriage_returns_end_lines(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"a 1\rb 2\r\rc x\r")
    lines = list(text_files.read_lines(tmp_path / "list.txt"))
    assert [line for line, _ in lines] == ["a 1", "b 2", "c x"]
    assert lines[-1][1].endswith("list.txt:4")


@pytest.mark.parametrize("order", ["le", "be"])
def test_utf_16_with_byte_order_mark_is_read(tmp_path, order):
    text = "\ufeffä 1\r\nb 2\r\n".encode(f"utf-16-{order}")
    (tmp_path / "list.txt").write_bytes(text)
    lines = [line for line, _ in text_files.read_lines(tmp_path / "list.txt")]
    assert lines == ["ä 1", "b 2"]


def test_utf_16_without_byte_order_mark_raises(tmp_path):
    (tmp_path / "list.txt").write_bytes("a 1\n".encode("utf-16-le"))
    with pytest.raises(UserError, match="expected UTF-8 text; save it as such"):
        list(text_files.read_lines(tmp_path / "list.txt"))


def test_comments_are_skipped(tmp_path):
    path = write(tmp_path / "l.txt", "# of May", "#20_Rhythm_clap.avi 1", "#")
    lines = [line for line, _ in text_files.read_lines(path)]
    assert lines == ["#20_Rhythm_clap.avi 1"]


def test_separator_of_unicode_does_not_end_a_line(tmp_path):
    path = write(tmp_path / "list.txt", "a\u2028b 1", "c\x85d 2")
    assert len(list(text_files.read_lines(path))) == 2


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"There is no file .*list\.txt"):
        list(text_files.read_lines(tmp_path / "list.txt"))


def test_folder_as_a_list_raises(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        list(text_files.read_lines(tmp_path))


def test_text_in_another_encoding_is_refused_with_its_line(tmp_path):
    (tmp_path / "list.txt").write_bytes("a 1\nä 2\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"list\.txt:2: expected UTF-8"):
        list(text_files.read_lines(tmp_path / "list.txt"))


def test_table_reads_quoted_cells_over_lines(tmp_path):
    path = write(tmp_path / "t.csv", "id,text", '1,"a, ""b""', 'c"', "2,d")
    rows = list(text_files.read_table(path, ["id"], ["text"]))
    assert rows == [
        ({"id": "1", "text": 'a, "b"\nc'}, f"{path}:3"),
        ({"id": "2", "text": "d"}, f"{path}:4"),
    ]


def test_table_reads_windows_line_ends_and_a_mark(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfid,x\r\n1,2\r\n")
    ((row, _),) = text_files.read_table(tmp_path / "t.csv", ["id", "x"])
    assert row == {"id": "1", "x": "2"}


@pytest.mark.parametrize(
    "header",
    ["id", "id,time,lable", "id,time,id", ""],
    ids=["missing", "unknown", "twice", "empty"],
)
def test_table_with_wrong_header_raises(tmp_path, header):
    path = write(tmp_path / "t.csv", header)
    with pytest.raises(
        UserError,
        match=r"t\.csv:1: expected a header with id, time and optionally label",
    ):
        list(text_files.read_table(path, ["id", "time"], ["label"]))


def test_table_reads_lines_of_old_macs_and_empty_cells_at_their_end(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"id, x,\r1,2,\r \r3,,\r")
    rows = [
        row
        for row, _ in text_files.read_table(tmp_path / "t.csv", "id x".split())
    ]
    assert rows == [{"id": "1", "x": "2"}, {"id": "3", "x": ""}]


@pytest.mark.parametrize("row, cells", [["1", 1], ["1,2,3", 3]])
def test_table_row_of_wrong_length_raises(tmp_path, row, cells):
    path = write(tmp_path / "t.csv", "id,time", "1,2", row)
    with pytest.raises(
        UserError, match=rf"t\.csv:3: expected 2 cells\. Received: {cells}"
    ):
        list(text_files.read_table(path, ["id", "time"]))


def test_table_with_unterminated_quote_raises(tmp_path):
    path = write(tmp_path / "t.csv", "id,time", '1,"2')
    with pytest.raises(UserError, match=r"t\.csv:\d: "):
        list(text_files.read_table(path, ["id", "time"]))


@pytest.mark.parametrize("text", ["-1", "x", "", "1.0", "5", "٣"])
def test_malformed_label_raises(text):
    with pytest.raises(UserError, match=r"l:3: expected a label .* below 5"):
        video_lists.parse_label(text, 5, "l:3")


def test_decimal_label_suggests_a_whole_number():
    with pytest.raises(UserError, match="Write it as a whole number: 1$"):
        video_lists.parse_label("1.0", None, "l:3")


def test_labels_from_one_suggest_zero():
    with pytest.raises(UserError, match="below 5. Received: 5. .*from 1, sub"):
        video_lists.parse_label("5", 5, "l:3")


def test_label_is_parsed():
    assert video_lists.parse_label("4", 5, "l:3") == 4
    assert video_lists.parse_label("400", None, "l:3") == 400


@pytest.mark.parametrize("text", ["-1", "x", "", "nan", "inf", None])
def test_malformed_seconds_raise(text):
    with pytest.raises(UserError, match="l:3: expected seconds"):
        video_lists.parse_seconds(text, "l:3")


def test_relative_path_is_joined_to_the_root():
    assert folder_paths.join_path("r/", "a/b.mp4") == "r/a/b.mp4"
    assert (
        folder_paths.join_path("s3://bucket/r", "a.mp4")
        == "s3://bucket/r/a.mp4"
    )
    assert folder_paths.join_path("r", "/a/b.mp4") == "/a/b.mp4"
    assert (
        folder_paths.join_path("r", "s3://bucket/b.mp4") == "s3://bucket/b.mp4"
    )
    assert folder_paths.join_path("", "a/b.mp4") == "a/b.mp4"


def test_hidden_names_are_not_listed(tmp_path):
    for name in ("b/c.mp4", "a.mp4", ".hidden/d.mp4", "__MACOSX/e.mp4"):
        touch(tmp_path / name)
    assert folder_paths.list_folder(str(tmp_path)) == ["a.mp4", "b"]
    assert folder_paths.list_folders(str(tmp_path)) == ["b"]


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="There is no folder .*/nowhere"):
        folder_paths.list_folder(f"{tmp_path}/nowhere")


def test_fifo_raises(tmp_path):
    os.mkfifo(tmp_path / "list.csv")
    with pytest.raises(UserError, match="list.csv cannot be read: .* FIFO"):
        text_files.read_text(tmp_path / "list.csv")
