"""Videos are told from other files by extension and content."""

import collections
import shutil

import pytest
from PIL import Image

from tests.training.data import films
from training.data import video_file_types


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return films.write_film(tmp_path_factory.mktemp("film") / "a.mkv", 5)


def sorted_out(folder):
    names = sorted(path.name for path in folder.iterdir())
    return video_file_types.sort_out(str(folder), names)


def write_images(path, count, kind):
    images = [Image.new("RGB", (17, 11), (40 * n, 0, 0)) for n in range(count)]
    images[0].save(path, kind, save_all=count > 1, append_images=images[1:])


def test_extensions_are_disjoint():
    assert not set(video_file_types.EXTENSIONS) & video_file_types.OTHERS
    assert not set(video_file_types.ANIMATED) & video_file_types.SETTLED


@pytest.mark.parametrize("name", ["film", "film.xyz", "film.2024-05-01"])
def test_unknown_extension_is_probed(tmp_path, film, name):
    shutil.copy(film, tmp_path / name)
    assert sorted_out(tmp_path) == ([name], {})


def test_probed_non_video_is_skipped(tmp_path):
    (tmp_path / "notes").write_text("ä text " * 999)
    (tmp_path / "empty.x").touch()
    (tmp_path / "random.x").write_bytes(bytes(range(256)) * 30)
    (tmp_path / "list").write_text("ffconcat version 1.0\nfile a.mkv\n")
    write_images(tmp_path / "image", 1, "PNG")
    films.write_sound(tmp_path / "a.m4a").rename(tmp_path / "sound")
    assert sorted_out(tmp_path) == ([], {"": 4, ".x": 2})


def test_images_within_a_file_are_not_a_video(tmp_path):
    """JPEGs within a file, as in warm-up requests of a SavedModel."""
    write_images(tmp_path / "image.jpg", 1, "JPEG")
    image = (tmp_path / "image.jpg").read_bytes()
    (tmp_path / "requests").write_bytes((b"\0head" + image) * 4)
    assert sorted_out(tmp_path)[0] == []


def test_damaged_file_with_a_video_extension_is_a_video(tmp_path):
    (tmp_path / "a.MTS").write_bytes(b"no film")
    assert sorted_out(tmp_path) == (["a.MTS"], {})


@pytest.mark.parametrize("kind", ["WEBP", "AVIF"])
def test_animated_images_are_videos(tmp_path, kind):
    write_images(tmp_path / f"moves.{kind}", 3, kind)
    write_images(tmp_path / f"still.{kind}", 1, kind)
    expected = [f"moves.{kind}"], {f".{kind.lower()}": 1}
    assert sorted_out(tmp_path) == expected


@pytest.mark.parametrize("name", ["a.webp", "b.avif"])
def test_video_with_an_image_extension_is_a_video(tmp_path, film, name):
    shutil.copy(film, tmp_path / name)
    assert sorted_out(tmp_path) == ([name], {})


def test_only_extensions_count_without_pyav(tmp_path, film, monkeypatch):
    shutil.copy(film, tmp_path / "film.xyz")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert sorted_out(tmp_path) == ([], {".xyz": 1})


def test_skipped_files_are_counted_by_extension():
    skipped = collections.Counter({".txt": 3, "": 1})
    assert video_file_types.skipped_note(skipped) == [
        "skipped 4 files without video content: 3 .txt, 1 without an extension"
    ]
    assert video_file_types.skipped_note(collections.Counter()) == []
