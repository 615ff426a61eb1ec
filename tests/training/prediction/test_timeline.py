"""Scores along a video, against a loop over all of its frames."""

import numpy as np
import pytest

from tests.training.data import films
from training.data import frame_sampling
from training.data.clip_reader import VideoError
from training.data.sampling_config import SamplingConfig
from training.io import curves
from training.prediction import timeline
from training.prediction.predictor import Predictor
from training.prediction.timeline import Timeline
from training.prediction.video_inputs import Input

SAMPLING = SamplingConfig(
    frames=3,
    frame_stride=4,
    min_short_side_px=36,
    max_short_side_px=36,
    crop_px=36,
    eval_short_side_px=36,
)


class Network:
    """Scores are the mean brightness of each frame and of the clip."""

    def __init__(self):
        self.most = 0

    def __call__(self, pixels):
        self.most = max(self.most, len(pixels))
        frames = pixels.mean(axis=(2, 3, 4))  # (n, t)
        return np.concatenate([frames, frames.mean(1)[:, None]], axis=1)


def predictor(network):
    return Predictor(
        path="m",
        classes=("first", "second", "third", "all"),
        sampling=SAMPLING,
        decoder="pyav",
        views=frame_sampling.middle(SAMPLING),
        chosen=False,
        step=network,
    )


@pytest.mark.parametrize("step_s", [0.3, 1.0, 7.0])
def test_scores_equal_a_loop_over_times(tmp_path, step_s):
    path = str(films.write_film(tmp_path / "a.mkv", 83, fps=10))
    frames = films.decode_all(path)[:, :, 8:44]  # the middle
    network = Network()
    along = timeline.score_timeline(predictor(network), path, step_s)
    time, row = 0.0, 0
    while time < 8.3 - 1e-9:
        start = min(max(time * 10 - 6, 0), 83 - 12)
        numbers = [int(start), int(start) + 4, int(start) + 8]
        brightness = frames[numbers].mean(axis=(1, 2, 3))
        expected = [*brightness, brightness.mean()]
        np.testing.assert_allclose(along.scores[row], expected, rtol=1e-6)
        assert along.times_s[row] == pytest.approx(time)
        assert along.starts_s[row] == pytest.approx(numbers[0] / 10)
        assert along.ends_s[row] == pytest.approx((numbers[2] + 1) / 10)
        row += 1
        time = row * step_s
    assert row == len(along.scores) and network.most <= timeline.BATCH


def test_gif_is_scored_as_a_video(tmp_path):
    clip = films.pictures(40)
    film = films.write_film(tmp_path / "a.mp4", clip, crf=1)
    gif = films.write_gif(tmp_path / "a.GIF", clip, 40)
    model = predictor(Network())
    of_film, of_gif = (
        model.score(model.read(Input(str(path)))) for path in (film, gif)
    )
    np.testing.assert_allclose(of_gif, of_film, atol=4)
    along = timeline.score_timeline(model, str(gif), 0.5)
    assert along.length_s == pytest.approx(1.6) and len(along.scores) == 4


def test_progress_counts_clips(tmp_path):
    path = str(films.write_film(tmp_path / "a.mkv", 31, fps=10))
    calls = []
    timeline.score_timeline(
        predictor(Network()), path, 1.0, lambda *counts: calls.append(counts)
    )
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(
    ("frames", "fps", "step_s", "count"),
    [(300, 30.0, 1.0, 10), (301, 30.0, 1.0, 11), (3, 30.0, 1.0, 1)]
    + [(30, 10.0, 0.1, 30)]  # 3 / 0.1 is more than 30 in floats
    # Matroska rounds the last frame's time from 9.9667 s to 9.967.
    + [(300, 299 / 9.967, 1.0, 10), (300, 299 / 9.966, 1.0, 10)],
)
def test_every_started_step_has_a_row(frames, fps, step_s, count):
    times_s = timeline.clip_times(frames, fps, step_s)
    np.testing.assert_allclose(times_s, [step_s * row for row in range(count)])


