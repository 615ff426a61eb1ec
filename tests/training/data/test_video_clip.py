"""A clip of a video, and where its pixels come from."""

import dataclasses

import numpy as np
import pytest

from tests.training.data import films
from training.data import video_clip
from training.data.sampling_config import SamplingConfig
from training.io.user_error import UserError

SIZE = (36, 52)
SAMPLING = SamplingConfig(
    frames=3,
    frame_stride=4,
    min_short_side_px=24,
    max_short_side_px=24,
    crop_px=18,
    eval_short_side_px=24,
)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Lossless, 40 frames, 25 a second."""
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    return films.write_film(path, films.pictures(40, SIZE), "ffv1", "bgr0")


def test_default_clip_is_centred(film):
    clip = video_clip.read(str(film), SAMPLING)
    assert clip.numbers.tolist() == [14, 18, 22]  # 40 - 12 frames of room
    assert clip.pixels.shape == (3, 18, 18, 3)
    assert clip.names()[1] == "frame 18, 0.7 s"
    assert clip.milliseconds == pytest.approx(160)


@pytest.mark.parametrize("at_s", [0.0, 0.28, 1.0])
def test_clip_starts_at_a_time(film, at_s):
    clip = video_clip.read(str(film), SAMPLING, at_s)
    first = round(25 * at_s)
    assert clip.numbers.tolist() == [first, first + 4, first + 8]


def test_clip_at_the_end_wraps(film):
    clip = video_clip.read(str(film), SAMPLING, 1.5)
    assert clip.numbers.tolist() == [37, 1, 5]


@pytest.mark.parametrize("at_s", [1.6, 100.0])
def test_time_past_the_end_raises(film, at_s):
    with pytest.raises(UserError, match="from 0 to before 1.60 s"):
        video_clip.read(str(film), SAMPLING, at_s)


def test_offset_and_scale_locate_the_pixels(film):
    clip = video_clip.read(str(film), SAMPLING, 0.0)
    frames = films.decode_all(film)
    # Scaled by 2/3 to 24 x 35, of which the middle 18 x 18 are cut out.
    assert (clip.offset, clip.scale) == ((3, 8), (1.5, pytest.approx(52 / 35)))
    for y, x in [(0, 0), (5, 9), (17, 17)]:
        down, along = (
            (place + 0.5 + offset) * scale - 0.5
            for place, offset, scale in zip(
                (y, x), clip.offset, clip.scale, strict=True
            )
        )
        y0, x0 = int(down), int(along)
        part = frames[4, y0 : y0 + 2, x0 : x0 + 2].astype(float)
        rows = np.array([1 - down % 1, down % 1])
        columns = np.array([1 - along % 1, along % 1])
        expected = np.einsum("yxc,y,x->c", part, rows, columns)
        np.testing.assert_allclose(clip.pixels[1, y, x], expected, atol=0.51)


def test_whole_frames_are_dimmed_outside_of_the_crop(film):
    clip = video_clip.read(str(film), SAMPLING, 0.0)
    whole, frames = clip.whole_frames(100), films.decode_all(film)
    assert whole.shape == (3, *SIZE, 3)  # not made larger
    # Rows 3 * 1.5 to 21 * 1.5, columns 8 * 52 / 35 to 26 * 52 / 35.
    np.testing.assert_array_equal(whole[1, 5:31, 12:38], frames[4, 5:31, 12:38])
    dark = (frames[4] * 0.4).astype("uint8")
    for outside in np.s_[:4], np.s_[32:], np.s_[:, :11], np.s_[:, 39:]:
        np.testing.assert_array_equal(whole[1][outside], dark[outside])


def test_whole_frames_can_be_smaller(film):
    clip = video_clip.read(str(film), SAMPLING, 0.0)
    assert clip.whole_frames(18).shape == (3, 18, 26, 3)


def test_damaged_file_is_named(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no film")
    with pytest.raises(UserError, match="a.mp4: it cannot be read"):
        video_clip.read(str(path), SAMPLING)


@pytest.fixture
def uneven(tmp_path):
    """A frame a second for 5 s, then 25 a second for 2 s; first at 4 s."""
    stamps = [100 + 25 * n for n in range(5)] + [225 + n for n in range(50)]
    path = tmp_path / "uneven.mp4"
    return str(films.write_film(path, 55, stamps=stamps))


@pytest.mark.parametrize(
    ("at_s", "first"), [(0, 0), (2.5, 2), (4.99, 4), (5, 5), (6, 30)]
)
def test_times_follow_timestamps(uneven, at_s, first):
    clip = video_clip.read(uneven, SAMPLING, at_s)
    assert clip.numbers.tolist() == [first, first + 4, first + 8]


def test_captions_follow_timestamps(uneven):
    clip = video_clip.read(uneven, SAMPLING, 6.0)
    assert clip.names() == ["frame 30, 6.0 s", "frame 34, 6.2 s"] + [
        "frame 38, 6.3 s"
    ]
    assert clip.milliseconds == pytest.approx(160)


def test_end_is_that_of_the_last_frame(uneven):
    with pytest.raises(UserError, match="from 0 to before 7.00 s"):
        video_clip.read(uneven, SAMPLING, 7.1)


def test_clip_rate_is_applied(uneven):
    sampling = dataclasses.replace(SAMPLING, fps=2.0, frame_stride=2)
    # A frame a second from 2 s on, and at 25 a second behind 5 s.
    clip = video_clip.read(uneven, sampling, 2.0)
    assert clip.numbers.tolist()[:2] == [2, 3]
    clip = video_clip.read(uneven, sampling, 4.0)
    times = clip.index.times.starts_s(clip.numbers)
    assert times[0] == 4.0 and 5.2 < times[1] < 5.6 and 6.4 < times[2] < 7
