"""Files arrive whole and verified, or one line says why not."""

import contextlib
import errno
import hashlib
import http.client
import os
import subprocess
import sys
import threading
import time

import pytest

from nonlocal_tf.checkpoints import CheckpointError
from nonlocal_tf.pretrained import download
from tests.pretrained.file_server import send, serving

CONTENT = bytes(range(256)) * 50
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def redirect(place):
    def answer(handler):
        handler.send_response(302)
        handler.send_header("Location", place)
        handler.end_headers()

    return answer


def cut_in_chunks(handler):
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"1000\r\nabc")
    handler.close_connection = True


ANSWERS = {
    "/file": CONTENT,
    "/moved": redirect("/file"),
    "/elsewhere": redirect("http://localhost:1/file"),
    "/cut": lambda handler: send(handler, CONTENT, size=len(CONTENT) + 1),
    "/cut_in_chunks": cut_in_chunks,
    "/failing": lambda handler: handler.send_error(500, "Broken"),
    "/page": lambda handler: send(handler, b"Sign in", "text/html"),
    "/nameless_page": b"\n<!DOCTYPE html><html>Sign in</html>",
    "/empty": b"",
}


@pytest.fixture(scope="module")
def address():
    with serving(ANSWERS) as address:
        yield address


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "weights.pkl"


@pytest.mark.parametrize("name", ["file", "moved"])
def test_a_file_is_written(name, address, path):
    download.fetch(f"{address}/{name}", str(path), SHA256[:8])
    assert path.read_bytes() == CONTENT
    assert os.listdir(path.parent) == ["weights.pkl"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing", "the server answered 404 Not Found."),
        ("failing", "the server answered 500 Broken."),
        ("cut", "cut after 12800 of 12801 bytes"),
        ("cut_in_chunks", "the connection was cut"),
        ("page", "the server sent a web page"),
        ("nameless_page", "the server sent a web page"),
        ("empty", "it is empty"),
        ("elsewhere", "redirects elsewhere, to 'http://localhost:1/file'"),
    ],
)
def test_a_failure_is_one_line_and_leaves_nothing(name, reason, address, path):
    with pytest.raises(CheckpointError, match=reason) as error:
        download.fetch(f"{address}/{name}", str(path))
    assert "\n" not in str(error.value)
    assert f"put the file there yourself: {path}" in str(error.value)
    assert os.listdir(path.parent) == []


def test_another_digest_is_refused_and_can_be_tried_again(address, path):
    with pytest.raises(CheckpointError, match="does not begin with 00000000"):
        download.fetch(f"{address}/file", str(path), "00000000")
    assert os.listdir(path.parent) == []
    download.fetch(f"{address}/file", str(path), SHA256)
    assert path.read_bytes() == CONTENT


def test_a_cached_file_is_verified_and_kept(path):
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    closed = "http://127.0.0.1:1/file"
    download.fetch(closed, str(path), SHA256[:8])
    with pytest.raises(CheckpointError, match="Remove it to download"):
        download.fetch(closed, str(path), "00000000")
    assert path.read_bytes() == CONTENT


def test_a_server_that_does_not_answer_is_named(path):
    with pytest.raises(CheckpointError, match=r"127\.0\.0\.1:1/file was not"):
        download.fetch("http://127.0.0.1:1/file", str(path))


def test_a_disk_without_space_is_told_before_writing(
    address, path, monkeypatch
):
    usage = download.shutil.disk_usage("/")._replace(free=10)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(CheckpointError, match="no space for its 0 MB is left"):
        download.fetch(f"{address}/file", str(path))
    assert os.listdir(path.parent) == []


def test_a_disk_that_becomes_full_leaves_nothing(address, path, monkeypatch):
    def full(self, size):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(http.client.HTTPResponse, "read", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        download.fetch(f"{address}/file", str(path))
    assert os.listdir(path.parent) == []


def test_two_downloads_at_once(path):
    both = threading.Barrier(2, timeout=10)

    def answer(handler):
        both.wait()
        send(handler, CONTENT)

    with serving({"/file": answer}) as address:
        threads = [
            threading.Thread(
                target=download.fetch, args=(f"{address}/file", str(path))
            )
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert path.read_bytes() == CONTENT
    assert os.listdir(path.parent) == ["weights.pkl"]


def test_what_a_killed_process_left_is_removed(address, path):
    path.parent.mkdir()
    old, new = (
        path.with_name(f"weights.pkl.{name}.partial") for name in ("old", "new")
    )
    old.touch()
    new.touch()
    os.utime(old, (time.time() - 2 * download.ABANDONED_S,) * 2)
    download.fetch(f"{address}/file", str(path))
    assert sorted(os.listdir(path.parent)) == [path.name, new.name]


FETCH = """
import sys
from nonlocal_tf.pretrained import download
download.fetch(*sys.argv[1:])
"""


def fetching(address, path):
    """Start a process that downloads a file."""
    command = [sys.executable, "-c", FETCH, address, str(path), SHA256]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_killed_process_and_two_at_once_after_it(path):
    begun, waits = threading.Barrier(2, timeout=60), threading.Event()

    def slowly(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(CONTENT)))
        handler.end_headers()
        handler.wfile.write(CONTENT[:1000])
        handler.wfile.flush()
        begun.wait()
        waits.wait(60)
        with contextlib.suppress(ConnectionError):  # of the killed one
            handler.wfile.write(CONTENT[1000:])

    with serving({"/file": slowly}) as address:
        killed = fetching(f"{address}/file", path)
        begun.wait()
        deadline = time.monotonic() + 60
        while not os.listdir(path.parent) and time.monotonic() < deadline:
            time.sleep(0.01)
        killed.kill()
        killed.communicate()
        assert not path.exists()
        waits.set()
        # Each of these waits for the other's request.
        both = [fetching(f"{address}/file", path) for _ in range(2)]
        errors = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert path.read_bytes() == CONTENT
    # What the killed one left is removed an hour later.
    left = [p.name for p in path.parent.iterdir() if p != path]
    assert len(left) == 1 and left[0].endswith(".partial")
