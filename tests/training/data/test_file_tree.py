"""Walking a folder visits each file and folder once."""

import os

import pytest

from tests.training.data.fixtures import touch
from training.data import file_tree
from training.io.paths import UrlPath
from training.io.user_error import UserError


def read(root):
    tree = file_tree.read(str(root))
    return tree.files, tree.duplicates


def test_paths_are_sorted_by_components(tmp_path):
    for name in ("b/c/2.mp4", "b/1.mp4", "b d/3.mp4", "a.mp4"):
        touch(tmp_path / name)
    (tmp_path / "empty").mkdir()
    tree = file_tree.read(f"{tmp_path}/")
    assert tree.folders == ["b", "b/c", "b d", "empty"]
    assert tree.files == ["a.mp4", "b/1.mp4", "b/c/2.mp4", "b d/3.mp4"]
    assert not tree.notes()


def test_cyclic_links_terminate(tmp_path):
    for number in range(20):
        touch(tmp_path / f"{number}" / "a.mp4")
        for other in range(20):
            target = f"../{other}"
            (tmp_path / f"{number}" / f"to{other}").symlink_to(target)
    files, again = read(tmp_path)
    assert len(files) == 20 and len(again) == 400


def test_links_to_other_places_are_followed(tmp_path):
    touch(tmp_path / "store" / "x" / "1.mp4")
    touch(tmp_path / "2.mp4")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a").symlink_to("../store")
    (tmp_path / "root" / "b.mp4").symlink_to("../2.mp4")
    assert read(tmp_path / "root") == (["a/x/1.mp4", "b.mp4"], {})


def test_link_above_the_root_is_skipped(tmp_path):
    touch(tmp_path / "other" / "1.mp4")
    touch(tmp_path / "root" / "a" / "2.mp4")
    (tmp_path / "root" / "a" / "up").symlink_to("../..")
    assert read(tmp_path / "root") == (
        ["a/2.mp4"],
        {"a/up": file_tree.PARENT},
    )


def test_link_back_from_outside_is_skipped(tmp_path):
    touch(tmp_path / "root" / "a" / "1.mp4")
    touch(tmp_path / "store" / "2.mp4")
    (tmp_path / "store" / "back").symlink_to("../root")
    (tmp_path / "root" / "b").symlink_to("../store")
    assert read(tmp_path / "root") == (
        ["a/1.mp4", "b/2.mp4"],
        {"b/back": "the whole folder"},
    )


def test_file_precedes_links_to_it(tmp_path):
    touch(tmp_path / "z" / "1.mp4")
    (tmp_path / "a.mp4").symlink_to("z/1.mp4")
    os.link(tmp_path / "z" / "1.mp4", tmp_path / "z" / "2.mp4")
    assert read(tmp_path) == (
        ["z/1.mp4"],
        {"a.mp4": "z/1.mp4", "z/2.mp4": "z/1.mp4"},
    )


def test_broken_links_are_files(tmp_path):
    (tmp_path / "gone.mp4").symlink_to("nowhere")
    (tmp_path / "self.mp4").symlink_to("self.mp4")
    assert read(tmp_path) == (["gone.mp4", "self.mp4"], {})


def test_pipes_are_skipped(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").symlink_to("a.mp4")
    tree = file_tree.read(str(tmp_path))
    assert not tree.files and tree.special == ["a.mp4", "b.mp4"]
    assert "pipes, sockets or devices: a.mp4; b.mp4" in tree.notes()[0]


def test_folder_that_cannot_be_listed_is_an_error(tmp_path, locked_folders):
    (tmp_path / "locked").mkdir()
    with pytest.raises(UserError, match="/locked cannot be listed: Permission"):
        file_tree.read(str(tmp_path))


def test_tree_at_a_url(memory_url):
    for name in ("b/2.mp4", "a.mp4", "b/.c.mp4", "b/__MACOSX/d.mp4"):
        (UrlPath(memory_url) / name).write_text("x")
    tree = file_tree.read(memory_url)
    assert (tree.folders, tree.files) == (["b"], ["a.mp4", "b/2.mp4"])
