"""What the app's server does not let others do."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import socket
import tempfile
import time

import pytest

from tests.training import app_models
from tests.training.app_models import send
from tests.training.data import films
from training import app_server, app_upload

GB = 1 << 30


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    model = app_models.write_model(tmp_path_factory.mktemp("models"))
    with app_models.running(model) as server:
        yield server


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("films") / "f.mp4"
    return films.write_film(path, 9).read_bytes()


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """Where temporary files are made, by this test alone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def raw(server, lines, body=b"", then=None):
    """Sends bytes as they are; returns the status and the error's text."""
    with socket.create_connection(server.server_address[:2], 30) as connection:
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        with contextlib.suppress(ConnectionError):
            connection.sendall(head + body)
            if then is not None:
                then(connection)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        content = answer.read()
    return answer.status, json.loads(content)["error"]


def upload(server, *headers, name="f.mp4"):
    return [
        "POST /file HTTP/1.1",
        f"Host: {server.hosts[0]}",
        f"X-Token: {server.token}",
        f"X-File-Name: {name}",
        *headers,
    ]


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
    "path", ["/app.py", "/../app.py", "/%2e%2e/app.py", "//etc/passwd", "/\0"]
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
    "name",
    [
        "../../x.mp4",
        "/etc/cron.d/x.mp4",
        "a\0b.mp4",
        "<script>alert(1)</script>.mp4",
        "Ünï\u202ecödé \U0001f3ac.MP4",
        "x" * 60_000 + ".mp4",
        "CON.mp4",
        "%2e%2e%2f.mp4",
        "\ud800.mp4",
    ],
    ids=lambda name: ascii(name[:20]),
)
def test_names_touch_no_path(server, scratch, film, name, monkeypatch):
    paths = []
    real = server.session.open_file
    monkeypatch.setattr(
        server.session,
        "open_file",
        lambda path, wanted: paths.append(path) or real(path, wanted),
    )
    coded = "".join(
        f"%{byte:02X}" for byte in name.encode("utf-8", "surrogatepass")
    )
    if len(coded) > 60_000:  # a line of a request has no more
        coded = coded[-60_000:]
    answer, content = send(server, "/file", film, X_File_Name=coded)
    assert answer.status == 200, content
    (path,) = paths
    assert path.name == "film.mp4" and path.parent.parent == scratch
    assert os.listdir(scratch) == []
    assert "script" not in json.dumps(content)


@pytest.mark.parametrize(
    "name", ["x.exe", "mp4", ".mp4.html", "", "x.mp4\0.py", "x.m3u8", "x.svg"]
)
def test_other_kinds_of_file_are_refused(server, film, name):
    coded = "".join(f"%{byte:02X}" for byte in name.encode())
    answer, content = send(server, "/file", film, X_File_Name=coded)
    assert answer.status == 415 and ".mp4" in content["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"<html>" * 100,
        b"MZ" + bytes(200),
        b"\0\0\0\x08free<MPD profiles='urn:mpeg:dash:profile:isoff'>",
        b"x",
    ],
)
def test_what_is_no_video_never_gets_to_the_decoder(server, body, monkeypatch):
    monkeypatch.setattr(server.session, "open_file", None)
    answer, content = send(server, "/file", body, X_File_Name="f.mp4")
    assert answer.status == 415
    assert "is not a video, whatever its name" in content["error"]


def test_a_damaged_film_is_one_line_without_a_path(server, scratch, film):
    answer, content = send(server, "/file", film[:60], X_File_Name="f.mp4")
    assert answer.status == 422
    assert content["error"].startswith("The film cannot be read: it cannot")
    assert str(scratch) not in content["error"]
    assert os.listdir(scratch) == []


def test_one_film_at_a_time(server, film):
    with server.job:
        answer, content = send(server, "/file", film, X_File_Name="f.mp4")
    assert answer.status == 429 and answer.headers["Retry-After"] == "5"
    assert send(server, "/file", film, X_File_Name="f.mp4")[0].status == 200


def test_nobody_waits_so_nothing_is_done(server, film):
    calls = []

    def count(path, still_wanted):
        connection.close()
        with pytest.raises(ConnectionError):
            for _ in range(100):
                still_wanted()
                time.sleep(0.02)
        calls.append(path)
        raise ConnectionResetError

    head = "\r\n".join(
        [*upload(server, f"Content-Length: {len(film)}"), "", ""]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server.session, "open_file", count)
        connection = socket.create_connection(server.server_address[:2], 30)
        connection.sendall(head.encode() + film)
        for _ in range(200):
            if calls and not server.job.locked():
                break
            time.sleep(0.02)
    assert calls and not server.job.locked()
    assert not pathlib.Path(calls[0]).exists()


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"\xff", b"[" * 4000, b'{"film": NaN}', b"{}", b" "]
)
def test_questions_that_are_none_are_refused(server, body):
    for path in ("/clip", "/look", "/sample"):
        assert send(server, path, body)[0].status in (400, 410, 422)


def test_long_questions_are_refused(server):
    answer, _ = send(server, "/look", b" " * 5000)
    assert answer.status == 413


def test_a_full_disk_is_said(server, film, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device", "/secret/place")

    monkeypatch.setattr(app_upload, "receive", full)
    answer, content = send(server, "/file", film, X_File_Name="f.mp4")
    assert answer.status == 507
    assert (
        content["error"] == "The film cannot be kept: No space left on device."
    )
