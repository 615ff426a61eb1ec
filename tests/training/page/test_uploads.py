"""Checks of uploads: suffixes, decompression bombs, leftovers."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from tests.training.data import films, npy_headers
from training.page import uploads
from training.page.uploads import RequestError


def gif(frames=3, size=(5, 7)):
    """Encode the smallest possible GIF, a few bytes per image."""
    height, width = size
    screen = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    content = b"GIF89a" + screen + b"\x80\0\0" + bytes(6)
    image = b",\0\0\0\0" + screen + b"\0" + b"\x02\x02\x44\x01\0"
    return content + frames * (b"!\xf9\x04\0\0\0\0\0" + image) + b";"


def array(shape, stored=8):
    content = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(content, header)
    return content.getvalue() + bytes(stored)


def check(content, suffix):
    uploads.check_content(io.BytesIO(content), suffix)


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
def test_videos_are_accepted(codec, suffix, tmp_path):
    path = films.write_film(tmp_path / f"film{suffix}", 6, codec=codec)
    check(path.read_bytes(), suffix)


def test_gif_is_accepted_within_the_limit():
    rng = np.random.default_rng(0)
    images = [
        Image.fromarray(rng.integers(0, 256, (50, 70, 3), np.uint8))
        for _ in range(3)
    ]
    content = io.BytesIO()
    images[0].save(content, "GIF", save_all=True, append_images=images[1:])
    check(content.getvalue(), ".gif")
    # All images count, or this would be within the limit.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uploads, "CLIP_BYTES", 3 * 50 * 70 * 3 - 1)
        with pytest.raises(RequestError):
            check(content.getvalue(), ".gif")


@pytest.mark.parametrize(
    "content", [gif(size=(60_000, 60_000)), gif(frames=5000, size=(100, 100))]
)
def test_gif_bomb_is_refused(content):
    assert len(content) < 1 << 20
    with pytest.raises(RequestError, match="at most 32 MB") as refused:
        check(content, ".gif")
    assert refused.value.status == 413


@pytest.mark.parametrize("cut", [0, 5, 12, 14, 30, 41])
def test_truncated_gif_is_accepted_or_refused(cut):
    try:
        check(gif()[:cut], ".gif")
    except RequestError as refused:
        assert refused.status == 415


@pytest.mark.parametrize(
    ("shape", "status"),
    [((10**6, 10**6), 413), ((1000,), 415), ((-1,), 415)],
)
def test_array_smaller_than_its_header_claims_is_refused(shape, status):
    with pytest.raises(RequestError) as refused:
        check(array(shape), ".npy")
    assert refused.value.status == status


def test_array_is_accepted():
    check(array((2, 4)), ".npy")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"\x93NUMPY\x09\0abc"])
def test_invalid_array_is_refused(content):
    with pytest.raises(RequestError, match="not a .npy"):
        check(content, ".npy")


@pytest.mark.parametrize(
    "header", npy_headers.MALFORMED.values(), ids=npy_headers.MALFORMED.keys()
)
def test_arrays_with_odd_headers_are_refused_or_empty(header):
    try:
        check(npy_headers.file_with(header), ".npy")
    except RequestError as refused:
        assert refused.status in (413, 415)
    else:  # of no bytes: what reads it refuses it
        assert b"(0," in header


def test_gif_is_accepted_as_a_video_of_any_length():
    check(gif(frames=5000, size=(100, 100)), "")


def test_playlists_are_refused():
    for content in (b"ffconcat version 1.0\n", b"#EXTM3U\n", b"v=0\r\n"):
        with pytest.raises(RequestError, match="not a video"):
            check(content, "")


@pytest.fixture
def leftover(temporary_folder):
    """Folder of a process that was killed with an upload."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        with uploads.temporary_file(".mp4") as path:
            path.write_bytes(b"a video")
            os.write(writer, str(path).encode())
            os._exit(9)
    os.waitpid(child, 0)
    os.close(writer)
    with open(reader) as file:
        path = file.read()
    assert os.path.exists(path)
    return os.path.dirname(path)


def test_upload_of_a_killed_app_is_deleted(leftover):
    uploads.clear_leftovers()
    assert not os.path.exists(leftover)


def test_uploads_of_running_apps_are_kept(temporary_folder):
    with uploads.temporary_file(".mp4") as path:
        path.write_bytes(b"a video")
        uploads.clear_leftovers()
        assert path.read_bytes() == b"a video"
    assert not list(temporary_folder.iterdir())


def test_unrelated_folders_are_kept(temporary_folder):
    (temporary_folder / "theirs").mkdir()
    (temporary_folder / "theirs" / "film.mp4").write_bytes(b"a video")
    (temporary_folder / f"{uploads.SCRATCH}link").symlink_to("theirs")
    folder = temporary_folder / f"{uploads.SCRATCH}other"
    folder.mkdir()
    (folder / "notes.txt").write_text("theirs")
    uploads.clear_leftovers()
    assert (folder / "notes.txt").exists()
    assert (temporary_folder / "theirs" / "film.mp4").exists()
