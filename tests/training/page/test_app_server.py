"""What the app's server does not let others do."""

import contextlib
import http.client
import os
import re
import socket
import struct
import tempfile
import time

import pytest

from tests.training import app_models
from tests.training.app_models import raw, send, upload
from training.page import app_server, app_upload

GB = 1 << 30


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    model = app_models.write_model(tmp_path_factory.mktemp("models"))
    with app_models.running(model) as server:
        yield server


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """Where temporary files are made, by this test alone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_listens_to_this_machine_alone(server):
    assert server.socket.getsockname()[0] == "127.0.0.1"


def test_the_page_allows_its_own_script_alone(server):
    answer, page = send(server, "/", method="GET", token=False)
    policy = answer.headers["Content-Security-Policy"]
    (nonce,) = set(re.findall("nonce-([^']+)'", policy))
    text = page.decode()
    assert text.count(f'nonce="{nonce}"') == 2 and server.token in text
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Python" not in answer.headers["Server"]
    _, again = send(server, "/", method="GET", token=False)
    assert nonce not in again.decode()


def test_the_page_loads_nothing_from_elsewhere():
    text = app_server.PAGE.read_text("utf-8")
    addresses = set(re.findall(r"\w+://[^\"'\s]+", text))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, not a place
    assert "innerHTML" not in text and " style=" not in text


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil:80"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_names_that_lead_here_are_refused(server, host, method):
    path = "/" if method == "GET" else "/about"
    answer, _ = send(server, path, method=method, Host=host)
    assert answer.status == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", ""])
def test_other_pages_are_refused(server, origin):
    answer, _ = send(server, "/about", Origin=origin)
    assert answer.status == 403


def test_its_own_page_is_served(server):
    answer, _ = send(server, "/about", Origin=server.url[:-1])
    assert answer.status == 200
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    "path", ["/about", "/progress", "/file", "/sample", "/clip", "/look"]
)
def test_without_the_word_of_the_page_nothing_is_told(server, path):
    assert send(server, path, {}, token=False)[0].status == 403
    assert send(server, path, {}, X_Token="no ä")[0].status == 403


@pytest.mark.parametrize(
    "path",
    ["/app.py", "/../app.py", "/%2e%2e/app.py", "//etc/passwd", "/\0"]
    + ["http://[/", "http://evil.example/?"],
)
def test_there_are_no_files_to_be_had(server, path):
    lines = [f"GET {path} HTTP/1.1", f"Host: {server.hosts[0]}"]
    assert raw(server, lines)[0] == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "HEAD"])
def test_other_methods_are_refused(server, method):
    assert send(server, "/file", method=method)[0].status == 501


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 411),
        (["Transfer-Encoding: chunked"], 411),
        (["Transfer-Encoding: chunked", "Content-Length: 5"], 400),
        (["Content-Length: -1"], 400),
        (["Content-Length: +5"], 400),
        (["Content-Length: 5_0"], 400),
        (["Content-Length: 0x5"], 400),
        (["Content-Length: five"], 400),
        (["Content-Length: "], 400),
        (["Content-Length: 5", "Content-Length: 6"], 400),
        (["Content-Length: 0"], 400),
        ([f"Content-Length: {2 * GB}"], 413),
        ([f"Content-Length: {10**29}"], 413),
        ([f"Content-Length: {'9' * 400}"], 400),
    ],
)
def test_lengths_that_cannot_be_are_refused_at_once(
    server, scratch, headers, status
):
    assert raw(server, upload(server, *headers))[0] == status
    assert os.listdir(scratch) == []


def test_two_gigabytes_are_refused_while_they_come(server, scratch):
    sent = 0

    def go_on(connection):
        nonlocal sent
        while sent < 2 * GB:  # it hangs up long before that
            sent += connection.send(bytes(1 << 20))

    began = time.monotonic()
    lines = upload(server, f"Content-Length: {2 * GB}")
    # Whoever sends on and on may see the connection end instead of an answer.
    with contextlib.suppress(ConnectionError, http.client.HTTPException):
        assert raw(server, lines, then=go_on)[0] == 413
    assert sent < 2 * GB and time.monotonic() - began < 20
    assert os.listdir(scratch) == []
    assert send(server, "/about")[0].status == 200


def test_what_follows_the_length_is_not_read(server, scratch, monkeypatch):
    seen = []
    monkeypatch.setattr(
        app_upload,
        "check_content",
        lambda file, suffix: seen.append(len(file.read())) or 1 / 0,
    )
    monkeypatch.setattr(server, "handle_error", lambda *_: None)
    lines = upload(server, "Content-Length: 70001")
    status, error = raw(server, lines, bytes(300_000))
    assert (status, seen) == (500, [70001])
    assert error == "That went wrong; the terminal says how."
    assert os.listdir(scratch) == []


def test_a_body_that_ends_early_is_refused(server, scratch):
    lines = upload(server, "Content-Length: 1000")
    status, error = raw(
        server, lines, b"abc", lambda c: c.shutdown(socket.SHUT_WR)
    )
    assert (status, error) == (400, "The file ended before its Content-Length.")
    assert os.listdir(scratch) == []


def test_a_client_that_falls_silent_is_left(server, scratch, monkeypatch):
    monkeypatch.setattr(app_server, "SILENCE_SECONDS", 0.2)
    lines = upload(server, "Content-Length: 1000")
    assert raw(server, lines, b"abc")[0] == 408
    assert os.listdir(scratch) == []


def test_a_client_that_drips_has_so_long_for_all(server, monkeypatch):
    monkeypatch.setattr(app_server, "BODY_SECONDS", 0.5)

    def drip(connection):
        for _ in range(40):
            connection.sendall(b"x")
            time.sleep(0.05)

    lines = upload(server, "Content-Length: 1000")
    assert raw(server, lines, then=drip)[0] == 408


def test_headers_that_drip_are_left(server, monkeypatch):
    monkeypatch.setattr(app_server, "HEADERS_SECONDS", 0.5)
    with socket.create_connection(server.server_address[:2], 10) as connection:
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"GET / HTTP/1.1\r\n")
            while time.monotonic() - began < 8:
                connection.sendall(b"A: b\r\n")
                time.sleep(0.05)
        assert time.monotonic() - began < 5


def wait(until):
    began = time.monotonic()
    while not until() and time.monotonic() - began < 10:
        time.sleep(0.02)
    assert until()


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nA"])
def test_a_connection_that_is_reset_is_not_worth_a_line(server, capsys, begun):
    with socket.create_connection(server.server_address[:2], 10) as connection:
        connection.sendall(begun)
        wait(lambda: server._free._value < app_server.CONNECTIONS)
        at_once = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    wait(lambda: server._free._value == app_server.CONNECTIONS)
    assert capsys.readouterr().err == ""


def test_more_connections_than_it_has_room_for_are_closed(server, monkeypatch):
    monkeypatch.setattr(app_server, "CONNECTIONS", 1)
    with app_models.running(server.session.model.path) as small:
        address = small.server_address[:2]
        with socket.create_connection(address, 10) as first:
            first.sendall(b"GET / HTTP/1.1\r\n")
            time.sleep(0.2)
            with socket.create_connection(address, 10) as other:
                assert other.recv(1) == b""
        time.sleep(0.2)
        assert send(small, "/about")[0].status == 200


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"\xff", b"[" * 4000, b'{"film": NaN}', b"{}", b" "]
)
def test_questions_that_are_none_are_refused(server, body):
    for path in ("/clip", "/look", "/sample"):
        assert send(server, path, body)[0].status in (400, 410, 422)


def test_long_questions_are_refused(server):
    answer, _ = send(server, "/look", b" " * 5000)
    assert answer.status == 413
