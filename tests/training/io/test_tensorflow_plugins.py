"""tensorflow-io where it is absent or does not load; tests/io has the rest."""

import sys

import pytest

from training.io import tensorflow_plugins
from training.io.user_error import UserError


@pytest.fixture
def without_plugins(monkeypatch):
    """A TensorFlow that knows its own file systems only."""
    caches = (
        tensorflow_plugins._schemes,
        tensorflow_plugins._import_tensorflow_io,
        tensorflow_plugins.require_ffmpeg,
    )
    for cache in caches:
        cache.cache_clear()
    monkeypatch.setattr(
        tensorflow_plugins.tf.io.gfile,
        "get_registered_schemes",
        lambda: ["", "file"],
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


def test_local_paths_need_no_plugin(without_plugins):
    tensorflow_plugins.require("runs/a")


def test_without_tensorflow_io_the_error_says_what_to_install(
    without_plugins, monkeypatch
):
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    with pytest.raises(UserError) as error:
        tensorflow_plugins.require("s3://bucket/shards")
    for words in ("s3://", "2.16 and 2.17", "3.11 or 3.12", ".[io,url]"):
        assert words in str(error.value)
    assert "not installed" in str(error.value)


def test_half_working_tensorflow_io_is_an_error_and_no_warning(half_working):
    with pytest.raises(UserError, match="its native code does not load"):
        tensorflow_plugins.require("http://host/shard.tfrecord")


def test_half_working_ffmpeg_is_an_error_with_the_reason(half_working):
    with pytest.raises(UserError, match='undefined symbol: _ZN3tsl"?. It nee'):
        tensorflow_plugins.ffmpeg_decode(b"a video")


def test_ffmpeg_without_tensorflow_io(without_plugins, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    with pytest.raises(UserError, match="libavformat.so.58"):
        tensorflow_plugins.ffmpeg_decode(b"a video")
