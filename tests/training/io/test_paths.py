"""Local paths and URLs, the latter in memory; tests/io has s3:// and http://."""

import pathlib
import socket
import sys

import pytest

from training import evaluate
from training.io import cli, paths
from training.io.paths import UrlPath
from training.io.user_error import UserError


@pytest.fixture
def folder(memory_url):
    return UrlPath(memory_url)


@pytest.fixture
def closed_port():
    """A port of this machine on which nothing listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("s3://bucket/run", True),
        ("https://host/clip.npy", True),
        (UrlPath("memory://x"), True),
        ("runs/a", False),
        ("/runs/s3:/a", False),
        ("C:\\runs", False),
        (pathlib.Path("s3:/bucket"), False),
        ("", False),
    ],
)
def test_is_url(path, expected):
    assert paths.is_url(path) is expected


def test_local_paths_are_pathlib(tmp_path):
    assert paths.as_path(str(tmp_path)) == tmp_path
    assert isinstance(paths.as_path("runs/a"), pathlib.Path)


def test_urls_become_paths(memory_url):
    path = paths.as_path(memory_url)
    assert isinstance(path, UrlPath) and paths.as_path(path) is path


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


def test_open_does_not_take_a_url_for_a_local_name():
    with pytest.raises(TypeError):
        open(UrlPath("memory://x"))


def test_written_content_is_read(folder):
    path = folder / "a.txt"
    path.write_text("grün")
    assert path.read_text() == "grün"
    assert path.open("rb").read() == path.read_bytes() == "grün".encode()
    assert path.stat().st_size == 5


def test_open_files_of_one_url_are_independent(folder):
    (folder / "a").write_bytes(b"abc")
    with (folder / "a").open() as first, (folder / "a").open() as second:
        assert first.read(2) == second.read(2) == b"ab"


def test_fingerprint_changes_with_the_file(folder):
    prints = set()
    for content in (b"a", b"b"):
        (folder / "a").write_bytes(content)
        prints.add((folder / "a").fingerprint())
    assert len(prints) == 2


def test_files_and_folders_are_told_apart(folder):
    (folder / "file").write_bytes(b"x")
    listed = [folder, folder / "file", folder / "none"]
    assert [p.exists() for p in listed] == [True, True, False]
    assert [p.is_dir() for p in listed] == [True, False, False]
    assert [p.is_file() for p in listed] == [False, True, False]


def test_glob_and_iterdir_list_one_level_and_files_all(folder):
    for name in ("epoch_1/deep/a", "epoch_2/a", "notes"):
        (folder / name).write_bytes(b"x")
    assert {p.name for p in folder.iterdir()} == {"epoch_1", "epoch_2", "notes"}
    names = {p.name for p in folder.glob("epoch_*")}
    assert names == {"epoch_1", "epoch_2"}
    assert list((folder / "none").glob("*")) == []
    assert folder / "epoch_1/deep/a" in folder.files()


def test_mkdir_makes_folders_where_they_exist(folder):
    (folder / "a").mkdir(parents=True, exist_ok=True)
    (folder / "a").mkdir(parents=True, exist_ok=True)
    assert (folder / "a").is_dir()
    (folder / "a").rmtree()
    assert not (folder / "a").exists()


def test_removing_a_folder_leaves_others(folder):
    for name in ("1/a/b", "1/c", "10/a", "*/a"):
        (folder / name).write_bytes(b"x")
    (folder / "*").rmtree()
    (folder / "1").rmtree()
    (folder / "1").rmtree()
    (folder / "1" / "c").unlink(missing_ok=True)
    assert list(folder.files()) == [folder / "10/a"]


def test_copies_to_and_from_local_files(folder, tmp_path):
    content = bytes(range(256)) * 4099
    (tmp_path / "a").write_bytes(content)
    (folder / "b").upload(tmp_path / "a")
    (folder / "b").download(tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == content


@pytest.mark.parametrize("method", ["read_bytes", "unlink", "stat", "open"])
def test_missing_files_are_named(folder, method):
    with pytest.raises(FileNotFoundError) as error:
        getattr(folder / "none", method)()
    assert error.value.filename == str(folder / "none")


def test_a_local_file_is_its_own_copy(tmp_path):
    with paths.local_copy(tmp_path / "a.npy") as path:
        assert path == tmp_path / "a.npy"


def test_local_copies_have_the_name_and_are_deleted(folder):
    (folder / "w.pkl").write_bytes(b"content")
    with paths.local_copy(str(folder / "w.pkl")) as path:
        assert path.name == "w.pkl" and path.read_bytes() == b"content"
    assert not path.exists()


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("write_text", ["x"]),
        ("write_bytes", [b"x"]),
        ("mkdir", []),
        ("unlink", []),
        ("rmtree", []),
        ("upload", ["x"]),
        ("check_writable", []),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_web_servers_are_read_only(scheme, method, arguments):
    path = UrlPath(f"{scheme}://127.0.0.1:9/x")
    with pytest.raises(UserError, match=f"{scheme}:// is read-only"):
        getattr(path, method)(*arguments)


def test_web_servers_cannot_be_listed():
    with pytest.raises(UserError, match="cannot be listed"):
        list(UrlPath("http://127.0.0.1:9/models").glob("*"))


# fsspec keeps the packages that it has loaded: this one no other test uses.
@pytest.mark.parametrize("package", ["fsspec", "gcsfs"])
def test_a_missing_extra_is_named_in_one_line(package, monkeypatch, capsys):
    pytest.importorskip("fsspec")
    monkeypatch.setitem(sys.modules, package, None)
    code = cli.run(evaluate.main, ["--workdir=gs://bucket/run"])
    error = capsys.readouterr().err
    assert code == 2 and error.count("\n") == 1
    assert repr(package) in error and "[url]" in error


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s4://bucket/run", "Received: s4://bucket/run"),
        ("http://", "Expected a host or bucket"),
        ("file:///tmp/run", "local path without file://"),
    ],
)
def test_urls_that_cannot_be_opened(url, message):
    pytest.importorskip("fsspec")
    with pytest.raises(UserError, match=message):
        paths.as_path(url)


@pytest.mark.parametrize("method", ["exists", "is_file", "read_bytes"])
def test_an_unreachable_server_is_no_missing_file(method, closed_port):
    pytest.importorskip("aiohttp", reason="needs the extra url")
    path = paths.as_path(f"http://127.0.0.1:{closed_port}/a.npy")
    with pytest.raises(paths.UrlError, match=f"{path}: .*onnect"):
        getattr(path, method)()


def test_errors_of_any_filesystem_are_one_line(folder, monkeypatch, capsys):
    filesystem = type(folder._filesystem())

    def fail(*_, **__):
        raise RuntimeError("no answer")

    monkeypatch.setattr(filesystem, "info", fail)
    assert cli.run(evaluate.main, [f"--workdir={folder}"]) == 2
    error = capsys.readouterr().err
    assert error == f"error: {folder}/recipe.json: no answer\n"


def test_credentials_of_urls_are_hidden_in_errors(capsys):
    def fail(_):
        raise UserError(
            "No 'https://me:secret@host/a?key=secret' and s3://b/c "
            "(https://host/d.npy?X-Amz-Signature=secret): why?"
        )

    cli.run(fail)
    assert capsys.readouterr().err == (
        "error: No 'https://***@host/a?***' and s3://b/c "
        "(https://host/d.npy?***): why?\n"
    )
