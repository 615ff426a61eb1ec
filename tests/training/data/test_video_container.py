"""Untrusted files are rejected, and resources limited."""

import contextlib
import http.server
import os
import socket
import threading
import time

import av
import numpy as np
import pytest
from PIL import Image

from tests.training.data import films
from training.data import video_container, video_decoder, video_index
from training.data.clip_reader import VideoError
from training.data.data_config import DataConfig
from training.data.video_limits import Limits
from training.io.user_error import UserError

LISTS = {
    "concat": "ffconcat version 1.0\nfile '{film}'\n",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{film}\n"
    "#EXT-X-ENDLIST\n",
    "sdp": "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\n"
    "t=0 0\r\nm=video 9 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n",
    "dash": '<?xml version="1.0"?><MPD type="static" profiles='
    '"urn:mpeg:dash:profile:isoff-live:2011"><BaseURL>{film}</BaseURL></MPD>',
}


@pytest.mark.parametrize("name", ["a.mp4", "a.m3u8", "a.sdp", "a"])
@pytest.mark.parametrize("kind", LISTS)
def test_playlists_raise(tmp_path, kind, name):
    film = films.write_film(tmp_path / "film.mp4", 3)
    path = tmp_path / name
    path.write_text(LISTS[kind].format(film=film))
    with pytest.raises(VideoError, match="a playlist"):
        video_index.index_video(path)


def test_files_in_playlists_are_never_opened(tmp_path):
    os.mkfifo(tmp_path / "waits.mp4")
    (tmp_path / "a.mp4").write_text("ffconcat version 1.0\nfile waits.mp4\n")
    with pytest.raises(VideoError, match="a playlist"):
        video_index.index_video(tmp_path / "a.mp4")


@pytest.mark.parametrize("name", ["a.nfo", "a.txt", "a.ans"])
def test_text_formats_raise(tmp_path, name):
    (tmp_path / name).write_text("\x1b[31mletters\n" * 99)
    with pytest.raises(VideoError):
        video_index.index_video(tmp_path / name)


