"""What is bad does not end a list of videos, and little is read ahead."""

import dataclasses
import threading
import types

import numpy as np
import pytest

from training import predict
from training.data import sampling as samples
from training.data.sources import VideoError
from training.io.progress import Progress
from training.io.user_error import UserError
from training.prediction import predictions
from training.prediction.predictor import Predictor
from training.prediction.video_inputs import Input
from training.recipes.schema import SamplingConfig

SAMPLING = SamplingConfig(frames=2)


@dataclasses.dataclass(frozen=True)
class Stub(Predictor):
    """Reads numbers from names; counts what was read and not scored yet."""

    waiting: list = dataclasses.field(default_factory=list)
    most: list = dataclasses.field(default_factory=lambda: [0])
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def read(self, source):
        if source.path.startswith("bad"):
            raise VideoError("it is bad")
        with self.lock:
            self.waiting.append(source.path)
            self.most[0] = max(self.most[0], len(self.waiting))
        return np.full((1, 2, 3, 5, 3), int(source.path.split(".")[0]))


def stub(step):
    return Stub(
        path="m",
        classes=("a", "b"),
        recipe=None,
        sampling=SAMPLING,
        decoder="pyav",
        views=samples.middle(SAMPLING),
        chosen=False,
        step=step,
    )


def test_the_order_stays_and_bad_ones_are_among_them(monkeypatch):
    monkeypatch.setattr(predictions.samples, "views_at_once", lambda *_: 3)

    def step(pixels):
        model.waiting.pop()
        return pixels[:, 0, 0, 0, :2]

    model = stub(step)
    names = [f"bad{n}" if n % 5 == 2 else f"{n}.mp4" for n in range(40)]
    found = list(predictions.predict(model, [Input(name) for name in names]))
    assert [one.path for one in found] == names
    for number, one in enumerate(found):
        if number % 5 == 2:
            assert (one.scores, one.reason) == (None, "it is bad")
            assert one.complaint == f"bad{number}: it is bad"
        else:
            assert one.scores.tolist() == [number, number]
    assert 1 < model.most[0] <= 4  # those ahead, and the one at hand


def test_scores_that_are_no_numbers_are_bad():
    model = stub(lambda pixels: np.array([[0.5, np.nan]]))
    (one,) = predictions.predict(model, [Input("1.mp4")])
    assert one.scores is None and "not finite" in one.reason


def test_the_scores_of_a_clip_that_is_saved_are_checked(tmp_path):
    model = stub(lambda pixels: np.array([[0.5, np.nan]]))
    path = str(tmp_path / "a.npy")
    options = types.SimpleNamespace(sample=None, save_clip=path)
    (one,) = predict._of_one_clip(options, model, [Input("1.mp4")])
    assert one.scores is None and "not finite" in one.reason


def test_a_clip_file_that_is_refused_is_bad_and_a_video_ends_it():
    def refuse(pixels):
        raise UserError("Expected more. Received: a.npy")

    model = stub(refuse)
    (one,) = predictions.predict(model, [Input("1.npy")])
    assert one.reason.startswith("Expected more")
    with pytest.raises(UserError, match="Expected more"):
        list(predictions.predict(model, [Input("1.mp4")]))


def test_a_reason_that_names_the_file_is_not_said_twice():
    one = predictions.Prediction("a.npy", reason="There is no file a.npy.")
    assert one.complaint == "There is no file a.npy."


def test_a_long_timeline_says_how_far_it_is(monkeypatch, capsys):
    monkeypatch.setattr(
        predictions,
        "Progress",
        lambda total, of: Progress(total, of, every_seconds=0),
    )

    def look(predictor, path, step_s, progress):
        progress(1, 30)
        progress(2, 30)
        raise VideoError("it ends")

    monkeypatch.setattr(predictions.timeline, "look", look)
    model = stub(lambda pixels: pixels)
    (one,) = predictions.predict_along(model, [Input("1.mp4")], 1.0)
    assert one.reason == "it ends"
    assert "2 of 30 clips of 1.mp4, about" in capsys.readouterr().err
