"""Mapping from a clip's pixels to those of its video."""

import numpy as np
import pytest

from nonlocal_tf.attention.attention_map import AttentionMap
from tests.training.data import films
from training.data.sampling_config import SamplingConfig
from training.io.user_error import UserError
from training.prediction import attention_input

SAMPLING = SamplingConfig(
    frames=4,
    frame_stride=3,
    min_short_side_px=24,
    max_short_side_px=24,
    crop_px=20,
    eval_short_side_px=24,
)
WHITE_PX = 12


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Video of 80 x 120 with a white square in its 10th frame."""
    pixels = np.zeros((20, 80, 120, 3), "uint8")
    pixels[9, 36:48, 60:72] = 255
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    return films.write_film(path, pixels, "ffv1", "bgr0")


@pytest.mark.parametrize("short_side_px", [480, 40])
def test_cells_map_to_pixels_of_the_video(film, monkeypatch, short_side_px):
    monkeypatch.setattr(attention_input, "SHORT_SIDE_PX", short_side_px)
    clip = attention_input.read_file(str(film), SAMPLING, 0.0)
    bright = np.argwhere(clip.pixels[..., 0] > 127)
    frame, *middle = bright.mean(0)
    # One cell per pixel; the cell at the square's center.
    cell = (int(frame), *(round(m) for m in middle))
    attention_map = AttentionMap(
        "b", cell, np.zeros((4, 20, 20)), (1.0, 1.0, 1.0)
    )
    number, y, x = clip.in_video(attention_map, cell)
    assert number == 9  # the video's frame, the clip's is 3
    assert (y, x) == pytest.approx((42, 66), abs=2.5)  # pixels are 3.3
    _, down, along = clip.on_frames(attention_map).center(cell)
    height, width = clip.frames.shape[1:3]
    assert min(height, width) == min(short_side_px, 80)
    assert down / height == pytest.approx(42 / 80, abs=0.03)
    assert along / width == pytest.approx(66 / 120, abs=0.03)
    assert clip.frames[cell[0], int(down), int(along), 0] == 255


def test_frames_have_the_duration_of_the_video(film):
    clip = attention_input.read_file(str(film), SAMPLING, 0.2)
    assert clip.milliseconds == 120
    assert clip.names[0] == "frame 5, 0.2 s"


def test_clip_files_are_drawn_on_themselves(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 9, (3, 5, 7, 3), np.uint8)
    np.save(tmp_path / "a.npy", pixels)
    clip = attention_input.read_file(str(tmp_path / "a.npy"), SAMPLING, None)
    np.testing.assert_array_equal(clip.frames, pixels)
    attention_map = AttentionMap(
        "b", (0, 0, 0), np.zeros((3, 5, 7)), (1.0, 1.0, 1.0)
    )
    assert clip.on_frames(attention_map) is attention_map
    assert clip.in_video(attention_map, (0, 0, 0)) is None


def test_clip_files_refuse_a_start_time(tmp_path):
    with pytest.raises(UserError, match="--at is for videos"):
        attention_input.read_file(str(tmp_path / "a.npy"), SAMPLING, 1.0)
