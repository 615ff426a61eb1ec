"""Which clips the app takes of a film, and where it keeps them."""

import dataclasses
import tracemalloc

import numpy as np
import pytest

from tests.training.app_models import SAMPLING
from tests.training.data import films
from training.data import sampling as samples
from training.data.decode import VideoIndex
from training.data.video_views import VideoViews
from training.io.user_error import UserError
from training.page import app_films


def index(frames, fps=25.0):
    none = np.zeros(0, np.int64)
    return VideoIndex(frames, 36, 52, fps, 0, "count", none, none)


def starts(frames, fps=25.0, sampling=SAMPLING):
    """First frames of the clips, and the last of all."""
    wanted = app_films._frames_of_clips(index(frames, fps), sampling)
    return wanted[:, 0].tolist(), int(wanted.max())


def test_a_short_film_is_its_middle(tmp_path):
    path = films.write_film(tmp_path / "film.mp4", 11)
    film = app_films.clips_of_video(path, SAMPLING, lambda *_: None)
    middle = VideoViews(str(path), SAMPLING).read(samples.middle(SAMPLING))
    np.testing.assert_array_equal(film.clip(0), middle[0])
    film.frames.close()
    assert len(film.numbers) == 1
    assert film.about.startswith("1 clip of a film of 0.4 s")


def test_a_clip_a_second_from_the_first_frame_to_the_last():
    # 112 frames are 4.48 s: less 0.48 s of a clip 4 s, so five starts.
    assert starts(112) == ([0, 26, 51, 76, 102], 111)


def test_a_day_has_no_more_clips_than_an_hour():
    firsts, last = starts(24 * 3600 * 25)
    assert len(firsts) == app_films.MAX_CLIPS
    assert (firsts[0], last) == (0, 24 * 3600 * 25 - 1)


def test_strides_at_a_rate_of_their_own():
    # At 5 a second, 4 frames with stride 3 are 2.4 s: 60 frames of the file.
    sampling = dataclasses.replace(SAMPLING, fps=5.0)
    assert starts(109, sampling=sampling) == ([0, 24, 49], 108)


def test_a_film_without_a_rate_says_what_is_assumed():
    assert starts(60, fps=0.0) == starts(60, fps=25.0)
    text = app_films._about(index(60, fps=0.0), [(0.0, 1.0)])
    assert "it says no rate: taken to be 25 frames a second" in text


def test_clips_are_those_frames_of_the_film(tmp_path):
    shades = np.arange(60, dtype=np.uint8)[:, None, None, None] * 4
    pixels = np.broadcast_to(shades, (60, 36, 52, 3))
    path = films.write_film(tmp_path / "film.mp4", pixels, crf=0)
    told = []
    film = app_films.clips_of_video(
        path, SAMPLING, lambda *what: told.append(what)
    )
    seen = film.clip(1)[:, 9, 9, 1] / 4
    film.frames.close()
    np.testing.assert_allclose(seen, [25, 28, 31, 34], atol=1)
    assert film.seconds[1] == pytest.approx((25 / 25, 35 / 25))
    assert told[0] == ("Reading the film", 0, 0)
    assert told[-1] == ("Taking frames", 12, 12)


@pytest.mark.parametrize("kind", [ConnectionResetError, OSError])
def test_what_goes_wrong_here_is_not_the_films_fault(tmp_path, kind):
    """A browser that has gone, and a disk that is full."""

    def fail(what, done, of):
        if done == 3:
            raise kind(28, "No space left on device")

    path = films.write_film(tmp_path / "film.mp4", 11)
    with pytest.raises(kind, match="No space"):
        app_films.clips_of_video(path, SAMPLING, fail)


def test_frames_wait_on_the_disk():
    tracemalloc.start()
    frames = app_films.Frames((256, 256, 3))
    for number in range(50):  # 10 MB
        frames.add(np.full((256, 256, 3), number, np.uint8))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 1 << 20
    assert frames.read([49, 3])[:, 7, 7, 2].tolist() == [49, 3]
    frames.close()


@pytest.mark.parametrize("shape", [(5, 7, 3), (0, 5, 7, 3)])
def test_what_is_no_clip_says_what_is_one(shape):
    with pytest.raises(UserError, match="time, height, width, 3"):
        app_films.one_clip(np.zeros(shape, np.uint8), "")


def test_seconds_of_clips_are_those_of_time_stamps(tmp_path):
    stamps = [25 * n for n in range(20)] + [500 + n for n in range(100)]
    path = films.write_film(tmp_path / "film.mp4", 120, stamps=stamps)
    film = app_films.clips_of_video(path, SAMPLING, lambda *_: None)
    film.frames.close()
    assert film.seconds[0][0] == 0.0
    assert film.seconds[-1][1] == pytest.approx(24, abs=0.1)
    starts_s = [start for start, _ in film.seconds]
    assert sum(start < 20 for start in starts_s) > len(starts_s) / 2
    assert "24.0 s" in film.about


def test_a_film_that_nobody_waits_for_is_not_read_to_its_end(tmp_path):
    path = films.write_film(tmp_path / "film.mp4", 60)
    calls = []

    def gone(what, done, of):
        calls.append(what)
        if len(calls) == 5:
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        app_films.clips_of_video(path, SAMPLING, gone)
    assert calls == ["Reading the film"] * 5
