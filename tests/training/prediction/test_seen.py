"""From a clip's pixels to those of the video that it was cut from."""

import numpy as np
import pytest

from nonlocal_tf.attention.attention_map import AttentionMap
from tests.training.data import films
from training.data.sampling_config import SamplingConfig
from training.io.user_error import UserError
from training.prediction import seen
from training.recipes.schema import ModelConfig, OptimizerConfig, Recipe

SAMPLING = SamplingConfig(
    frames=4,
    frame_stride=3,
    min_short_side_px=24,
    max_short_side_px=24,
    crop_px=20,
    eval_short_side_px=24,
)
RECIPE = Recipe(
    name="made",
    description="",
    dataset="folder",
    model=ModelConfig("c2d_nl1_small"),
    optimizer=OptimizerConfig(base_lr=0.1),
    batch=1,
    steps=1,
    epoch_steps=1,
    sampling=SAMPLING,
)
WHITE_PX = 12


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A white square in its 10th frame, 80 x 120, rows 36 to 48, 60 to 72."""
    pixels = np.zeros((20, 80, 120, 3), "uint8")
    pixels[9, 36:48, 60:72] = 255
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    return films.write_film(path, pixels, "ffv1", "bgr0")


@pytest.mark.parametrize("short_side_px", [480, 40])
def test_cells_are_drawn_on_what_they_stand_for(
    film, monkeypatch, short_side_px
):
    monkeypatch.setattr(seen, "SHORT_SIDE_PX", short_side_px)
    clip = seen.of_file(str(film), RECIPE.sampling, 0.0)
    bright = np.argwhere(clip.pixels[..., 0] > 127)
    frame, *middle = bright.mean(0)
    # One cell a pixel, but time: the cell at the square's middle.
    cell = (int(frame), *(round(m) for m in middle))
    look = AttentionMap("b", cell, np.zeros((4, 20, 20)), (1.0, 1.0, 1.0))
    number, y, x = clip.in_video(look, cell)
    assert number == 9  # the video's frame, the clip's is 3
    assert (y, x) == pytest.approx((42, 66), abs=2.5)  # pixels are 3.3
    _, down, along = clip.on_frames(look).center(cell)
    height, width = clip.frames.shape[1:3]
    assert min(height, width) == min(short_side_px, 80)
    assert down / height == pytest.approx(42 / 80, abs=0.03)
    assert along / width == pytest.approx(66 / 120, abs=0.03)
    assert clip.frames[cell[0], int(down), int(along), 0] == 255


def test_frames_are_shown_for_as_long_as_in_the_video(film):
    clip = seen.of_file(str(film), RECIPE.sampling, 0.2)
    assert clip.milliseconds == 120
    assert clip.names[0] == "frame 5, 0.2 s"


def test_clip_files_are_their_own_frames(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 9, (3, 5, 7, 3), np.uint8)
    np.save(tmp_path / "a.npy", pixels)
    clip = seen.of_file(str(tmp_path / "a.npy"), RECIPE.sampling, None)
    np.testing.assert_array_equal(clip.frames, pixels)
    look = AttentionMap("b", (0, 0, 0), np.zeros((3, 5, 7)), (1.0, 1.0, 1.0))
    assert clip.on_frames(look) is look
    assert clip.in_video(look, (0, 0, 0)) is None


def test_clip_files_have_no_seconds(tmp_path):
    with pytest.raises(UserError, match="--at is for videos"):
        seen.of_file(str(tmp_path / "a.npy"), RECIPE.sampling, 1.0)
