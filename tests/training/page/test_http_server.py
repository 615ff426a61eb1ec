"""Security of the app's server: hosts, origins, limits and deadlines."""

import contextlib
import http.client
import os
import re
import socket
import struct
import time

import pytest

from tests.training.page import app_models
from tests.training.page.app_models import raw, send, upload
from training.page import http_server, uploads
from training.page.detector_session import DetectorSession
from training.page.page_session import PageSession

GB = 1 << 30


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    model = app_models.write_model(tmp_path_factory.mktemp("models"))
    with app_models.running(model) as server:
        yield server


def test_server_listens_on_loopback_only(server):
    assert server.socket.getsockname()[0] == "127.0.0.1"


def test_content_security_policy_allows_only_the_pages_script(server):
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


@pytest.mark.parametrize("session", [DetectorSession, PageSession])
def test_page_has_no_external_resources(session):
    text = session.page.read_text("utf-8")
    addresses = set(re.findall(r"\w+://[^\"'\s]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # a name, not a place
    assert "innerHTML" not in text and " style=" not in text


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil:80"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_host_names_are_refused(server, host, method):
    path = "/" if method == "GET" else "/about"
    answer, _ = send(server, path, method=method, Host=host)
    assert answer.status == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", ""])
def test_other_origins_are_refused(server, origin):
    answer, _ = send(server, "/about", Origin=origin)
    assert answer.status == 403


def test_own_origin_is_served(server):
    answer, _ = send(server, "/about", Origin=server.url[:-1])
    assert answer.status == 200
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    "path", ["/about", "/progress", "/file", "/sample", "/clip", "/look"]
)
def test_requests_without_the_token_are_refused(server, path):
    assert send(server, path, {}, token=False)[0].status == 403
    assert send(server, path, {}, X_Token="no ä")[0].status == 403


@pytest.mark.parametrize(
    "path",
    ["/app.py", "/../app.py", "/%2e%2e/app.py", "//etc/passwd", "/\0"]
    + ["http://[/", "http://evil.example/?"],
)
def test_other_paths_are_refused(server, path):
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
def test_invalid_lengths_are_refused(server, temporary_folder, headers, status):
    assert raw(server, upload(server, *headers))[0] == status
    assert os.listdir(temporary_folder) == []


def test_upload_of_two_gigabytes_is_refused_early(server, temporary_folder):
    sent = 0

    def send_body(connection):
        nonlocal sent
        while sent < 2 * GB:  # the server closes long before
            sent += connection.send(bytes(1 << 20))

    lines = upload(server, f"Content-Length: {2 * GB}")
    # A client that keeps sending may get a reset instead of a response.
    with contextlib.suppress(ConnectionError, http.client.HTTPException):
        assert raw(server, lines, then=send_body)[0] == 413
    assert sent < 2 * GB
    assert os.listdir(temporary_folder) == []
    assert send(server, "/about")[0].status == 200


def test_data_after_the_body_is_discarded(
    server, temporary_folder, monkeypatch
):
    sizes = []
    monkeypatch.setattr(
        uploads,
        "check_content",
        lambda file, suffix: sizes.append(len(file.read())) or 1 / 0,
    )
    monkeypatch.setattr(server, "handle_error", lambda *_: None)
    lines = upload(server, "Content-Length: 70001")
    status, error = raw(server, lines, bytes(300_000))
    assert (status, sizes) == (500, [70001])
    assert error == "Internal error; see the terminal."
    assert os.listdir(temporary_folder) == []


def test_truncated_body_is_refused(server, temporary_folder):
    lines = upload(server, "Content-Length: 1000")
    status, error = raw(
        server, lines, b"abc", lambda c: c.shutdown(socket.SHUT_WR)
    )
    assert (status, error) == (400, "The file ended before its Content-Length.")
    assert os.listdir(temporary_folder) == []


def test_silent_client_times_out(server, temporary_folder, monkeypatch):
    monkeypatch.setattr(http_server, "SILENCE_SECONDS", 0.2)
    lines = upload(server, "Content-Length: 1000")
    assert raw(server, lines, b"abc")[0] == 408
    assert os.listdir(temporary_folder) == []


def test_slow_body_has_a_deadline(server, monkeypatch):
    monkeypatch.setattr(http_server, "BODY_SECONDS", 0.5)

    def drip(connection):
        for _ in range(40):
            connection.sendall(b"x")
            time.sleep(0.05)

    lines = upload(server, "Content-Length: 1000")
    assert raw(server, lines, then=drip)[0] == 408


def test_slow_headers_have_a_deadline(server, monkeypatch):
    monkeypatch.setattr(http_server, "HEADERS_SECONDS", 0.5)
    with socket.create_connection(server.server_address[:2], 60) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        with pytest.raises(ConnectionError):  # the server hangs up
            for _ in range(2000):
                connection.sendall(b"A: b\r\n")
                time.sleep(0.05)


@pytest.fixture
def one_slot(server, monkeypatch):
    """Server of one connection at a time."""
    monkeypatch.setattr(http_server, "CONNECTIONS", 1)
    with app_models.running(server.session.model.path) as small:
        yield small


def wait_for_slot(server, is_free):
    """Wait until the only slot of a server is free, or taken."""
    for _ in range(3000):
        free = server.slots.acquire(blocking=False)
        if free:
            server.slots.release()
        if free == is_free:
            return
        time.sleep(0.02)
    raise AssertionError(f"the slot did not become free={is_free}")


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nA"])
def test_reset_connection_prints_nothing(one_slot, capsys, begun):
    address = one_slot.server_address[:2]
    with socket.create_connection(address, 60) as connection:
        connection.sendall(begun)
        wait_for_slot(one_slot, is_free=False)
        reset = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    wait_for_slot(one_slot, is_free=True)
    assert capsys.readouterr().err == ""


def test_connections_above_the_limit_are_closed(one_slot):
    address = one_slot.server_address[:2]
    with socket.create_connection(address, 60) as first:
        first.sendall(b"GET / HTTP/1.1\r\n")
        wait_for_slot(one_slot, is_free=False)
        with socket.create_connection(address, 60) as second:
            assert second.recv(1) == b""
    wait_for_slot(one_slot, is_free=True)
    assert send(one_slot, "/about")[0].status == 200


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"\xff", b"[" * 4000, b'{"film": NaN}', b"{}", b" "]
)
def test_invalid_queries_are_refused(server, body):
    for path in ("/clip", "/look", "/sample"):
        assert send(server, path, body)[0].status in (400, 410, 422)


def test_long_queries_are_refused(server):
    answer, _ = send(server, "/look", b" " * 5000)
    assert answer.status == 413
