"""The app's server, queried as its page does."""

import base64
import io

import numpy as np
import pytest

from tests.training.data import films
from tests.training.page import app_models
from tests.training.page.app_models import send
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
    """Encoded video of three seconds: red, then green."""
    pixels = np.zeros((75, 36, 52, 3), np.uint8)
    pixels[:50, ..., 0] = pixels[50:, ..., 1] = 200
    path = tmp_path_factory.mktemp("films") / "traffic.mp4"
    return films.write_film(path, pixels).read_bytes()


@pytest.fixture
def opened(server, film):
    answer, content = send(server, "/file", film, X_File_Name="traffic.mp4")
    assert answer.status == 200, content
    return content


def array(clip):
    content = io.BytesIO()
    np.save(content, clip)
    return content.getvalue()


def test_video_has_classes_over_time(opened):
    best = opened["classes"][0]
    assert best["name"] == "red" and best["probability"] > 0.5
    first, *_, last = best["along"]
    assert first > 0.99 and last < 0.01
    seconds = np.array(opened["seconds"])
    assert len(seconds) == len(best["along"]) == 4  # 2.6 seconds of starts
    assert seconds[0, 0] == 0 and seconds[-1, 1] == pytest.approx(3)
    assert opened["about"].startswith("4 clips of a video of 3.0 s, 52 x 36")


def test_frames_of_a_clip_are_images(server, opened):
    question = {"film": opened["film"], "clip": 3}
    _, clip = send(server, "/clip", question)
    assert (clip["height"], clip["width"], len(clip["frames"])) == (32, 32, 4)
    kind, _, content = clip["frames"][0].partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(content).startswith(b"\x89PNG")


def test_point_attends_to_cells_of_its_colour(server, model, tmp_path):
    pixels = np.zeros((2, 16, 24, 3), np.uint8)
    pixels[0, 8:, 16:] = pixels[1, :8, :8] = 255
    _, opened = send(server, "/file", array(pixels), X_File_Name="c.npy")
    question = {"film": opened["film"], "clip": 0, "block": ""}
    question |= {"frame": 0, "y": 15, "x": 23}
    _, attention = send(server, "/look", question)
    assert attention["cell"] == [0, 1, 2] and attention["grid"] == [2, 2, 3]
    weights = np.frombuffer(base64.b64decode(attention["weights"]), "<f4")
    assert weights.reshape(2, 2, 3)[1, 0, 0] == pytest.approx(0.5)
    pixels = [best["pixel"] for best in attention["strongest"]]
    assert sorted(pixels) == [[0, 12, 20], [1, 4, 4]]


def test_chosen_block_is_queried(server):
    shades = np.arange(5 * 16 * 24 * 3).reshape(5, 16, 24, 3) // 300
    clip = array(shades.astype(np.uint8))
    _, opened = send(server, "/file", clip, X_File_Name="shades.npy")
    question = {"film": opened["film"], "clip": 0, "frame": 0, "y": 9, "x": 9}
    _, about = send(server, "/about")
    maps = [
        send(server, "/look", question | {"block": block})[1]["weights"]
        for block in ("", *about["blocks"])
    ]
    assert about["blocks"] == list(app_models.BLOCKS)
    assert maps[0] == maps[2] != maps[1]


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
def test_query_points_outside_of_the_clip_are_refused(server, opened, change):
    question = {"film": opened["film"], "clip": 0, "block": ""}
    question |= {"frame": 0, "y": 0, "x": 0} | change
    answer, content = send(server, "/look", question)
    assert answer.status == 400 and len(content["error"]) < 200


def test_replaced_video_is_gone(server, opened, film):
    send(server, "/file", film, X_File_Name="next.mp4")
    answer, _ = send(server, "/clip", {"film": opened["film"], "clip": 0})
    assert answer.status == 410


def test_samples_of_digits_have_a_query_point(tiny):
    with app_models.running(tiny[1]) as server:
        _, about = send(server, "/about")
        assert about["samples"] == 8 and ".mp4" not in about["suffixes"]
        answer, opened = send(server, "/sample", {"number": 3})
        point = dict(zip(("frame", "y", "x"), opened["query"], strict=True))
        question = {"film": opened["film"], "clip": 0, "block": "", **point}
        _, attention = send(server, "/look", question)
        (name,) = about["blocks"]
        assert send(server, "/look", question | {"block": name})[1] == attention
    assert answer.status == 200
    assert len(opened["classes"]) == 5 and opened["seconds"] == []
    assert opened["about"].startswith("Test sample 3, labelled ")
    weights = np.frombuffer(base64.b64decode(attention["weights"]), "<f4")
    assert weights.sum() == pytest.approx(1, abs=1e-4)


def test_model_without_attention_gives_a_reason(tmp_path):
    path = app_models.write_model(tmp_path, has_attention=False)
    with app_models.running(path) as server:
        _, about = send(server, "/about")
        answer, content = send(server, "/look", {"film": ""})
    assert "no signature 'attention'" in about["no_looks"]
    assert answer.status == 422 and content["error"] == about["no_looks"]


def test_port_in_use_is_a_one_line_error(server, model, capsys):
    port = server.server_address[1]
    assert cli.run(app.main, [f"--model={model}", f"--port={port}"]) == 2
    assert f"Port {port} is not available" in capsys.readouterr().err


def test_without_arguments_an_example_is_printed(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app.main([])
    assert app.EXAMPLE in capsys.readouterr().out
