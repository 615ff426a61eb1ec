"""Inputs among files, folders and URLs."""

import os
import pathlib

import pytest

from training.data.video_file_types import EXTENSIONS
from training.prediction import video_inputs


def paths(*inputs):
    return [
        source.path
        for source in video_inputs.list_inputs(list(map(str, inputs)))
    ]


def test_folder_is_searched_recursively(tmp_path):
    for number, extension in enumerate(EXTENSIONS):
        path = tmp_path / f"{number % 3}" / "deep" / f"é{extension.upper()}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name in ("a.txt", "b.npy", ".hidden.mp4", "mp4"):
        (tmp_path / name).touch()
    listed = paths(tmp_path)
    assert len(listed) == len(EXTENSIONS) and listed == sorted(listed)
    assert listed[0].startswith(f"{tmp_path}/0/deep/é")


def test_file_is_listed_whatever_its_suffix(tmp_path):
    (tmp_path / "a.bin").touch()
    missing = tmp_path / "gone.mp4"
    assert paths(tmp_path / "a.bin", missing) == [
        f"{tmp_path}/a.bin",
        str(missing),
    ]


def test_duplicates_are_removed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a.mp4").touch()
    (tmp_path / "c.mp4").symlink_to("b/a.mp4")
    same = ("b/a.mp4", tmp_path / "b", "./b/../b/a.mp4", "c.mp4")
    assert paths(*same) == ["b/a.mp4"]
    url = "http://example.com/a.mp4"
    assert paths(url, url) == [url]


def test_links_are_followed_without_cycles(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "back").symlink_to("..")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.mp4").touch()
    (tmp_path / "out" / "in").symlink_to("../in")
    (tmp_path / "in" / "link").symlink_to("../out")
    assert paths(tmp_path / "in") == [f"{tmp_path}/in/link/a.mp4"]


@pytest.mark.parametrize("url", ["s4://bucket/a.mp4", "s4://bucket"])
def test_url_of_unknown_scheme_is_an_error(url):
    (source,) = video_inputs.list_inputs([url])
    assert "s4://" in source.reason


def test_each_film_of_a_folder_is_looked_at_once(tmp_path, capsys):
    for name in ("a/1.mp4", "b/2.MTS", "__MACOSX/._1.mp4", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "up").symlink_to("..")
    os.link(tmp_path / "a" / "1.mp4", tmp_path / "b" / "1.mp4")
    assert paths(tmp_path) == [f"{tmp_path}/a/1.mp4", f"{tmp_path}/b/2.MTS"]
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        f"note: {tmp_path}: skipped 1 file without video content: 1 .txt",
        f"note: {tmp_path}: skipped links and hard links to files "
        "already counted: 2 (b/1.mp4 is a/1.mp4; a/up is a parent folder)",
    ]


def test_a_folder_without_videos_is_bad(tmp_path):
    (tmp_path / "a.txt").touch()
    (source,) = video_inputs.list_inputs([str(tmp_path)])
    assert source.path == str(tmp_path) and "there is no video" in source.reason


def test_missing_permission_is_an_error(monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pathlib.Path, "is_dir", refuse)
    (source,) = video_inputs.list_inputs(["a.mp4"])
    assert source.reason == "it cannot be read: Permission denied"


def test_unreadable_entries_of_a_folder_do_not_hide_others(
    tmp_path, locked_folders
):
    for name in ("a.mp4", "b/c.mp4", "b.mp4", "locked/d.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    open(os.fsencode(tmp_path) + b"/b/\xff.mp4", "wb").close()
    inputs = video_inputs.list_inputs([str(tmp_path)])
    names = ["a.mp4", "b/c.mp4", "b/\ufffd.mp4", "b.mp4", "locked"]
    assert [source.path for source in inputs] == [
        f"{tmp_path}/{n}" for n in names
    ]
    good = [source.path for source in inputs if not source.reason]
    assert good == [f"{tmp_path}/{n}" for n in (names[0], names[1], names[3])]
    assert "Permission denied" in inputs[-1].reason


def test_name_that_is_not_utf8_is_an_error(tmp_path):
    name = os.fsdecode(bytes(tmp_path) + b"/\xff.mp4")
    open(name, "wb").close()
    (source,) = video_inputs.list_inputs([name])
    assert source.path.endswith("\ufffd.mp4") and "not UTF-8" in source.reason
