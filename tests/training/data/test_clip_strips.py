import io

import numpy as np
from PIL import Image

from training.data import abilities, clip_strips
from training.data.ability_config import ABILITIES, AbilityConfig
from training.data.data_config import DataConfig


def picture(config):
    png, labels = clip_strips.draw_strips(config)
    return np.asarray(Image.open(io.BytesIO(png))), labels


def test_frames_of_the_first_clips_stand_beside_each_other():
    config = AbilityConfig("far_time", noise=3.0)
    drawn, labels = picture(config)
    dataset = abilities.Abilities(config)
    scale, gap = clip_strips.SCALE, clip_strips.GAP_PX
    height, width = (scale * px for px in config.frame_px)
    for index, label in enumerate(labels):
        example = dataset.example("test", index)
        assert dataset.classes[example.label] == label
        top = index * (height + 3 * gap) + gap
        for number, frame in enumerate(example.pixels):
            left = number * (width + gap) + gap
            cell = drawn[top : top + height, left : left + width]
            np.testing.assert_array_equal(cell[::scale, ::scale], frame)


def test_long_clips_take_several_rows():
    drawn, _ = picture(AbilityConfig("long"))
    assert drawn.shape[1] <= clip_strips.MAX_WIDTH_PX
    assert drawn.shape[0] > 4 * 8 * clip_strips.SCALE


def test_frames_wider_than_the_picture_stand_above_each_other():
    drawn, _ = picture(AbilityConfig("far_space", frames=2, distance=500))
    gap, scale = clip_strips.GAP_PX, clip_strips.SCALE
    assert drawn.shape[1] == scale * (3 * 8 + 500) + 2 * gap
    assert drawn.shape[0] == 2 * (2 * (scale * 16 + gap) + gap) + gap


def test_all_abilities_are_drawn_or_the_one_that_is_set():
    names = clip_strips.strip_names(DataConfig())
    assert list(names) == [f"abilities_{name}.png" for name in ABILITIES]
    one = AbilityConfig("motion", noise=40.0)
    chosen = clip_strips.strip_names(DataConfig(clips=one))
    assert chosen == {"abilities_motion.png": one}
