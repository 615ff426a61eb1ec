"""Uploads to the app: hostile names and contents, disconnects."""

import json
import os
import pathlib
import socket
import time

import pytest

from tests.training.data import films
from tests.training.page import app_models
from tests.training.page.app_models import send, upload
from training import app
from training.page import uploads


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    model = app_models.write_model(tmp_path_factory.mktemp("models"))
    with app_models.running(model) as server:
        yield server


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("films") / "f.mp4"
    return films.write_film(path, 9).read_bytes()


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
def test_file_names_are_not_used_in_paths(
    server, temporary_folder, film, name, monkeypatch
):
    paths = []
    real = server.session.open_file
    monkeypatch.setattr(
        server.session,
        "open_file",
        lambda path, check_connected: (
            paths.append(path) or real(path, check_connected)
        ),
    )
    coded = "".join(
        f"%{byte:02X}" for byte in name.encode("utf-8", "surrogatepass")
    )
    if len(coded) > 60_000:  # a line of a request has no more
        coded = coded[-60_000:]
    answer, content = send(server, "/file", film, X_File_Name=coded)
    assert answer.status == 200, content
    (path,) = paths
    assert path.name == "video.mp4" and path.parent.parent == temporary_folder
    assert os.listdir(temporary_folder) == []
    assert "script" not in json.dumps(content)


@pytest.mark.parametrize(
    "name", ["x.exe", "mp4", ".mp4.html", "", "x.mp4\0.py", "x.m3u8", "x.svg"]
)
def test_other_suffixes_are_refused(server, film, name):
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
def test_other_contents_do_not_reach_the_decoder(server, body, monkeypatch):
    monkeypatch.setattr(server.session, "open_file", None)
    answer, content = send(server, "/file", body, X_File_Name="f.mp4")
    assert answer.status == 415
    assert "is not a video, whatever its name" in content["error"]


def test_error_of_a_damaged_video_has_no_path(server, temporary_folder, film):
    answer, content = send(server, "/file", film[:60], X_File_Name="f.mp4")
    assert answer.status == 422
    assert content["error"].startswith("The video cannot be read: it cannot")
    assert str(temporary_folder) not in content["error"]
    assert os.listdir(temporary_folder) == []


def test_one_video_at_a_time(server, film):
    with server.job:
        answer, content = send(server, "/file", film, X_File_Name="f.mp4")
    assert answer.status == 429 and answer.headers["Retry-After"] == "5"
    assert send(server, "/file", film, X_File_Name="f.mp4")[0].status == 200


def test_disconnect_stops_an_upload(server, film):
    calls = []

    def count(path, check_connected):
        connection.close()
        with pytest.raises(ConnectionError):
            for _ in range(3000):
                check_connected()
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
        for _ in range(3000):
            if calls and not server.job.locked():
                break
            time.sleep(0.02)
    assert calls and not server.job.locked()
    assert not pathlib.Path(calls[0]).exists()


def test_full_disk_is_an_error(server, film, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device", "/secret/place")

    monkeypatch.setattr(uploads, "receive", full)
    answer, content = send(server, "/file", film, X_File_Name="f.mp4")
    assert answer.status == 507
    expected = "The file cannot be stored: No space left on device."
    assert content["error"] == expected


def query_and_disconnect(server, path, body, extra=b""):
    """Send a query, and close before there is a response."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {server.hosts[0]}"]
    lines += [f"X-Token: {server.token}", f"Content-Length: {len(body)}"]
    head = "\r\n".join([*lines, "", ""]).encode()
    with socket.create_connection(server.server_address[:2], 30) as connection:
        connection.sendall(head + body + extra)
        time.sleep(0.1)


@pytest.mark.parametrize("extra", [b"", b"GET / HTTP/1.1"])
def test_query_of_a_disconnected_client_is_not_computed(
    server, monkeypatch, extra
):
    calls = []
    monkeypatch.setattr(server.session, "attention", calls.append)
    with server.job:
        query_and_disconnect(server, "/look", b"{}", extra)
    for _ in range(20):
        with server.job:  # waiting requests get a turn in between
            time.sleep(0.02)
        time.sleep(0.02)
    assert not calls


def test_start_deletes_leftovers(server, monkeypatch):
    calls = []
    monkeypatch.setattr(
        uploads, "clear_leftovers", lambda: calls.append("cleared")
    )
    app.serve(str(server.session.model.path), 0, 1.0).server_close()
    assert calls == ["cleared"]
