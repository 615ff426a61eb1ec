"""Clips through tensorflow-io, whose FFmpeg few machines have."""

import io

import av
import numpy as np
import pytest

from tests.training.data.small_datasets import as_arrays, assert_equal, load
from training.data.clip_reader import VideoError
from training.data.data_config import DataConfig
from training.data.manifest import Video
from training.data.tensorflow_io_reader import TensorFlowIOReader
from training.io import tensorflow_plugins
from training.io.user_error import UserError


@pytest.fixture
def decoder(monkeypatch):
    """Stands in for it: decodes all of a file's bytes, or refuses them."""

    def decode(content):
        try:
            with av.open(io.BytesIO(content)) as container:
                frames = [*container.decode(video=0)]
        except av.error.FFmpegError as error:
            raise UserError(f"FFmpeg cannot decode this: {error}") from error
        return np.stack([f.to_ndarray(format="rgb24") for f in frames])

    monkeypatch.setattr(tensorflow_plugins, "require_ffmpeg", lambda: None)
    monkeypatch.setattr(tensorflow_plugins, "ffmpeg_decode", decode)


def test_clips_equal_those_of_pyav(tmp_path, monkeypatch, decoder):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ours = load(tmp_path)
    data = DataConfig(root=str(tmp_path / "data"), decoder="tensorflow_io")
    other = type(ours)(data, ours.sampling)
    for batches in (
        lambda dataset: dataset.train_batches(2, 0, 0, 4),
        lambda dataset: dataset.eval_batches("test"),
    ):
        assert_equal(as_arrays(batches(ours)), as_arrays(batches(other)))


def test_bad_files_have_reasons(tmp_path, decoder):
    (tmp_path / "text.mp4").write_text("hello")
    for name, reason in (
        ("text.mp4", "FFmpeg cannot decode"),
        ("none.mp4", "no such file"),
    ):
        with pytest.raises(VideoError, match=reason):
            TensorFlowIOReader().probe(Video(str(tmp_path / name)))


def test_missing_libraries_raise(tmp_path):
    try:
        tensorflow_plugins.require_ffmpeg()
    except UserError:
        pass
    else:
        pytest.skip("tensorflow-io's FFmpeg loads here")
    with pytest.raises(UserError, match="FFmpeg does not load"):
        load(tmp_path, decoder="tensorflow_io")


def test_unknown_decoder_raises(tmp_path):
    with pytest.raises(UserError, match="'decord'. Expected one of: pyav, t"):
        load(tmp_path, decoder="decord")
