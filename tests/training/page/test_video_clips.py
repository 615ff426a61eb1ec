"""Clips of an uploaded video, and their temporary file."""

import dataclasses
import tracemalloc

import numpy as np
import pytest

from tests.training.data import films
from tests.training.page.app_models import SAMPLING
from training.data import frame_sampling
from training.data.video_index import VideoIndex
from training.data.video_views import VideoViews
from training.io.user_error import UserError
from training.page import video_clips


def index(frames, fps=25.0):
    none = np.zeros(0, np.int64)
    return VideoIndex(
        frames=frames,
        height=36,
        width=52,
        fps=fps,
        rotation=0,
        order="count",
        timestamps=none,
        keyframes=none,
    )


def starts(frames, fps=25.0, sampling=SAMPLING):
    """Return the first frame of each clip, and the last frame of all."""
    frame_numbers = video_clips.frames_of_clips(index(frames, fps), sampling)
    return frame_numbers[:, 0].tolist(), int(frame_numbers.max())


def test_short_video_is_its_middle_clip(tmp_path):
    path = films.write_film(tmp_path / "film.mp4", 11)
    film = video_clips.read_video(path, SAMPLING, lambda *_: None)
    middle = VideoViews(str(path), SAMPLING).read(
        frame_sampling.middle(SAMPLING)
    )
    np.testing.assert_array_equal(film.clip(0), middle[0])
    film.frames.close()
    assert len(film.numbers) == 1
    assert film.about.startswith("1 clip of a video of 0.4 s")


def test_one_clip_per_second_from_the_first_frame_to_the_last():
    # 112 frames are 4.48 s: less 0.48 s of a clip 4 s, so five starts.
    assert starts(112) == ([0, 26, 51, 76, 102], 111)


def test_number_of_clips_is_bounded():
    firsts, last = starts(24 * 3600 * 25)
    assert len(firsts) == video_clips.MAX_CLIPS
    assert (firsts[0], last) == (0, 24 * 3600 * 25 - 1)


def test_strides_at_a_fixed_frame_rate():
    # At 5 a second, 4 frames with stride 3 are 2.4 s: 60 frames of the file.
    sampling = dataclasses.replace(SAMPLING, fps=5.0)
    assert starts(109, sampling=sampling) == ([0, 24, 49], 108)


def test_missing_frame_rate_is_assumed_and_described():
    assert starts(60, fps=0.0) == starts(60, fps=25.0)
    text = video_clips.describe_clips(index(60, fps=0.0), [(0.0, 1.0)])
    assert "no frame rate in the file, assuming 25 fps" in text


def test_clips_have_the_frames_of_the_video(tmp_path):
    shades = np.arange(60, dtype=np.uint8)[:, None, None, None] * 4
    pixels = np.broadcast_to(shades, (60, 36, 52, 3))
    path = films.write_film(tmp_path / "film.mp4", pixels, crf=0)
    calls = []
    film = video_clips.read_video(
        path, SAMPLING, lambda *what: calls.append(what)
    )
    shades = film.clip(1)[:, 9, 9, 1] / 4
    film.frames.close()
    np.testing.assert_allclose(shades, [25, 28, 31, 34], atol=1)
    assert film.seconds[1] == pytest.approx((25 / 25, 35 / 25))
    assert calls[0] == ("Reading the video", 0, 0)
    assert calls[-1] == ("Decoding frames", 12, 12)


@pytest.mark.parametrize("kind", [ConnectionResetError, OSError])
def test_disconnects_and_full_disks_are_not_decoding_errors(tmp_path, kind):

    def fail(what, count, total):
        if count == 3:
            raise kind(28, "No space left on device")

    path = films.write_film(tmp_path / "film.mp4", 11)
    with pytest.raises(kind, match="No space"):
        video_clips.read_video(path, SAMPLING, fail)


def test_frames_are_stored_on_disk():
    tracemalloc.start()
    frames = video_clips.FrameStore((256, 256, 3))
    for number in range(50):  # 10 MB
        frames.add(np.full((256, 256, 3), number, np.uint8))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 1 << 20
    assert frames.read([49, 3])[:, 7, 7, 2].tolist() == [49, 3]
    frames.close()


@pytest.mark.parametrize("shape", [(5, 7, 3), (0, 5, 7, 3)])
def test_wrong_shape_of_a_clip_is_an_error(shape):
    with pytest.raises(UserError, match="time, height, width, 3"):
        video_clips.single_clip(np.zeros(shape, np.uint8), "")


def test_times_of_clips_follow_time_stamps(tmp_path):
    stamps = [25 * n for n in range(20)] + [500 + n for n in range(100)]
    path = films.write_film(tmp_path / "film.mp4", 120, stamps=stamps)
    film = video_clips.read_video(path, SAMPLING, lambda *_: None)
    film.frames.close()
    assert film.seconds[0][0] == 0.0
    assert film.seconds[-1][1] == pytest.approx(24, abs=0.1)
    starts_s = [start for start, _ in film.seconds]
    assert sum(start < 20 for start in starts_s) > len(starts_s) / 2
    assert "24.0 s" in film.about


def test_reading_stops_when_the_client_disconnects(tmp_path):
    path = films.write_film(tmp_path / "film.mp4", 60)
    calls = []

    def disconnect(what, count, total):
        calls.append(what)
        if len(calls) == 5:
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        video_clips.read_video(path, SAMPLING, disconnect)
    assert calls == ["Reading the video"] * 5
