"""What is looked at when files, folders and URLs are named."""

import os

import pytest

from training import video_inputs
from training.data.folder import EXTENSIONS


def paths(*given):
    return [one.path for one in video_inputs.find(list(map(str, given)))]


def test_a_folder_is_all_videos_below_it(tmp_path):
    for number, extension in enumerate(EXTENSIONS):
        path = tmp_path / f"{number % 3}" / "deep" / f"é{extension.upper()}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name in ("a.txt", "b.npy", ".hidden.mp4", "mp4"):
        (tmp_path / name).touch()
    found = paths(tmp_path)
    assert len(found) == len(EXTENSIONS) and found == sorted(found)
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


@pytest.mark.parametrize("url", ["s4://bucket/a.mp4", "s4://bucket"])
def test_a_url_that_nothing_opens_is_bad(url):
    (one,) = video_inputs.find([url])
    assert "s4://" in one.reason


def test_a_folder_without_videos_is_bad(tmp_path):
    (tmp_path / "a.txt").touch()
    (one,) = video_inputs.find([str(tmp_path)])
    assert one.path == str(tmp_path) and "there is no video" in one.reason


def test_a_name_that_is_no_text_is_bad(tmp_path):
    name = os.fsdecode(bytes(tmp_path) + b"/\xff.mp4")
    open(name, "wb").close()
    (one,) = video_inputs.find([name])
    assert one.path.endswith("\ufffd.mp4") and "not UTF-8" in one.reason


@pytest.mark.parametrize(
    ("path", "is_clip"),
    [("a.NPY", True), ("http://h/a.gif?key=1.mp4", True), ("a.mp4", False)],
)
def test_clip_files_are_known_by_their_names(path, is_clip):
    assert video_inputs.Input(path).is_clip == is_clip
