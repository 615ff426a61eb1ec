import csv
import io
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.io import quoting, tables

ODD = "a\nRUN b\r\x85\u2028\x1b[0m'\\ `c` é \udcff"


def test_one_line_is_one_line():
    line = quoting.one_line(ODD)
    assert line.splitlines() == [line]
    assert line == r"a\nRUN b\r\x85\u2028\x1b[0m'\ `c` é \udcff"


@pytest.mark.parametrize("word", ["a b", "a\nb", "\t'x'\\n\n$(id)", "-x", ""])
def test_a_shell_reads_the_word_back(word):
    command = f"printf %s {quoting.shell(word)}"
    assert "\n" not in command
    read = subprocess.run(
        ["bash", "-c", command], check=True, capture_output=True, text=True
    )
    assert read.stdout == word


@pytest.mark.parametrize("text", ["a", "a`b", "``", "a\n```\nb"])
def test_inline_code_does_not_end_early(text):
    code = quoting.markdown_code(text)
    fence = code[: len(code) - len(code.lstrip("`"))]
    inside = code[len(fence) : -len(fence)]
    assert code.endswith(fence) and fence not in inside
    assert "\n" not in code


@pytest.mark.parametrize("name", ["a\rb", "a\nb", 'a"\r,b', "a,b"])
def test_rows_of_csv_are_read_back(name):
    rows = [["path", "n"], [name, "3"]]
    text = quoting.csv_text(rows)
    assert list(csv.reader(io.StringIO(text, newline=""))) == rows


def test_plain_rows_of_csv_have_no_quotes():
    assert quoting.csv_text([["a b", 2], [None, 0.5]]) == "a b,2\n,0.5\n"


@given(st.text())
def test_one_line_of_any_text_is_one_line(text):
    line = quoting.one_line(text)
    assert line.splitlines() in ([line], [])
    assert quoting.is_plain(line)


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], min_codepoint=1)))
def test_a_shell_reads_any_word_back(word):
    command = f"printf %s {quoting.shell(word)}".encode()
    assert len(command.decode().splitlines()) == 1
    read = subprocess.run(
        ["bash", "-c", command],
        check=True,
        capture_output=True,
        env={"LC_ALL": "C.UTF-8"},
    )
    assert read.stdout.decode() == word


@given(st.lists(st.lists(st.text(), min_size=2, max_size=2)))
def test_any_rows_of_csv_are_read_back(rows):
    text = quoting.csv_text(rows)
    assert list(csv.reader(io.StringIO(text, newline=""))) == rows


@pytest.mark.parametrize("form", [tables.render, tables.markdown])
def test_a_cell_of_a_table_is_in_one_row(form):
    rows = form([("a", "b"), (ODD, "c")]).splitlines()
    assert len(rows) == (2 if form is tables.render else 3)
    assert all(map(str.isprintable, rows))