def test_image_sequence_pattern_raises(tmp_path):
    for number in range(3):
        pixels = np.full((8, 8, 3), number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.jpg")
    with pytest.raises(VideoError, match="no such file"):
        video_index.index_video(tmp_path / "%d.jpg")
    (tmp_path / "%d.jpg").write_bytes((tmp_path / "0.jpg").read_bytes())
    with pytest.raises(VideoError, match="not in a video format"):
        video_index.index_video(tmp_path / "%d.jpg")


def test_fifo_raises(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(VideoError, match="FIFO"):
        video_index.index_video(tmp_path / "a.mp4")


def test_sockets_and_devices_raise(tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "a.mp4"))
        for path in (tmp_path / "a.mp4", "/dev/zero"):
            with pytest.raises(VideoError, match="FIFO"):
                video_index.index_video(path)


@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts", "gif"])
def test_frame_size_is_limited(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    if kind == "gif":
        films.write_gif(path, films.pictures(3), 40)
    else:
        films.write_film(path, 3)
    height, width = films.SIZE
    limits = Limits(max_pixels=height * width - 1)
    expected = f"52 x 36 have more than max_pixels={height * width - 1}"
    with pytest.raises(VideoError, match=expected):
        video_index.index_video(path, limits)
    assert video_index.index_video(path, Limits(max_pixels=height * width))


def test_growing_frames_are_limited(tmp_path):
    path = tmp_path / "a.h264"
    small = films.write_film(tmp_path / "s.h264", 3)
    large = films.pictures(3, (96, 128))
    large = films.write_film(tmp_path / "l.h264", large)
    path.write_bytes(small.read_bytes() + large.read_bytes())
    height, width = films.SIZE
    with pytest.raises(VideoError, match="max_pixels"):
        video_index.index_video(path, Limits(max_pixels=2 * height * width))
    index = video_index.index_video(path)
    assert index.frames == 6
    with pytest.raises(VideoError, match="max_pixels"):
        video_decoder.read_frames(
            path, [5], index, limits=Limits(max_pixels=2 * height * width)
        )


@pytest.mark.parametrize("kind", ["mp4", "mkv"])  # Matroska does not say
def test_number_of_frames_is_limited(tmp_path, kind):
    path = films.write_film(tmp_path / f"a.{kind}", 9)
    with pytest.raises(VideoError, match="more frames than max_frames=8"):
        video_index.index_video(path, Limits(max_frames=8))
    assert video_index.index_video(path, Limits(max_frames=9)).frames == 9


def test_decoding_time_is_limited(tmp_path, monkeypatch):
    path = films.write_film(tmp_path / "a.mp4", 9)
    index = video_index.index_video(path)
    clock = iter(range(10**6))
    monkeypatch.setattr(video_container.time, "monotonic", lambda: next(clock))
    for read in (video_index.index_video, lambda *a: _first(*a, index)):
        with pytest.raises(VideoError, match="took more than 3 s"):
            read(path, Limits(max_seconds=3.0))


def _first(path, limits, index):
    return video_decoder.read_frames(path, [8], index, limits=limits)


def test_time_between_frames_is_not_counted(tmp_path, monkeypatch):
    path = films.write_film(tmp_path / "a.mp4", 9)
    index, seconds = video_index.index_video(path), [0.0]
    monkeypatch.setattr(video_container.time, "monotonic", lambda: seconds[0])
    stream = video_decoder.stream_frames(
        path, range(9), index, limits=Limits(max_seconds=3.0)
    )
    for _ in stream:
        seconds[0] += 100.0  # of a slow network


@pytest.mark.parametrize("name", ["max_pixels", "max_frames", "max_seconds"])
def test_limit_of_zero_raises(name):
    with pytest.raises(UserError, match=f"Expected {name} above 0"):
        Limits.of(DataConfig(**{name: 0}))


@contextlib.contextmanager
def serving(send):
    """The address of a film on a web server that sends it in its own way."""
    stop = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            with contextlib.suppress(OSError):
                send(self, stop)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/a.mkv"
    finally:
        stop.set()
        server.shutdown()
        server.server_close()
        thread.join()


def whole(content):
    def send(request, stop):
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    return send


def dripping(content, at_once, headers=True):
    def send(request, stop):
        if headers:
            request.send_response(200)
            request.send_header("Content-Length", str(len(content)))
            request.end_headers()
        request.wfile.write(content[:at_once])
        for byte in content[at_once:]:
            if stop.wait(0.02):
                return
            request.wfile.write(bytes([byte]))

    return send


def test_video_is_read_from_a_web_server(tmp_path):
    path = films.write_film(tmp_path / "a.mkv", 9)
    with serving(whole(path.read_bytes())) as url:
        index = video_index.index_video(url)
        got = video_decoder.read_frames(url, [2, 7], index)
    np.testing.assert_array_equal(got, films.decode_all(path)[[2, 7]])


@pytest.mark.parametrize("at_once", [0, 40, 1000])
@pytest.mark.parametrize("headers", [True, False])
def test_slow_server_raises(tmp_path, monkeypatch, at_once, headers):
    monkeypatch.setattr(video_container, "ANSWER_SECONDS", 0.3)
    content = films.write_film(tmp_path / "a.mkv", 30).read_bytes()
    start = time.monotonic()
    with serving(dripping(content, at_once, headers)) as url:
        with pytest.raises(VideoError, match="server|cannot be read"):
            video_index.index_video(url)
    assert time.monotonic() - start < 60


def test_download_time_is_limited(tmp_path, monkeypatch):
    """Each packet in time, all of them not."""
    monkeypatch.setattr(video_container, "WEB_SECONDS", 0.3)
    monkeypatch.setattr(video_container, "MIN_BYTES_PER_SECOND", 1e6)
    content = films.write_film(tmp_path / "a.mkv", 30, gop=1).read_bytes()

    def slowly(request, stop):
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        for start in range(0, len(content), 200):
            if start > 4000 and stop.wait(0.05):
                return
            request.wfile.write(content[start : start + 200])

    with serving(slowly) as url:
        with pytest.raises(VideoError, match="the download took more than 0 s"):
            video_index.index_video(url)


def test_all_video_formats_of_the_tests_are_read():
    names = video_container._video_formats().split(",")
    assert "concat" not in names and "hls" not in names
    assert {"matroska", "mpegts", "avi", "gif", "apng", "h264"} <= set(names)
    assert "concat" in av.formats_available  # or the test says nothing


def test_decompression_bomb_raises(tmp_path):
    path = films.write_gif(tmp_path / "a.gif", films.pictures(2), 40)
    content = bytearray(path.read_bytes())
    content[6:10] = b"\xff\xff\xff\xff"  # its width and height
    path.write_bytes(content)
    with pytest.raises(VideoError, match="max_pixels"):
        video_index.index_video(path)
