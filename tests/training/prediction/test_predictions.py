"""Errors of single videos, read-ahead and progress of predictions."""

import dataclasses
import threading
import types

import numpy as np
import pytest

from training.data import frame_sampling
from training.data.clip_reader import VideoError
from training.data.sampling_config import SamplingConfig
from training.io.progress import Progress
from training.io.user_error import UserError
from training.prediction import predictions
from training.prediction.predictor import Predictor
from training.prediction.video_inputs import Input
from training.tasks import video_prediction

SAMPLING = SamplingConfig(frames=2)


@dataclasses.dataclass(frozen=True)
class Stub(Predictor):
    """Predictor reading numbers from file names; counts unscored reads."""

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
        sampling=SAMPLING,
        decoder="pyav",
        views=frame_sampling.middle(SAMPLING),
        chosen=False,
        step=step,
    )


def test_order_is_kept_with_errors_and_reading_ahead_is_bounded(monkeypatch):
    monkeypatch.setattr(
        predictions.frame_sampling, "views_at_once", lambda *_: 3
    )

    def step(pixels):
        model.waiting.pop()
        return pixels[:, 0, 0, 0, :2]

    model = stub(step)
    names = [f"bad{n}" if n % 5 == 2 else f"{n}.mp4" for n in range(40)]
    results = list(predictions.predict(model, [Input(name) for name in names]))
    assert [result.path for result in results] == names
    for number, result in enumerate(results):
        if number % 5 == 2:
            assert (result.scores, result.reason) == (None, "it is bad")
            assert result.error_line == f"bad{number}: it is bad"
        else:
            assert result.scores.tolist() == [number, number]
    assert 1 < model.most[0] <= 4  # three ahead, and the current one


def test_nan_scores_are_an_error():
    model = stub(lambda pixels: np.array([[0.5, np.nan]]))
    (result,) = predictions.predict(model, [Input("1.mp4")])
    assert result.scores is None and "not finite" in result.reason


def test_nan_scores_of_a_saved_clip_are_an_error(tmp_path):
    model = stub(lambda pixels: np.array([[0.5, np.nan]]))
    path = str(tmp_path / "a.npy")
    options = types.SimpleNamespace(sample=None, save_clip=path)
    (result,) = video_prediction.predict_clip(options, model, [Input("1.mp4")])
    assert result.scores is None and "not finite" in result.reason


def test_refused_clip_file_is_an_error_and_refused_video_raises():
    def refuse(pixels):
        raise UserError("Expected more. Received: a.npy")

    model = stub(refuse)
    (result,) = predictions.predict(model, [Input("1.npy")])
    assert result.reason.startswith("Expected more")
    with pytest.raises(UserError, match="Expected more"):
        list(predictions.predict(model, [Input("1.mp4")]))


def test_error_line_has_the_path_once():
    result = predictions.Prediction("a.npy", reason="There is no file a.npy.")
    assert result.error_line == "There is no file a.npy."


def test_long_timeline_prints_progress(monkeypatch, capsys):
    monkeypatch.setattr(
        predictions,
        "Progress",
        lambda total, noun: Progress(total, noun, every_seconds=0),
    )

    def score_timeline(predictor, path, step_s, progress):
        progress(1, 30)
        progress(2, 30)
        raise VideoError("it ends")

    monkeypatch.setattr(predictions.timeline, "score_timeline", score_timeline)
    model = stub(lambda pixels: pixels)
    (result,) = predictions.predict_timelines(model, [Input("1.mp4")], 1.0)
    assert result.reason == "it ends"
    assert "2 of 30 clips of 1.mp4, about" in capsys.readouterr().err
