"""What is looked at when files, folders and URLs are named."""

import os
import pathlib

import pytest

from training.data.video_names import ENDINGS
from training.prediction import video_inputs


def paths(*given):
    return [one.path for one in video_inputs.find(list(map(str, given)))]


def test_a_folder_is_all_videos_below_it(tmp_path):
    for number, extension in enumerate(ENDINGS):
        path = tmp_path / f"{number % 3}" / "deep" / f"é{extension.upper()}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name in ("a.txt", "b.npy", ".hidden.mp4", "mp4"):
        (tmp_path / name).touch()
    found = paths(tmp_path)
    assert len(found) == len(ENDINGS) and found == sorted(found)
    assert found[0].startswith(f"{tmp_path}/0/deep/é")


def test_a_file_is_taken_whatever_it_is_called(tmp_path):
    (tmp_path / "a.bin").touch()
    gone = tmp_path / "gone.mp4"
    assert paths(tmp_path / "a.bin", gone) == [f"{tmp_path}/a.bin", str(gone)]


def test_what_is_named_twice_is_looked_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a.mp4").touch()
    (tmp_path / "c.mp4").symlink_to("b/a.mp4")
    same = ("b/a.mp4", tmp_path / "b", "./b/../b/a.mp4", "c.mp4")
    assert paths(*same) == ["b/a.mp4"]
    url = "http://example.com/a.mp4"
    assert paths(url, url) == [url]


def test_links_are_followed_but_not_in_a_circle(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "back").symlink_to("..")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.mp4").touch()
    (tmp_path / "out" / "in").symlink_to("../in")
    (tmp_path / "in" / "link").symlink_to("../out")
    assert paths(tmp_path / "in") == [f"{tmp_path}/in/link/a.mp4"]


@pytest.mark.parametrize("url", ["s4://bucket/a.mp4", "s4://bucket"])
def test_a_url_that_nothing_opens_is_bad(url):
    (one,) = video_inputs.find([url])
    assert "s4://" in one.reason


def test_each_film_of_a_folder_is_looked_at_once(tmp_path, capsys):
    for name in ("a/1.mp4", "b/2.MTS", "__MACOSX/._1.mp4", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "up").symlink_to("..")
    os.link(tmp_path / "a" / "1.mp4", tmp_path / "b" / "1.mp4")
    assert paths(tmp_path) == [f"{tmp_path}/a/1.mp4", f"{tmp_path}/b/2.MTS"]
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        f"note: {tmp_path}: passed over 1 file that is no video: 1 .txt",
        f"note: {tmp_path}: links and second names left out, so that each file "
        "counts once: 2 (b/1.mp4 is a/1.mp4; a/up is a folder above it)",
    ]


def test_a_folder_without_videos_is_bad(tmp_path):
    (tmp_path / "a.txt").touch()
    (one,) = video_inputs.find([str(tmp_path)])
    assert one.path == str(tmp_path) and "there is no video" in one.reason


def test_a_path_that_may_not_be_looked_at_is_bad(monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pathlib.Path, "is_dir", refuse)
    (one,) = video_inputs.find(["a.mp4"])
    assert one.reason == "it cannot be read: Permission denied"


def test_what_is_bad_in_a_folder_does_not_hide_the_rest(
    tmp_path, locked_folders
):
    for name in ("a.mp4", "b/c.mp4", "b.mp4", "locked/d.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    open(os.fsencode(tmp_path) + b"/b/\xff.mp4", "wb").close()
    found = video_inputs.find([str(tmp_path)])
    names = ["a.mp4", "b/c.mp4", "b/\ufffd.mp4", "b.mp4", "locked"]
    assert [one.path for one in found] == [f"{tmp_path}/{n}" for n in names]
    good = [one.path for one in found if not one.reason]
    assert good == [f"{tmp_path}/{n}" for n in (names[0], names[1], names[3])]
    assert "Permission denied" in found[-1].reason


def test_a_name_that_is_no_text_is_bad(tmp_path):
    name = os.fsdecode(bytes(tmp_path) + b"/\xff.mp4")
    open(name, "wb").close()
    (one,) = video_inputs.find([name])
    assert one.path.endswith("\ufffd.mp4") and "not UTF-8" in one.reason
