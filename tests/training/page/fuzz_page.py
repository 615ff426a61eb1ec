"""Sends the page mutated uploads and questions, good ones between.

    python -m tests.training.page.fuzz_page --seconds 900

The server is in this process, on loopback. Each request must be answered, as
JSON or by a page, in time and without a failure of ours (HTTP 500); good ones
must be right, no file may stay, and memory must not grow without end. Cases
follow from the seed.
"""

import collections
import contextlib
import http.client
import io
import json
import pathlib
import resource
import socket
import tempfile
import time

import numpy as np
from PIL import Image

from tests import fuzzing, mutations
from tests.training import app_models
from tests.training.data import films
from training.page import app_server

MOST_S = 60.0  # for an answer
MOST_MB = 2000.0  # more than at the start
NAMES = ("f.mp4", "f.gif", "f.npy", "f.mkv", "f.avi", "f.webm")
PATHS = ("/about", "/progress", "/file", "/sample", "/clip", "/look", "/", "/x")


class Wrong(Exception):
    """A request was answered in another way than it should be."""


def good_uploads(folder: pathlib.Path) -> dict[str, bytes]:
    """Small files of all kinds that the page takes, by name."""
    pixels = np.random.default_rng(0).integers(0, 255, (4, 32, 32, 3))
    pixels = pixels.astype(np.uint8)
    array, gif = io.BytesIO(), io.BytesIO()
    np.save(array, pixels)
    first, *rest = (Image.fromarray(frame) for frame in pixels)
    first.save(gif, "GIF", save_all=True, append_images=rest)
    contents = {"f.npy": array.getvalue(), "f.gif": gif.getvalue()}
    for name, codec in (
        ("f.mp4", "libx264"),
        ("f.mkv", "mpeg4"),
        ("f.avi", "mpeg4"),
        ("f.webm", "libvpx"),
    ):
        path = films.write_film(folder / name, 7, codec=codec)
        contents[name] = path.read_bytes()
    return contents


def case(rng: np.random.Generator, server, uploads: dict, film: str) -> bytes:
    """A request, as bytes: something of a good one is changed."""
    names = list(uploads)
    name = names[int(rng.integers(len(names)))]
    path, body = "/file", uploads[name]
    kind = rng.integers(6)
    if kind in (0, 1, 2):
        kept = 12 if rng.random() < 0.7 else 0  # what it says that it is
        body = body[:kept] + mutations.of_bytes(rng, body[kept:])
    elif kind == 3:
        path = PATHS[int(rng.integers(2, len(PATHS)))]
        asked = {"film": film, "clip": 0, "frame": 1, "y": 5, "x": 7,
                 "block": "", "number": 0}  # fmt: skip
        content = mutations.of_json(rng, asked)
        body = json.dumps(content).encode()
        if rng.random() < 0.2:
            body = mutations.nested(rng)[:4096]
    elif kind == 4:
        path = PATHS[int(rng.integers(len(PATHS)))]
        body = b"{}"
    if rng.random() < 0.1:
        name = NAMES[int(rng.integers(len(NAMES)))]
    method = "POST" if rng.random() < 0.95 else "GET"
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {server.hosts[0]}\r\n"
        f"X-Token: {server.token}\r\nX-File-Name: {name}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    if kind == 5:
        head = mutations.of_bytes(rng, head)
    return head + body


def ask(server, request: bytes, hasty: bool) -> tuple[int, bytes]:
    """The status of the answer and its content; 0 where it is not read."""
    with socket.create_connection(server.server_address[:2], MOST_S) as talk:
        with contextlib.suppress(ConnectionError):
            talk.sendall(request)
        if hasty:
            return 0, b""
        answer = http.client.HTTPResponse(talk)
        try:
            answer.begin()
            return answer.status, answer.read()
        except (http.client.HTTPException, ConnectionError):
            return 0, b""


def check_good(server, uploads: dict) -> str:
    """Send a good clip; the identity of what is shown then.

    Raises:
        Wrong: it was not taken.
    """
    for _ in range(600):  # what was asked before may be at work
        answer, content = app_models.send(
            server, "/file", uploads["f.npy"], X_File_Name="f.npy"
        )
        if answer.status != 429:
            break
        time.sleep(0.1)
    if answer.status != 200 or len(content["classes"]) != 3:
        raise Wrong(f"a good clip: {answer.status} {content}")
    return content["film"]


def run(first: int, count: int, seconds: float) -> collections.Counter:
    """Try cases, so many or for so long; how they were answered.

    Raises:
        Wrong: one was not answered as it should be.
    """
    ended: collections.Counter = collections.Counter()
    until = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        uploads = good_uploads(pathlib.Path(folder))
        model = app_models.write_model(pathlib.Path(folder))
        scratch = pathlib.Path(folder) / "scratch"
        scratch.mkdir()
        before, tempfile.tempdir = tempfile.tempdir, str(scratch)
        silence_s, app_server.SILENCE_SECONDS = app_server.SILENCE_SECONDS, 1.0
        try:
            with app_models.running(model) as server:
                failures: list[str] = []
                server.handle_error = lambda *_: failures.append("raised")
                _try(server, uploads, range(first, first + count), until,
                     failures, ended)  # fmt: skip
                check_good(server, uploads)
            if list(scratch.iterdir()):
                raise Wrong(f"left behind: {list(scratch.iterdir())}")
        finally:
            tempfile.tempdir = before
            app_server.SILENCE_SECONDS = silence_s
    return ended


def _try(server, uploads, seeds, until, failures, ended) -> None:
    film = check_good(server, uploads)
    at_first_mb = _peak_mb()
    for seed in seeds:
        if time.monotonic() > until:
            return
        rng = np.random.default_rng(seed)
        if seed % 50 == 0:
            film = check_good(server, uploads)
        request = case(rng, server, uploads, film)
        begun = time.monotonic()
        status, content = ask(server, request, hasty=rng.random() < 0.05)
        if status == 500 or time.monotonic() - begun > MOST_S:
            raise Wrong(f"case {seed}: {status} {content[:300]!r}")
        if status >= 400 and content[:1] == b"{":
            error = json.loads(content)["error"]
            if not error.isprintable() or "/tmp" in error:
                raise Wrong(f"case {seed}: {error!r}")
        if _peak_mb() > at_first_mb + MOST_MB:
            raise Wrong(f"case {seed}: {_peak_mb():.0f} MB")
        ended[status] += 1
    if failures:
        raise Wrong(f"{len(failures)} requests raised")


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main() -> None:
    """Command line of this program."""
    fuzzing.main(__doc__, run, seconds=900)


if __name__ == "__main__":
    main()
