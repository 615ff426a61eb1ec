"""Session of the app: classes, errors without paths, limits."""

import dataclasses
import signal
import types

import numpy as np
import pytest

from tests.training.page import app_models
from training import app
from training.exporting.saved_model import SavedModel
from training.io.user_error import UserError
from training.page import page_session, video_clips
from training.page.page_session import PageSession
from training.page.uploads import RequestError


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return app_models.write_model(tmp_path_factory.mktemp("models"))


def stand_in(**changes):
    """Make a fake SavedModel."""
    attributes = {
        "input_name": "clips",
        "path": "m/1",
        "signatures": ("serving_default",),
        "blocks": (),
        "classes": ["a", "b", "c"],
    }
    return types.SimpleNamespace(**attributes | changes)


def open_clip(session, tmp_path):
    path = tmp_path / "film.npy"
    np.save(path, np.zeros((2, 16, 24, 3), np.uint8))
    try:
        return session.open_file(path, lambda: None)
    finally:
        session.close()


def test_model_of_images_is_an_error():
    with pytest.raises(UserError, match="takes images. Use nonlocal-tf"):
        PageSession(stand_in(input_name="images"))


def test_nan_scores_are_an_error(tmp_path):
    scores = np.array([[0.5, np.nan, 0.5]])
    session = PageSession(stand_in(probabilities=lambda clips: scores))
    with pytest.raises(UserError, match="not finite"):
        open_clip(session, tmp_path)


@pytest.mark.parametrize(
    ("rows", "pooled", "best"),
    [
        ([[0.5, 0.1, 0.4], [0.1, 0.2, 0.7]], "mean", ["c", "a", "b"]),
        ([[0.5, 0.9, 0.1], [0.7, 0.2, 0.6]], "largest", ["b", "a", "c"]),
    ],
)
def test_multi_label_scores_are_max_pooled(rows, pooled, best, tmp_path):
    answers = iter(np.array(rows)[:, None])
    session = PageSession(stand_in(probabilities=lambda clips: next(answers)))
    film = video_clips.single_clip(np.zeros((2, 16, 24, 3), np.uint8), "")
    film = dataclasses.replace(film, numbers=film.numbers.repeat(2, axis=0))
    result = session.classify(film)
    session.close()
    assert result["pooled"] == pooled
    assert [row["name"] for row in result["classes"]] == best


def test_error_of_a_refused_clip_has_no_path(tiny, tmp_path):
    session = PageSession(SavedModel(tiny[1]))
    path = tmp_path / "film.npy"
    np.save(path, np.zeros((0, 16, 24, 3), np.float32))
    with pytest.raises(UserError) as raised:
        session.open_file(path, lambda: None)
    message = page_session.public_message(raised.value, path)
    assert message.startswith("Expected (here) to hold uint8 pixels")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/home/me/m/1: bad\nTraceback /x/y", "(here): bad"),
        ("No file /var/lib/x-1/y.mp4, sorry", "No file (a path), sorry"),
        ("Expected 1/2 of it", "Expected 1/2 of it"),
        ("  \n ", "no reason given"),
    ],
)
def test_public_messages_are_one_line_without_paths(text, message):
    assert (
        page_session.public_message(UserError(text), "/home/me/m/1") == message
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_the_server(number, model, capsys, monkeypatch):
    # Shells start background processes without this handler.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt(server):
        signal.raise_signal(number)

    monkeypatch.setattr(app.AppServer, "serve_forever", interrupt)
    try:
        app.main([f"--model={model}", "--port=0"])
    finally:
        signal.signal(signal.SIGINT, before)
    printed = capsys.readouterr().out
    assert "Open http://127.0.0.1:" in printed
    assert printed.endswith("Stopped.\n")


@pytest.mark.parametrize(
    "shape",
    [(24, 270, 480, 3), (10**6, 1, 1, 3), (1, 10**6, 1, 3), (4, 65, 64, 3)],
)
def test_clip_much_larger_than_in_training_is_refused(model, tmp_path, shape):
    calls = []
    session = PageSession(SavedModel(model), app_models.SAMPLING)
    session.model.probabilities = calls.append
    np.save(tmp_path / "film.npy", np.zeros(shape, np.uint8))
    with pytest.raises(RequestError, match="about 4 x 32 x 32 .frames, height"):
        session.open_file(tmp_path / "film.npy", lambda: None)
    assert not calls


def test_clip_somewhat_larger_than_in_training_is_accepted(model, tmp_path):
    session = PageSession(SavedModel(model), app_models.SAMPLING)
    np.save(tmp_path / "film.npy", np.zeros((5, 49, 60, 3), np.uint8))
    assert session.open_file(tmp_path / "film.npy", lambda: None)["classes"]
    session.close()


def test_image_is_refused_as_a_clip(model, tmp_path):
    session = PageSession(SavedModel(model), app_models.SAMPLING)
    np.save(tmp_path / "film.npy", np.zeros((480, 640, 3), np.uint8))
    with pytest.raises(UserError, match="Expected a clip of shape"):
        session.open_file(tmp_path / "film.npy", lambda: None)
