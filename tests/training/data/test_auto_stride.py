"""Frame stride chosen from the lengths of videos."""

import pytest

from training.data import auto_stride
from training.data.clip_reader import Probe
from training.data.sampling_config import AUTO, SamplingConfig
from training.io.user_error import UserError

SIXTEEN = SamplingConfig(frames=16, frame_stride=AUTO)


def chosen(videos, sampling=SIXTEEN):
    """(stride, rate) for videos of some (frames, rate)."""
    probes = [Probe(frames, 36, 52, fps) for frames, fps in videos]
    config = auto_stride.for_videos(probes, sampling)
    return config.frame_stride, config.fps


@pytest.mark.parametrize(
    ("frames", "stride"),
    [
        (60, 3),  # 46 of 60 frames
        (61, 4),  # the first and the last
        (31, 2),
        (30, 1),
        (16, 1),
        (5, 1),  # shorter than a clip
        (1, 1),
    ],
)
def test_clip_spans_the_video(frames, stride):
    assert chosen([(frames, 25.0)] * 3) == (stride, None)


def test_stride_follows_the_median_length():
    assert chosen([(20, 25.0), (76, 25.0), (4000, 25.0)]) == (5, None)


def test_clip_has_at_least_two_frames_per_second():
    assert chosen([(9000, 25.0)]) == (12, None)
    assert chosen([(9000, 60.0)]) == (30, None)
    assert chosen([(9000, 1.0)]) == (1, None)


def test_different_rates_are_resampled_to_the_median():
    videos = [(60, 25.0), (60, 25.0), (144, 60.0)]  # all of 2.4 s
    assert chosen(videos) == (3, 25.0)


def test_nearly_equal_rates_are_equal():
    assert chosen([(60, 30.0), (60, 29.97)]) == (3, None)


def test_configured_rate_is_kept():
    sampling = SamplingConfig(frames=16, frame_stride=AUTO, fps=10.0)
    assert chosen([(150, 25.0), (150, 25.0)], sampling) == (3, 10.0)


def test_unknown_rates_use_frame_counts():
    assert chosen([(60, 0.0), (61, 0.0)]) == (3, None)
    assert chosen([(900, 0.0)]) == (59, None)


def test_stride_of_single_frame_clips():
    single = SamplingConfig(frames=1, frame_stride=AUTO)
    assert chosen([(60, 25.0)], single) == (12, None)


def test_unresolved_stride_raises():
    with pytest.raises(UserError, match="resolved when a run begins"):
        _ = SIXTEEN.stride
