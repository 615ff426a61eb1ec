"""Labels of the frames of a clip, by the times of the frames."""

import numpy as np
import pytest
import tensorflow as tf

from tests.training.data.parts import part_of
from training.data.clip_reader import Probe
from training.data.video_split import flip_table
from training.io.user_error import UserError


@pytest.mark.parametrize("traced", [False, True])
def test_labels_follow_frame_times(traced):
    # Ten frames of a second, then ten of a tenth; and 20 evenly in 20 s.
    edges_s = np.cumsum([0.0] + [1.0] * 10 + [0.1] * 10)
    part = part_of(
        Probe(20, 4, 6, 20 / 11, edges_s),
        Probe(20, 4, 6, 1.0),
        Probe(9, 4, 6, 0),
    )
    label = tf.function(part.label) if traced else part.label
    for index, frames, expected in [
        (0, [12, 14], [0, 0]),  # 10.2 to 10.4 s
        (0, [8, 14], [1, 0]),
        (0, [19, 19], [0, 0]),
        (1, [12, 14], [0, 1]),
        (2, [5, 6], [0, 0]),
    ]:
        frames = tf.constant(frames, tf.int64)
        got = label(tf.constant(index, tf.int64), frames)
        if index < 2:
            np.testing.assert_array_equal(got, expected)
        else:  # without a rate no span is excluded
            np.testing.assert_array_equal(got, [1, 1])


def test_evenly_spaced_videos_need_no_times():
    assert "edges_s" not in part_of(Probe(20, 4, 6, 1.0)).row(0)


def test_a_flip_exchanges_classes():
    classes = ("sit", "turn left", "turn right", "up")
    table = flip_table("turn left : turn right", classes)
    assert table == [0, 2, 1, 3]
    assert flip_table("up:sit,turn left:turn right", classes) == [3, 2, 1, 0]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ("left:right", "of the classes up, down, in, out"),
        ("up", "such as left:right"),
        ("up:up", "such as left:right"),
        ("up:down,in:up", "each class in one"),
    ],
)
def test_pairs_that_are_none_are_refused(pairs, message):
    with pytest.raises(UserError, match=message):
        flip_table(pairs, ("up", "down", "in", "out"))
