import os
import pathlib

import numpy as np
import pytest

from tests.training.data import npy_headers
from training.data import clip_files
from training.io.user_error import UserError


def frames():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (3, 5, 7, 3)).astype("uint8")


def test_npy_gives_its_frames(tmp_path):
    np.save(tmp_path / "clip.npy", frames())
    np.testing.assert_array_equal(
        clip_files.read_clip(tmp_path / "clip.npy"), frames()
    )


def test_gif_gives_its_frames(tmp_path):
    image = pytest.importorskip("PIL.Image")
    # Flat frames: a GIF's palette of 256 colours keeps them exactly.
    flat = np.zeros((3, 5, 7, 3), "uint8")
    flat[0, ..., 0], flat[1, ..., 1], flat[2, ..., 2] = 250, 200, 150
    first, *rest = [image.fromarray(frame) for frame in flat]
    first.save(tmp_path / "clip.gif", save_all=True, append_images=rest)
    np.testing.assert_array_equal(
        clip_files.read_clip(tmp_path / "clip.gif"), flat
    )


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="There is no file .*clip.npy"):
        clip_files.read_clip(tmp_path / "clip.npy")


def test_unsupported_file_type_raises(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"x")
    with pytest.raises(UserError, match="Expected a clip as .npy or .gif"):
        clip_files.read_clip(tmp_path / "clip.mp4")


@pytest.mark.parametrize("name", ["clip.npy", "clip.gif"])
@pytest.mark.parametrize("content", [b"", b"not what it says", b"PK\3\4"])
def test_malformed_file_raises(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match="cannot be read as a"):
        clip_files.read_clip(tmp_path / name)


@pytest.mark.parametrize(
    "header", npy_headers.MALFORMED.values(), ids=npy_headers.MALFORMED.keys()
)
def test_malformed_npy_header_raises(tmp_path, header):
    (tmp_path / "clip.npy").write_bytes(npy_headers.file_with(header))
    with pytest.raises(UserError, match="cannot be read as a .npy clip"):
        clip_files.read_clip(tmp_path / "clip.npy")


def test_unreadable_file_is_named(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(13, "Permission denied")

    np.save(tmp_path / "clip.npy", frames())
    monkeypatch.setattr(pathlib.Path, "open", refuse)
    with pytest.raises(UserError, match="clip.npy cannot be .* denied"):
        clip_files.read_clip(tmp_path / "clip.npy")


def test_pickled_objects_raise(tmp_path):
    np.save(tmp_path / "clip.npy", np.array([{}], dtype=object))
    with pytest.raises(UserError, match="cannot be read"):
        clip_files.read_clip(tmp_path / "clip.npy")


def test_write_read_round_trip(tmp_path):
    clip_files.write_clip(tmp_path / "clip.npy", frames())
    np.testing.assert_array_equal(
        clip_files.read_clip(tmp_path / "clip.npy"), frames()
    )


def test_writing_another_extension_raises(tmp_path):
    with pytest.raises(UserError, match="file name"):
        clip_files.write_clip(tmp_path / "clip.gif", frames())


@pytest.mark.parametrize(
    "array", [frames().astype("float32"), np.zeros((2, 3), "uint8")]
)
def test_wrong_dtype_or_rank_raises(tmp_path, array):
    np.save(tmp_path / "clip.npy", array)
    with pytest.raises(UserError, match="to hold uint8 pixels"):
        clip_files.read_clip(tmp_path / "clip.npy")


@pytest.mark.parametrize(
    ("path", "videos", "expected"),
    [
        ("a.NPY", False, True),
        ("a.npy", True, True),
        ("http://h/a.gif?key=1.mp4", False, True),
        ("a.GIF", True, False),
        ("a.mp4", False, False),
    ],
)
def test_gif_is_a_clip_for_generated_data_only(path, videos, expected):
    assert clip_files.is_clip(path, videos) == expected


def test_fifo_raises(tmp_path):
    os.mkfifo(tmp_path / "a.npy")
    with pytest.raises(UserError, match="FIFO"):
        clip_files.read_clip(tmp_path / "a.npy")