def test_unknown_frame_rate_is_an_error():
    with pytest.raises(VideoError, match="frame rate"):
        timeline.clip_times(300, 0.0, 1.0)


def timeline_of(scores, step_s=1.0, length_s=1e9):
    times = np.arange(len(scores)) * step_s
    scores = np.array(scores, float)
    return Timeline(step_s, times, times, times + 1, scores, length_s)


def test_segments_join_equal_classes():
    along = timeline_of([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.6, 0.4]], 0.5)
    segments = list(timeline.segments(along, ("a", "b")))
    assert [row[:3] for row in segments] == [
        (0.0, 1.0, "a"),
        (1.0, 1.5, "b"),
        (1.5, 2.0, "a"),
    ]
    assert [row[3] for row in segments] == pytest.approx([0.8, 0.8, 0.6])


def test_last_segment_ends_with_the_video(tmp_path):
    path = str(films.write_film(tmp_path / "a.mkv", 83, fps=10))
    along = timeline.score_timeline(predictor(Network()), path, 7.0)
    *_, last = timeline.segments(along, "abcd")
    assert last[1] == pytest.approx(8.3)


@pytest.mark.parametrize("rows", [1, 7, 1200])
def test_plot_has_a_line_for_each_of_the_best_classes(rows, monkeypatch):
    pytest.importorskip("matplotlib")
    figures = []
    monkeypatch.setattr(curves.plots, "png", figures.append)
    scores = np.random.default_rng(0).dirichlet(np.ones(6), rows)
    names = [f"a rather long name of a class, the {n}th" for n in range(6)]
    timeline.png(timeline_of(scores), names, "a video.mp4", lines=5)
    (axes,) = figures[0].axes
    best = np.argsort(-scores.max(axis=0))[: len(curves.COLOURS)]
    legend = axes.get_legend()
    assert legend.get_title().get_text() == "a video.mp4"
    assert [text.get_text() for text in legend.get_texts()] == [
        names[label] for label in best
    ]
    per_point = -(-rows // curves.POINTS_UP_TO)
    means = scores.reshape(-1, per_point, 6).mean(axis=1)
    for line, label in zip(axes.lines, best, strict=True):
        np.testing.assert_allclose(line.get_ydata(), means[:, label])
        assert line.get_xdata()[-1] == rows - 1


def test_times_follow_the_time_stamps(tmp_path):
    """2 frames a second for 20 s, then 25 a second for 4 s."""
    dark, light = (np.full((1, 36, 36, 3), grey, np.uint8) for grey in (9, 200))
    frames = np.concatenate([dark] * 40 + [light] * 100)
    stamps = [25 * n for n in range(40)] + [1000 + 2 * n for n in range(100)]
    path = films.write_film(tmp_path / "a.mp4", frames, stamps=stamps, fps=50)
    along = timeline.score_timeline(predictor(Network()), str(path), 0.5)
    assert along.length_s == pytest.approx(24, abs=0.05)
    middle = along.scores[:, 1]  # of the middle frame of three
    change = along.times_s[np.argmax(middle > 100)]
    assert change == pytest.approx(20.0, abs=0.5)
    row = int(20 / 0.5)
    assert along.starts_s[row - 20] < 10 < along.ends_s[row - 20]
    assert along.ends_s[row + 2] == pytest.approx(21 + 6 / 25, abs=0.2)


def test_it_says_when_times_are_guessed(tmp_path):
    path = films.write_film(tmp_path / "a.mp4", 30)
    assert timeline.score_timeline(predictor(Network()), str(path), 1.0).stamped
    films.stamp_wrongly(path, tmp_path / "wrong.mkv")
    along = timeline.score_timeline(
        predictor(Network()), str(tmp_path / "wrong.mkv"), 1.0
    )
    assert not along.stamped
