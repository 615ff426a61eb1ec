"""Files that claim to be more than they are."""

import io
import os
import tempfile

import numpy as np
import pytest
from PIL import Image

from tests.training.data import films
from tests.training.data.test_clips import HEADERS, with_header
from training.page import app_upload
from training.page.app_upload import Refused


def gif(frames=3, size=(5, 7)):
    """A GIF of the smallest kind: its pictures are a few bytes each."""
    height, width = size
    screen = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    content = b"GIF89a" + screen + b"\x80\0\0" + bytes(6)
    picture = b",\0\0\0\0" + screen + b"\0" + b"\x02\x02\x44\x01\0"
    return content + frames * (b"!\xf9\x04\0\0\0\0\0" + picture) + b";"


def array(shape, stored=8):
    content = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(content, header)
    return content.getvalue() + bytes(stored)


def check(content, suffix):
    app_upload.check_content(io.BytesIO(content), suffix)


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("libx264", ".mp4"),
        ("libx264", ".mkv"),
        ("mpeg4", ".avi"),
        ("mpeg1video", ".mpg"),
        ("libx264", ".ts"),
        ("libx264", ".mov"),
        ("flv", ".flv"),
        ("wmv2", ".wmv"),
        ("libvpx", ".webm"),
    ],
)
def test_films_pass(codec, suffix, tmp_path):
    path = films.write_film(tmp_path / f"film{suffix}", 6, codec=codec)
    check(path.read_bytes(), suffix)


def test_a_gif_passes():
    rng = np.random.default_rng(0)
    pictures = [
        Image.fromarray(rng.integers(0, 256, (50, 70, 3), np.uint8))
        for _ in range(3)
    ]
    content = io.BytesIO()
    pictures[0].save(content, "GIF", save_all=True, append_images=pictures[1:])
    check(content.getvalue(), ".gif")
    # Its pictures are counted, or this would be within the bounds.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app_upload, "CLIP_BYTES", 3 * 50 * 70 * 3 - 1)
        with pytest.raises(Refused):
            check(content.getvalue(), ".gif")


@pytest.mark.parametrize(
    "content", [gif(size=(60_000, 60_000)), gif(frames=5000, size=(100, 100))]
)
def test_a_small_gif_of_gigabytes_is_refused(content):
    assert len(content) < 1 << 20
    with pytest.raises(Refused, match="at most 32 MB") as refused:
        check(content, ".gif")
    assert refused.value.status == 413


@pytest.mark.parametrize("cut", [0, 5, 12, 14, 30, 41])
def test_a_gif_that_ends_early_ends(cut):
    try:
        check(gif()[:cut], ".gif")
    except Refused as refused:
        assert refused.status == 415


@pytest.mark.parametrize(
    ("shape", "status"),
    [((10**6, 10**6), 413), ((1000,), 415), ((-1,), 415)],
)
def test_an_array_that_claims_more_than_it_holds_is_refused(shape, status):
    with pytest.raises(Refused) as refused:
        check(array(shape), ".npy")
    assert refused.value.status == status


def test_an_array_passes():
    check(array((2, 4)), ".npy")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"\x93NUMPY\x09\0abc"])
def test_an_array_that_is_none_is_refused(content):
    with pytest.raises(Refused, match="not a .npy"):
        check(content, ".npy")


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS.keys())
def test_arrays_with_odd_headers_are_refused_or_empty(header):
    try:
        check(with_header(header), ".npy")
    except Refused as refused:
        assert refused.status in (413, 415)
    else:  # of no bytes: what reads it refuses it
        assert b"(0," in header


def test_a_gif_passes_as_a_video_of_any_length():
    check(gif(frames=5000, size=(100, 100)), "")


def test_lists_of_other_files_do_not_pass():
    for content in (b"ffconcat version 1.0\n", b"#EXTM3U\n", b"v=0\r\n"):
        with pytest.raises(Refused, match="not a video"):
            check(content, "")


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where temporary files are made, by this test alone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def leftover(temporary):
    """The folder of a process that was killed while it kept a video."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        with app_upload.scratch(".mp4") as path:
            path.write_bytes(b"a video")
            os.write(writer, str(path).encode())
            os._exit(9)
    os.waitpid(child, 0)
    os.close(writer)
    with open(reader) as file:
        path = file.read()
    assert os.path.exists(path)
    return os.path.dirname(path)


def test_a_killed_app_s_video_is_deleted_by_the_next(leftover):
    app_upload.clear_leftovers()
    assert not os.path.exists(leftover)


def test_videos_of_other_apps_at_work_are_kept(temporary):
    with app_upload.scratch(".mp4") as path:
        path.write_bytes(b"a video")
        app_upload.clear_leftovers()
        assert path.read_bytes() == b"a video"
    assert not list(temporary.iterdir())


def test_folders_of_others_are_kept(temporary):
    (temporary / "theirs").mkdir()
    (temporary / "theirs" / "film.mp4").write_bytes(b"a video")
    (temporary / f"{app_upload.SCRATCH}link").symlink_to("theirs")
    folder = temporary / f"{app_upload.SCRATCH}other"
    folder.mkdir()
    (folder / "notes.txt").write_text("theirs")
    app_upload.clear_leftovers()
    assert (folder / "notes.txt").exists()
    assert (temporary / "theirs" / "film.mp4").exists()
