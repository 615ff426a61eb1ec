"""What holds with and without tensorflow-io; with it alone: tests/io."""

import pathlib
import socket
import sys

import pytest

from training import evaluate
from training.io import cli, remote
from training.io.url_path import UrlPath
from training.io.user_error import UserError


@pytest.fixture
def without_plugins(monkeypatch):
    """A TensorFlow that knows its own file systems only."""
    caches = (remote._schemes, remote._import_tensorflow_io, remote._ffmpeg)
    for cache in caches:
        cache.cache_clear()
    monkeypatch.setattr(
        remote.tf.io.gfile, "get_registered_schemes", lambda: ["", "file"]
    )
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.fixture
def half_working(without_plugins, monkeypatch, tmp_path):
    """A tensorflow_io as in TensorFlow 2.18 and later: it only warns."""
    package = tmp_path / "tensorflow_io"
    package.mkdir()
    (package / "__init__.py").write_text(
        "import warnings\n"
        "from tensorflow_io import experimental\n"
        "warnings.warn('file system plugins are not loaded: undefined symbol')"
    )
    (package / "experimental.py").write_text(
        "import warnings\n"
        "class ffmpeg:\n"
        "    def decode_video(content):\n"
        "        warnings.warn('could not load x.so: from paths x.so'\n"
        "            '\\ncaused by: [\"undefined symbol: _ZN3tsl\"]')\n"
        "        raise NotImplementedError('could not find ffmpeg')\n"
    )
    for name in [n for n in sys.modules if n.startswith("tensorflow_io")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("tensorflow_io", "tensorflow_io.experimental"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("s3://bucket/run", True),
        ("https://host/clip.npy", True),
        (UrlPath("ram://x"), True),
        ("runs/a", False),
        ("/runs/s3:/a", False),
        ("C:\\runs", False),
        (pathlib.Path("s3:/bucket"), False),
        ("", False),
    ],
)
def test_is_url(path, expected):
    assert remote.is_url(path) is expected


def test_local_paths_are_pathlib(tmp_path):
    assert remote.as_path(str(tmp_path)) == tmp_path
    assert isinstance(remote.as_path("runs/a"), pathlib.Path)


def test_urls_that_tensorflow_knows_are_paths():
    path = remote.as_path("ram://a/b")
    assert isinstance(path, UrlPath) and remote.as_path(path) is path


def test_without_tensorflow_io_it_says_what_to_install(
    without_plugins, monkeypatch
):
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    with pytest.raises(UserError) as error:
        remote.as_path("s3://bucket/run")
    for words in ("s3://", "2.16 and 2.17", "3.13", "constraints-tfio.txt"):
        assert words in str(error.value)
    assert "it is not there" in str(error.value)
    assert ".[io]" in str(error.value)


def test_half_working_tensorflow_io_is_an_error_and_no_warning(half_working):
    with pytest.raises(UserError, match="its native code does not load there"):
        remote.as_path("http://host/clip.npy")


def test_half_working_ffmpeg_is_an_error_that_says_why(half_working):
    with pytest.raises(UserError, match='undefined symbol: _ZN3tsl"?. It nee'):
        remote.ffmpeg_decode(b"a video")


def test_ffmpeg_without_tensorflow_io(without_plugins, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    with pytest.raises(UserError, match="libavformat.so.58"):
        remote.ffmpeg_decode(b"a video")


def test_a_command_says_it_in_one_line(without_plugins, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    code = cli.run(evaluate.main, ["--workdir=s3://bucket/run"])
    error = capsys.readouterr().err
    assert code == 2 and error.count("\n") == 1
    assert "cannot open s3://" in error


def test_other_schemes_are_named_where_it_works(monkeypatch):
    monkeypatch.setattr(remote, "_schemes", lambda: ("", "file", "s3"))
    with pytest.raises(UserError, match="one of file://, s3://. Received: s4"):
        remote.as_path("s4://bucket/run")


def test_a_url_names_a_host_or_bucket(monkeypatch):
    monkeypatch.setattr(remote, "_schemes", lambda: ("http",))
    with pytest.raises(UserError, match="Expected a host or bucket"):
        remote.as_path("http://")


def test_an_endpoint_that_does_not_answer_is_found_at_once(monkeypatch):
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setattr(remote, "_schemes", lambda: ("s3",))
        monkeypatch.setenv("S3_ENDPOINT", endpoint)
        with pytest.raises(UserError, match=f"{endpoint} does not answer"):
            remote.as_path("s3://of-nobody/run")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "https://s3.us-east-1.amazonaws.com"),
        ({"AWS_REGION": "eu-west-3"}, "https://s3.eu-west-3.amazonaws.com"),
        (
            {"AWS_REGION": "cn-north-1"},
            "https://s3.cn-north-1.amazonaws.com.cn",
        ),
        ({"S3_ENDPOINT": "store:9000"}, "https://store:9000"),
        (
            {"S3_ENDPOINT": "store:9000", "S3_USE_HTTPS": "0"},
            "http://store:9000",
        ),
        ({"S3_ENDPOINT": "http://store:9000/"}, "http://store:9000"),
    ],
)
def test_the_endpoint_is_that_of_the_environment(
    environment, expected, monkeypatch
):
    for name in ("AWS_REGION", "S3_ENDPOINT", "S3_USE_HTTPS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert remote._endpoint() == expected


def test_a_local_file_is_its_own_copy(tmp_path):
    with remote.local_copy(tmp_path / "a.npy") as path:
        assert path == tmp_path / "a.npy"


def test_a_url_is_copied_under_its_name_and_deleted():
    UrlPath("ram://test_remote").mkdir(exist_ok=True)
    UrlPath("ram://test_remote/w.pkl").write_bytes(b"content")
    with remote.local_copy("ram://test_remote/w.pkl") as path:
        assert path.name == "w.pkl" and path.read_bytes() == b"content"
    assert not path.exists()
