"""The REST client refuses hostile responses, in one line and in time."""

import copy
import json
import threading
import time

import pytest

from tests.savedmodels import hostile_servers
from tests.savedmodels.hostile_servers import GOOD, SIGNATURE

STREAM = b"HTTP/1.1 200 OK\r\n\r\n"


def trickle(connection, head):
    """Send a response slowly without end."""
    connection.sendall(STREAM)
    for _ in range(200):
        connection.sendall(b" ")
        time.sleep(0.1)


def trickled_head(connection, head):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(200):
        connection.sendall(f"X-{number}: y\r\n".encode())
        time.sleep(0.1)


def endless_continue(connection, head):
    for _ in range(200):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.1)


@pytest.mark.parametrize("answer", [trickle, trickled_head, endless_continue])
def test_response_has_one_timeout(serving_client, answer):
    sent_whole = threading.Event()

    def send(connection, head):
        answer(connection, head)
        sent_whole.set()

    with hostile_servers.serving(send) as address:
        client = serving_client.connect(address, "x", True, timeout_s=0.5)
        with pytest.raises(
            serving_client.ClientError, match="No response from"
        ):
            client.signatures()
        assert not sent_whole.is_set()  # the server takes 20 s for it


def test_endless_response_is_not_read(serving_client, monkeypatch):
    monkeypatch.setattr("serving_base.MAX_MB", 1.0)
    sent = []

    def flood(connection, head):
        connection.sendall(STREAM)
        for _ in range(200):
            connection.sendall(b" " * 1_000_000)
            sent.append(1)

    with hostile_servers.serving(flood) as address:
        client = serving_client.connect(address, "x", True, max_mb=1)
        with pytest.raises(serving_client.ClientError, match="more than 1 MB"):
            client.signatures()
    assert len(sent) < 100


def rest_error(video_client, capsys, path, answer, *options):
    """Run the command; return its one-line error."""
    with hostile_servers.serving(answer) as address:
        arguments = ["--rest", f"--address={address}", "--model=x", *options]
        assert video_client.main([str(path), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert error.rstrip("\n").isprintable()
    return error


def changed(outputs, name, value):
    return {**outputs, name: value}


FRAMES, CLIP = GOOD["serve_frames"], GOOD["serving_default"]


@pytest.mark.parametrize(
    "outputs",
    [
        changed(FRAMES, "top_k_scores", [[0.75]]),
        changed(FRAMES, "top_k_scores", [[0.75, float("nan")]]),
        changed(FRAMES, "top_k_scores", [[0.75, float("inf")]]),
        changed(FRAMES, "top_k_scores", [0.75, 0.25]),
        changed(FRAMES, "top_k_scores", [[[0.75, 0.25]]]),
        changed(FRAMES, "top_k_scores", [["0.75", "0.25"]]),
        changed(FRAMES, "top_k_scores", [[True, False]]),
        changed(FRAMES, "top_k_scores", []),
        changed(FRAMES, "top_k_scores", 0.75),
        changed(FRAMES, "top_k_classes", [["jump"]]),
        changed(FRAMES, "top_k_classes", ["jump", "sit"]),
        {name: value * 2 for name, value in FRAMES.items()},
    ],
    ids=json.dumps,
)
def test_invalid_outputs_for_frames_are_one_line(
    video_client, capsys, film, outputs
):
    answer = hostile_servers.answering(outputs)
    rest_error(video_client, capsys, film, answer)


@pytest.mark.parametrize(
    "outputs",
    [
        changed(CLIP, "probabilities", [[0.5, 0.5]]),
        changed(CLIP, "probabilities", [[0.5, 0.25, 0.25]] * 2),
        changed(CLIP, "probabilities", [[[0.5, 0.25, 0.25]]]),
        changed(CLIP, "probabilities", [[0.5, None, 0.25]]),
        changed(CLIP, "probabilities", [[0.5, 1e999, 0.25]]),
        changed(CLIP, "class_name", []),
        changed(CLIP, "class_name", ["jump", "sit"]),
        changed(CLIP, "class_name", [["jump"]]),
    ],
    ids=json.dumps,
)
def test_invalid_outputs_for_a_clip_are_one_line(
    video_client, capsys, clip, outputs
):
    answer = hostile_servers.answering(outputs)
    rest_error(video_client, capsys, clip, answer)


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"a": ("DT_UINT8", (-1,) * 5), "b": ("DT_UINT8", (-1,) * 5)},
        {"clips": ("DT_UINT8", (-1, -7, -1, -1, 3))},
        {"clips": ("DT_UINT8", (-1, 10**12, -1, -1, 3))},
        {"clips\x1b[2J": ("DT_UINT8", (3,))},
    ],
    ids=["none", "two", "negative", "endless", "escape"],
)
@pytest.mark.parametrize("kind", ["film", "clip"])
def test_invalid_signatures_are_one_line(
    video_client, capsys, film, clip, inputs, kind
):
    signatures = copy.deepcopy(SIGNATURE)
    signatures["serving_default"]["inputs"] = inputs
    answer = hostile_servers.answering(CLIP, signatures)
    path = film if kind == "film" else clip
    options = ["--signature=serving_default"]
    rest_error(video_client, capsys, path, answer, *options)


def test_class_names_do_not_control_the_terminal(video_client, capsys, film):
    outputs = changed(FRAMES, "top_k_classes", [["a\x1b[2J\n\rb", "\u202ec"]])
    with hostile_servers.serving(hostile_servers.answering(outputs)) as address:
        arguments = ["--rest", f"--address={address}", "--model=x"]
        assert video_client.main([str(film), *arguments]) == 0
    printed = capsys.readouterr().out
    assert r"a\x1b[2J\n\rb" in printed and r"\u202ec" in printed
    assert all(line.isprintable() for line in printed.splitlines())


def test_error_messages_do_not_control_the_terminal(video_client, capsys, film):
    def answer(connection, head):
        body = json.dumps({"error": "a\x1b]0;b\x07"}).encode()
        connection.sendall(hostile_servers.http(body, "400 Bad Request"))

    assert r"\x1b]0;b" in rest_error(video_client, capsys, film, answer)


@pytest.mark.parametrize("number", [1e308, 10**30])
def test_number_too_large_for_its_type_is_one_line(
    video_client, capfd, clip, number
):
    outputs = changed(CLIP, "probabilities", [[0.5, number, 0.25]])
    answer = hostile_servers.answering(outputs)
    rest_error(video_client, capfd, clip, answer)
