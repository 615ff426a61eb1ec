"""Frames of real films, with the faults that real films have."""

import numpy as np
import pytest

from tests.training.data import films, real_videos
from tests.training.data.real_videos import FRAMES
from training.data import video_decoder, video_index

pytestmark = pytest.mark.slow
# Packed B-frames, or an edit list with timestamps out of order.
COUNTED = {"Megamind.avi", "Megamind_bugy.avi", "box.mp4"}


@pytest.mark.parametrize("name", list(FRAMES))
def test_frames_equal_those_of_full_decoding(name):
    path = real_videos.path(name)
    index = video_index.index_video(path)
    assert index.frames == FRAMES[name]
    assert index.order == ("count" if name in COUNTED else "timestamps")
    rng = np.random.default_rng(0)
    clips = [
        (int(rng.integers(0, index.frames)) + stride * np.arange(length))
        % index.frames
        for length, stride in [(32, 2), (8, 8), (8, 8), (3, 1)]
    ]
    # One pass, of which only what is compared is kept.
    numbers = sorted({int(number) for clip in clips for number in clip})
    truth = {}
    for number, frame in enumerate(films.frames_of(path)):
        if number in numbers:
            truth[number] = frame.to_ndarray(format="rgb24")
    for clip in clips:
        got = video_decoder.read_frames(path, clip, index)
        for number, frame in zip(clip, got, strict=True):
            np.testing.assert_array_equal(frame, truth[int(number)])
