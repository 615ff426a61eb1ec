"""Fuzz the app's server with mutated uploads and queries.

    python -m tests.training.page.fuzz_page --seconds 900

The server is in this process, on loopback. Each request must be answered, as
JSON or by a page, in time and without an internal error (HTTP 500). Valid
requests in between must succeed, no file may remain, and memory is bounded.
Cases follow from the seed.
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
from tests.training.data import films
from tests.training.page import app_models
from training.page import http_server

MOST_S = 60.0  # for an answer
MOST_MB = 2000.0  # more than at the start
NAMES = ("f.mp4", "f.gif", "f.npy", "f.mkv", "f.avi", "f.webm")
PATHS = ("/about", "/progress", "/file", "/sample", "/clip", "/look", "/", "/x")


class PageFault(Exception):
    """A response differs from the expected one."""


def good_uploads(folder: pathlib.Path) -> dict[str, bytes]:
    """Make small files of all supported formats, by name."""
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
    """Make a request by mutating a valid one."""
    names = list(uploads)
    name = names[int(rng.integers(len(names)))]
    path, body = "/file", uploads[name]
    kind = rng.integers(6)
    if kind in (0, 1, 2):
        kept = 12 if rng.random() < 0.7 else 0  # what it says that it is
        body = body[:kept] + mutations.of_bytes(rng, body[kept:])
    elif kind == 3:
        path = PATHS[int(rng.integers(2, len(PATHS)))]
        question = {"film": film, "clip": 0, "frame": 1, "y": 5, "x": 7,
                 "block": "", "number": 0}  # fmt: skip
        content = mutations.of_json(rng, question)
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
    """Return status and content of the response; 0 where it is not read."""
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
    """Send a valid clip; return the identifier of the opened video.

    Raises:
        PageFault: it was not accepted.
    """
    for _ in range(600):  # an earlier request may still be running
        answer, content = app_models.send(
            server, "/file", uploads["f.npy"], X_File_Name="f.npy"
        )
        if answer.status != 429:
            break
        time.sleep(0.1)
    if answer.status != 200 or len(content["classes"]) != 3:
        raise PageFault(f"a good clip: {answer.status} {content}")
    return content["film"]


def run(first: int, count: int, seconds: float) -> collections.Counter:
    """Send cases up to a number or a time; count the statuses.

    Raises:
        PageFault: a response differs from the expected one.
    """
    ended: collections.Counter = collections.Counter()
    until = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        uploads = good_uploads(pathlib.Path(folder))
        model = app_models.write_model(pathlib.Path(folder))
        scratch = pathlib.Path(folder) / "scratch"
        scratch.mkdir()
        before, tempfile.tempdir = tempfile.tempdir, str(scratch)
        silence_s, http_server.SILENCE_SECONDS = (
            http_server.SILENCE_SECONDS,
            1.0,
        )
        try:
            with app_models.running(model) as server:
                failures: list[str] = []
                server.handle_error = lambda *_: failures.append("raised")
                _send_cases(server, uploads, range(first, first + count), until,
                     failures, ended)  # fmt: skip
                check_good(server, uploads)
            if list(scratch.iterdir()):
                raise PageFault(f"left behind: {list(scratch.iterdir())}")
        finally:
            tempfile.tempdir = before
            http_server.SILENCE_SECONDS = silence_s
    return ended


def _send_cases(server, uploads, seeds, until, failures, ended) -> None:
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
            raise PageFault(f"case {seed}: {status} {content[:300]!r}")
        if status >= 400 and content[:1] == b"{":
            error = json.loads(content)["error"]
            if not error.isprintable() or "/tmp" in error:
                raise PageFault(f"case {seed}: {error!r}")
        if _peak_mb() > at_first_mb + MOST_MB:
            raise PageFault(f"case {seed}: {_peak_mb():.0f} MB")
        ended[status] += 1
    if failures:
        raise PageFault(f"{len(failures)} requests raised")


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main() -> None:
    """Command line of this program."""
    fuzzing.main(__doc__, run, seconds=900)


if __name__ == "__main__":
    main()
