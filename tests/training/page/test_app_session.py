"""What the app says of a model, and what it keeps to itself."""

import dataclasses
import signal
import types

import numpy as np
import pytest

from tests.training import app_models
from training import app
from training.exporting.saved_model import SavedModel
from training.io.user_error import UserError
from training.page import app_films, app_session
from training.page.app_session import Session
from training.page.app_upload import Refused


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return app_models.write_model(tmp_path_factory.mktemp("models"))


def stand_in(**changes):
    """A model that nothing was loaded for."""
    given = {
        "input_name": "clips",
        "path": "m/1",
        "signatures": ("serving_default",),
        "blocks": (),
        "recipe": None,
        "classes": ["a", "b", "c"],
    }
    return types.SimpleNamespace(**given | changes)


def open_clip(session, tmp_path):
    path = tmp_path / "film.npy"
    np.save(path, np.zeros((2, 16, 24, 3), np.uint8))
    try:
        return session.open_file(path, lambda: None)
    finally:
        session.close()


def test_models_of_images_are_for_another_command():
    with pytest.raises(UserError, match="takes images. Use python -m"):
        Session(stand_in(input_name="images"))


def test_scores_that_are_not_finite_are_said(tmp_path):
    given = np.array([[0.5, np.nan, 0.5]])
    session = Session(stand_in(probabilities=lambda clips: given))
    with pytest.raises(UserError, match="not finite"):
        open_clip(session, tmp_path)


@pytest.mark.parametrize(
    ("rows", "pooled", "best"),
    [
        ([[0.5, 0.1, 0.4], [0.1, 0.2, 0.7]], "mean", ["c", "a", "b"]),
        ([[0.5, 0.9, 0.1], [0.7, 0.2, 0.6]], "largest", ["b", "a", "c"]),
    ],
)
def test_several_labels_are_those_that_are_anywhere(
    rows, pooled, best, tmp_path
):
    answers = iter(np.array(rows)[:, None])
    session = Session(stand_in(probabilities=lambda clips: next(answers)))
    film = app_films.one_clip(np.zeros((2, 16, 24, 3), np.uint8), "")
    film = dataclasses.replace(film, numbers=film.numbers.repeat(2, axis=0))
    found = session._open(film)
    session.close()
    assert found["pooled"] == pooled
    assert [of["name"] for of in found["classes"]] == best


def test_a_clip_that_a_model_refuses_names_no_path(tiny, tmp_path):
    session = Session(SavedModel(tiny[1]))
    path = tmp_path / "film.npy"
    np.save(path, np.zeros((0, 16, 24, 3), np.float32))
    with pytest.raises(UserError) as raised:
        session.open_file(path, lambda: None)
    said = app_session.one_line(raised.value, path)
    assert said.startswith("Expected (here) to hold uint8 pixels")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/home/me/m/1: bad\nTraceback /x/y", "(here): bad"),
        ("No file /var/lib/x-1/y.mp4, sorry", "No file (a path), sorry"),
        ("Expected 1/2 of it", "Expected 1/2 of it"),
        ("  \n ", "no reason given"),
    ],
)
def test_errors_are_a_line_without_paths(text, said):
    assert app_session.one_line(UserError(text), "/home/me/m/1") == said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_well(number, model, capsys, monkeypatch):
    # Shells start what is in the background without it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt(server):
        signal.raise_signal(number)

    monkeypatch.setattr(app.Server, "serve_forever", interrupt)
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
def test_a_clip_that_would_take_minutes_is_refused(model, tmp_path, shape):
    calls = []
    session = Session(SavedModel(model))
    session.model.probabilities = calls.append
    np.save(tmp_path / "film.npy", np.zeros(shape, np.uint8))
    with pytest.raises(Refused, match="about 4 x 32 x 32 .frames, height"):
        session.open_file(tmp_path / "film.npy", lambda: None)
    assert not calls


def test_clips_somewhat_larger_than_in_training_are_taken(model, tmp_path):
    session = Session(SavedModel(model))
    np.save(tmp_path / "film.npy", np.zeros((5, 49, 60, 3), np.uint8))
    assert session.open_file(tmp_path / "film.npy", lambda: None)["classes"]
    session.close()


def test_an_image_for_a_clip_is_no_large_clip(model, tmp_path):
    session = Session(SavedModel(model))
    np.save(tmp_path / "film.npy", np.zeros((480, 640, 3), np.uint8))
    with pytest.raises(UserError, match="Expected a clip of shape"):
        session.open_file(tmp_path / "film.npy", lambda: None)
