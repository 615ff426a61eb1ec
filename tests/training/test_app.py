"""The app's server, asked as its page asks it."""

import base64
import io

import numpy as np
import pytest

from tests.training import app_models
from tests.training.app_models import send
from tests.training.data import films
from training import app
from training.io import cli


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return app_models.write_model(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def server(model):
    with app_models.running(model) as server:
        yield server


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Three seconds: red, then green."""
    pixels = np.zeros((75, 36, 52, 3), np.uint8)
    pixels[:50, ..., 0] = pixels[50:, ..., 1] = 200
    path = tmp_path_factory.mktemp("films") / "traffic.mp4"
    return films.write_film(path, pixels).read_bytes()


@pytest.fixture
def opened(server, film):
    answer, found = send(server, "/file", film, X_File_Name="traffic.mp4")
    assert answer.status == 200, found
    return found


def array(clip):
    content = io.BytesIO()
    np.save(content, clip)
    return content.getvalue()


def test_a_film_has_classes_along_its_seconds(opened):
    best = opened["classes"][0]
    assert best["name"] == "red" and best["probability"] > 0.5
    first, *_, last = best["along"]
    assert first > 0.99 and last < 0.01
    seconds = np.array(opened["seconds"])
    assert len(seconds) == len(best["along"]) == 4  # 2.6 seconds of starts
    assert seconds[0, 0] == 0 and seconds[-1, 1] == pytest.approx(3)
    assert opened["about"].startswith("4 clips of a film of 3.0 s, 52 x 36")


def test_the_frames_of_a_clip_are_pictures(server, opened):
    question = {"film": opened["film"], "clip": 3}
    _, clip = send(server, "/clip", question)
    assert (clip["height"], clip["width"], len(clip["frames"])) == (32, 32, 4)
    kind, _, content = clip["frames"][0].partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(content).startswith(b"\x89PNG")


def test_a_point_looks_at_cells_of_its_colour(server, model, tmp_path):
    pixels = np.zeros((2, 16, 24, 3), np.uint8)
    pixels[0, 8:, 16:] = pixels[1, :8, :8] = 255
    _, opened = send(server, "/file", array(pixels), X_File_Name="c.npy")
    question = {"film": opened["film"], "clip": 0, "block": ""}
    question |= {"frame": 0, "y": 15, "x": 23}
    _, look = send(server, "/look", question)
    assert look["cell"] == [0, 1, 2] and look["grid"] == [2, 2, 3]
    weights = np.frombuffer(base64.b64decode(look["weights"]), "<f4")
    assert weights.reshape(2, 2, 3)[1, 0, 0] == pytest.approx(0.5)
    pixels = [best["pixel"] for best in look["strongest"]]
    assert sorted(pixels) == [[0, 12, 20], [1, 4, 4]]


def test_the_block_that_is_chosen_is_asked(server):
    shades = np.arange(5 * 16 * 24 * 3).reshape(5, 16, 24, 3) // 300
    clip = array(shades.astype(np.uint8))
    _, opened = send(server, "/file", clip, X_File_Name="shades.npy")
    question = {"film": opened["film"], "clip": 0, "frame": 0, "y": 9, "x": 9}
    _, about = send(server, "/about")
    looks = [
        send(server, "/look", question | {"block": block})[1]["weights"]
        for block in ("", *about["blocks"])
    ]
    assert about["blocks"] == list(app_models.BLOCKS)
    assert looks[0] == looks[2] != looks[1]


@pytest.mark.parametrize(
    "change",
    [
        {"frame": 4},
        {"y": 32},
        {"x": -1},
        {"x": 1.5},
        {"x": True},
        {"x": None},
        {"clip": 4},
        {"clip": "0"},
        {"block": "res9"},
        {"block": ["x"]},
    ],
)
def test_points_that_are_not_there_are_refused(server, opened, change):
    question = {"film": opened["film"], "clip": 0, "block": ""}
    question |= {"frame": 0, "y": 0, "x": 0} | change
    answer, content = send(server, "/look", question)
    assert answer.status == 400 and len(content["error"]) < 200


def test_a_film_that_was_replaced_has_gone(server, opened, film):
    send(server, "/file", film, X_File_Name="next.mp4")
    answer, _ = send(server, "/clip", {"film": opened["film"], "clip": 0})
    assert answer.status == 410


def test_samples_of_digits_come_with_their_point(tiny):
    with app_models.running(tiny[1]) as server:
        _, about = send(server, "/about")
        assert about["samples"] == 8 and ".mp4" not in about["suffixes"]
        answer, opened = send(server, "/sample", {"number": 3})
        point = dict(zip(("frame", "y", "x"), opened["query"], strict=True))
        question = {"film": opened["film"], "clip": 0, "block": "", **point}
        _, look = send(server, "/look", question)
        (name,) = about["blocks"]
        assert send(server, "/look", question | {"block": name})[1] == look
    assert answer.status == 200
    assert len(opened["classes"]) == 5 and opened["seconds"] == []
    assert opened["about"].startswith("Test sample 3, labelled ")
    weights = np.frombuffer(base64.b64decode(look["weights"]), "<f4")
    assert weights.sum() == pytest.approx(1, abs=1e-4)


def test_a_model_that_cannot_show_where_it_looks_says_so(tmp_path):
    path = app_models.write_model(tmp_path, looks=False)
    with app_models.running(path) as server:
        _, about = send(server, "/about")
        answer, content = send(server, "/look", {"film": ""})
    assert "no signature 'attention'" in about["no_looks"]
    assert answer.status == 422 and content["error"] == about["no_looks"]


def test_a_port_that_is_taken_is_one_line(server, model, capsys):
    port = server.server_address[1]
    assert cli.run(app.main, [f"--model={model}", f"--port={port}"]) == 2
    assert f"Port {port} cannot be had" in capsys.readouterr().err


def test_without_arguments_it_shows_an_example(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app.main([])
    assert app.EXAMPLE in capsys.readouterr().out
