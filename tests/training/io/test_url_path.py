"""URLs, on TensorFlow's own ram://; tests/io has s3:// and http://."""

import itertools

import pytest

from training.io.url_path import UrlPath
from training.io.user_error import UserError

numbers = itertools.count()


@pytest.fixture
def folder():
    """An empty folder in memory, another one for each test."""
    folder = UrlPath(f"ram://test_url_path/{next(numbers)}")
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("url", "name", "suffix", "parent"),
    [
        ("s3://bucket/a/clip.NPY", "clip.NPY", ".NPY", "s3://bucket/a"),
        ("s3://bucket//run/", "run", "", "s3://bucket"),
        (
            "https://host/c.mp4?sign=a.b",
            "c.mp4?sign=a.b",
            ".mp4",
            "https://host",
        ),
        ("HTTP://host:8/x.tar.gz", "x.tar.gz", ".gz", "http://host:8"),
        ("s3://bucket", "bucket", "", "s3://"),
    ],
)
def test_parts_of_a_url(url, name, suffix, parent):
    path = UrlPath(url)
    assert (path.name, path.suffix, str(path.parent)) == (name, suffix, parent)


def test_names_are_joined_and_replaced():
    path = UrlPath("s3://bucket/run") / "checkpoints" / "epoch_0001"
    assert str(path) == "s3://bucket/run/checkpoints/epoch_0001"
    assert path.with_name("x") == UrlPath("s3://bucket/run/checkpoints/x")
    assert path != UrlPath("s3://bucket/run/checkpoints/epoch_0002")


def test_it_is_no_local_name():
    with pytest.raises(TypeError):
        open(UrlPath("ram://x"))


def test_what_was_written_is_read(folder):
    path = folder / "a.txt"
    path.write_text("grün")
    assert path.read_text() == "grün"
    assert path.read_bytes() == "grün".encode()
    assert path.open("rb").read() == "grün".encode()


def test_files_and_folders_are_told_apart(folder):
    (folder / "file").write_bytes(b"x")
    asked = [folder, folder / "file", folder / "none"]
    assert [p.exists() for p in asked] == [True, True, False]
    assert [p.is_dir() for p in asked] == [True, False, False]
    assert [p.is_file() for p in asked] == [False, True, False]


def test_glob_and_iterdir_see_one_level(folder):
    (folder / "epoch_1" / "deep").mkdir()
    (folder / "epoch_2").mkdir()
    (folder / "notes").write_bytes(b"x")
    assert {p.name for p in folder.iterdir()} == {"epoch_1", "epoch_2", "notes"}
    names = {p.name for p in folder.glob("epoch_*")}
    assert names == {"epoch_1", "epoch_2"}
    assert list((folder / "none").glob("*")) == []


def test_making_a_folder_twice_must_be_asked_for(folder):
    folder.mkdir(exist_ok=True)
    with pytest.raises(FileExistsError):
        folder.mkdir()


def test_removing(folder):
    (folder / "a" / "b").mkdir()
    (folder / "a" / "b" / "file").write_bytes(b"x")
    (folder / "file").write_bytes(b"x")
    (folder / "file").unlink()
    (folder / "file").unlink(missing_ok=True)
    (folder / "a").rmtree()
    assert list(folder.iterdir()) == []


def test_copies_to_and_from_local_files(folder, tmp_path):
    content = bytes(range(256)) * 4099  # more than TensorFlow copies at once
    (tmp_path / "a").write_bytes(content)
    (folder / "b").copy_from(tmp_path / "a")
    (folder / "b").copy_to(tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == content


@pytest.mark.parametrize("do", ["read_bytes", "unlink", "rmtree"])
def test_what_is_not_there_is_an_error_with_its_name(folder, do):
    with pytest.raises(FileNotFoundError) as error:
        getattr(folder / "none", do)()
    assert error.value.filename == str(folder / "none")


@pytest.mark.parametrize(
    ("do", "arguments"),
    [
        ("write_text", ["x"]),
        ("write_bytes", [b"x"]),
        ("mkdir", []),
        ("unlink", []),
        ("rmtree", []),
        ("copy_from", ["x"]),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_web_is_read_only(scheme, do, arguments):
    path = UrlPath(f"{scheme}://127.0.0.1:9/x")
    with pytest.raises(UserError, match=f"{scheme}:// is read-only"):
        getattr(path, do)(*arguments)


def test_the_web_cannot_be_listed():
    with pytest.raises(UserError, match="cannot be listed"):
        list(UrlPath("http://127.0.0.1:9/models").glob("*"))


def test_only_reading_opens():
    with pytest.raises(ValueError, match="mode='w'"):
        UrlPath("ram://x").open("w")
