"""Frames of clips by the rules of the authors, SlowFast and MMAction2."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from training.data import frame_sampling
from training.data.sampling_config import SamplingConfig, ViewsConfig

CONFIG = SamplingConfig(frames=5, frame_stride=3)
SLOWFAST = dataclasses.replace(CONFIG, fps=30.0, past_end="clamp")


def random_clip(draw, frames, config=CONFIG, fps=25.0, factor=None):
    draw, frames = tf.constant(draw), tf.constant(frames, tf.int64)
    fps = tf.constant(fps, tf.float64)
    clip = frame_sampling.random_clip(draw, frames, fps, config, None, factor)
    return clip.numpy().tolist()


def clips(frames, views, config=CONFIG, fps=25.0):
    frames = tf.constant(frames, tf.int64)
    fps = tf.constant(fps, tf.float64)
    return frame_sampling.clips(frames, fps, config, views).numpy().tolist()


def test_clip_starts_anywhere_it_fits():
    # 40 frames, a clip of 15: from 0 to 25, both included.
    draws = np.linspace(0, 1, 520, endpoint=False, dtype=np.float32)
    starts = [random_clip(draw, 40)[0] for draw in draws]
    assert np.bincount(starts).tolist() == [20] * 26


def test_frames_of_a_clip_are_a_stride_apart():
    assert random_clip(0.5, 40) == [13, 16, 19, 22, 25]


def test_short_video_wraps():
    assert random_clip(0.9, 7) == [0, 3, 6, 2, 5]


def test_short_video_is_clamped_to_its_last_frame():
    clamped = dataclasses.replace(CONFIG, past_end="clamp")
    assert random_clip(0.9, 7, clamped) == [0, 3, 6, 6, 6]


def test_largest_draw_still_fits():
    below_one = np.nextafter(np.float32(1), np.float32(0))
    assert random_clip(below_one, 10**7) == [
        10**7 - 15 + 3 * i for i in range(5)
    ]


@pytest.mark.parametrize("factor", [0.5, 0.77, 1.0, 1.9])
def test_a_factor_of_the_stride_keeps_clips_in_the_video(factor):
    for draw in (0.0, 0.4, 0.99):
        stride = 3 * factor
        start = int(draw * (41 - np.ceil(5 * stride)))
        expected = [start + int(i * stride) for i in range(5)]
        assert random_clip(draw, 40, factor=factor) == expected


def test_a_longer_stride_is_reduced_to_fit():
    assert random_clip(0.9, 20, factor=1.9) == [0, 4, 8, 12, 16]
    assert random_clip(0.9, 7, factor=1.9) == random_clip(0.9, 7)


def by_slowfast(start, frames, fps):
    """linspace from start to start + length - 1, clamped, floored."""
    length = 5 * 3 * fps / 30
    places = np.linspace(start, start + length - 1, 5)
    return np.clip(places, 0, frames - 1).astype(int).tolist()


@pytest.mark.parametrize("fps", [15.0, 25.0, 60.0])
def test_slowfast_counts_at_its_own_rate(fps):
    room = 100 - 5 * 3 * fps / 30
    expected = by_slowfast(0.25 * room, 100, fps)
    assert random_clip(0.25, 100, SLOWFAST, fps) == expected


def test_a_factor_scales_the_stride_at_a_rate():
    length = 0.6 * 5 * 3 * 25 / 30
    start = 0.25 * (100 - length)
    places = np.linspace(start, start + length - 1, 5)
    clip = random_clip(0.25, 100, SLOWFAST, factor=0.6)
    assert clip == places.astype(int).tolist()


def test_slowfast_stays_at_the_end():
    assert random_clip(0.7, 9, SLOWFAST, 30.0) == by_slowfast(0, 9, 30)


def test_short_video_wraps_at_a_rate_too():
    wrapped = dataclasses.replace(SLOWFAST, past_end="wrap")
    # Evenly from 0 to 14: 0, 3.5, 7, 10.5, 14, of nine frames.
    assert random_clip(0.7, 9, wrapped, 30.0) == [0, 3, 7, 1, 5]


def test_unknown_rate_is_taken_to_be_slowfasts():
    assert random_clip(0.5, 100, SLOWFAST, 0.0) == random_clip(
        0.5, 100, SLOWFAST, 30.0
    )


@pytest.mark.parametrize("frames", [7, 33, 250, 301])
def test_authors_clips_start_at_tenths_and_wrap(frames):
    expected = [
        [(int(float(frames) / 10 * j) + 3 * k) % frames for k in range(5)]
        for j in range(10)
    ]
    assert clips(frames, ViewsConfig()) == expected


def test_slowfasts_last_clip_ends_before_the_video():
    starts = [clip[0] for clip in clips(100, ViewsConfig(starts="slowfast"))]
    assert starts == [int((100 - 15) * j / 10) for j in range(10)]


@pytest.mark.parametrize("frames", [7, 33, 100, 301])
def test_mmaction2s_clips_reach_from_end_to_end(frames):
    # There, 5 frames with stride 3 are 13 long; halves go to the even number.
    room = max(frames - 13, 0)
    expected = [
        [(round(j * (room / 9)) + 3 * k) % frames for k in range(5)]
        for j in range(10)
    ]
    got = clips(frames, ViewsConfig(starts="mmaction2"))
    assert got == expected
    assert frames < 13 or got[-1][-1] == frames - 1


def test_mmaction2s_one_clip_is_in_the_middle():
    views = ViewsConfig(clips=1, starts="mmaction2")
    assert clips(40, views) == [[13, 16, 19, 22, 25]]


def test_middle_clip():
    views = ViewsConfig(clips=1, starts="centre")
    assert clips(40, views) == [[12, 15, 18, 21, 24]]


def test_clips_are_the_same_in_a_pipeline():
    def of(frames):
        return frame_sampling.clips(
            frames, tf.constant(25.0, tf.float64), SLOWFAST, ViewsConfig()
        )

    lengths = [7, 33, 250]
    mapped = tf.data.Dataset.from_tensor_slices(
        tf.constant(lengths, tf.int64)
    ).map(of)
    for frames, numbers in zip(lengths, mapped, strict=True):
        assert numbers.numpy().tolist() == clips(
            frames, ViewsConfig(), SLOWFAST
        )


BAD = [
    ({"past_end": "warp"}, {}, "past_end"),
    ({}, {"starts": "author"}, "starts"),
    ({"frames": 0}, {}, "frames to be at least 1"),
    ({"fps": 0.0}, {}, "fps to be a number above 0"),
    ({"erase": 1.5}, {}, "erase from 0 to 1"),
    ({"crop_area": (0.0, 1.0)}, {}, "crop_area as the smallest"),
    ({"crop_ratio": (2.0, 1.0)}, {}, "crop_ratio as the smallest"),
    ({"crop_area": (0.3, 1), "crop_ratio": (1, math.inf)}, {}, "crop_ratio"),
    ({"rand_augment": -1}, {}, "rand_augment from 0"),
    ({"rand_augment": 10**8}, {}, "rand_augment from 0"),
    ({"rand_augment": 2, "magnitude": 11.0}, {}, "magnitude from 0 to 10"),
    ({"magnitude": 9.0}, {}, "goes with .* sampling.rand_augment"),
    ({"crop_ratio": (1.0, 2.0)}, {}, "goes with .* sampling.crop_area"),
    ({"flip": False, "flip_pairs": "a:b"}, {}, "goes with .* sampling.flip="),
    ({}, {"crops": 2}, "crops to be 1, 3, or 0"),
    ({"crop_px": 300}, {}, "300, 256, 320"),
    ({"min_short_side_px": 330}, {}, "224, 330, 320"),
    ({"eval_short_side_px": 200}, {}, "224 of 200"),
    ({}, {"crop_px": 257}, "257 of 256"),
]


@pytest.mark.parametrize(("changes", "of_views", "message"), BAD)
def test_inconsistent_settings_raise(changes, of_views, message):
    config = dataclasses.replace(SamplingConfig(), **changes)
    views = dataclasses.replace(ViewsConfig(), **of_views)
    with pytest.raises(ValueError, match=message):
        frame_sampling.check(config, views)


def test_default_settings_are_valid():
    frame_sampling.check(SamplingConfig(), ViewsConfig())
    frame_sampling.check(SamplingConfig(), ViewsConfig(crops=0))


def test_clip_can_start_with_any_frame():
    def clip_from(start, config):
        start, frames = (tf.constant(n, tf.int64) for n in (start, 40))
        fps = tf.constant(25.0, tf.float64)
        return (
            frame_sampling.clip_from(start, frames, fps, config)
            .numpy()
            .tolist()
        )

    assert clip_from(7, CONFIG) == [7, 10, 13, 16, 19]
    assert clip_from(30, CONFIG) == [30, 33, 36, 39, 2]
    assert clip_from(7, SLOWFAST) == by_slowfast(7, 40, 25.0)
    assert clip_from(38, SLOWFAST)[-1] == 39


@pytest.mark.parametrize("fps", [None, 30.0])
def test_clips_around_times_lie_in_the_video(fps):
    config = SamplingConfig(frames=4, frame_stride=3, fps=fps)
    rate, frames = 25.0, 103
    span = 12 * (rate / fps if fps else 1)
    times = [0.0, 0.2, 1.0, 2.5, 4.0, 4.1]
    numbers = frame_sampling.around(
        tf.constant(times, tf.float64),
        tf.constant(frames, tf.int64),
        tf.constant(rate, tf.float64),
        config,
    )
    for time, clip in zip(times, numbers.numpy(), strict=True):
        start = min(max(time * rate - span / 2, 0), frames - span)
        if fps:
            steps = [start + i * (span - 1) / 3 for i in range(4)]
        else:
            steps = [int(start) + 3 * i for i in range(4)]
        assert clip.tolist() == [int(step) for step in steps]


def uneven():
    """Edges of 8 frames of a second, then 16 of a quarter: 12 s."""
    return tf.constant(np.cumsum([0.0] + [1.0] * 8 + [0.25] * 16))


@pytest.mark.parametrize("past_end", ["wrap", "clamp"])
@pytest.mark.parametrize("traced", [False, True])
def test_clip_rate_samples_displayed_frames(past_end, traced):
    config = SamplingConfig(4, 1, fps=1.0, past_end=past_end)
    edges_s = uneven()
    count, fps = tf.constant(24, tf.int64), tf.constant(23 / 11.75, tf.float64)
    call = frame_sampling.clip_from
    if traced:
        call = tf.function(call)
    for start in (0, 5, 9, 20):
        got = call(tf.constant(start, tf.int64), count, fps, config, edges_s)
        # From the first frame in even steps to half a second before the end.
        first = edges_s.numpy()[start]
        moments = first + np.linspace(0, 4 - 0.5, 4)
        moments = moments % 12 if past_end == "wrap" else moments
        expected = [
            min(int(np.searchsorted(edges_s, t + 1e-6, "right")) - 1, 23)
            for t in moments
        ]
        assert got.numpy().tolist() == expected


def test_evaluation_clips_of_uneven_frames_follow_time():
    config = SamplingConfig(2, 1, fps=1.0, past_end="clamp")
    views = ViewsConfig(clips=6, starts="slowfast")
    got = frame_sampling.clips(
        tf.constant(24, tf.int64),
        tf.constant(23 / 11.75, tf.float64),
        config,
        views,
        uneven(),
    ).numpy()
    starts_s = uneven().numpy()[got[:, 0]]
    np.testing.assert_allclose(starts_s, np.arange(6) * 10 / 6, atol=1)
    assert got[:, 0].tolist() == [0, 1, 3, 5, 6, 9]


def test_clips_around_times_are_centred():
    config = SamplingConfig(4, 2)
    got = frame_sampling.around(
        tf.constant([0.0, 5.0, 8.0, 9.0, 12.0], tf.float64),
        tf.constant(24, tf.int64),
        tf.constant(2.0, tf.float64),
        config,
        uneven(),
    ).numpy()
    assert got[:, 0].tolist() == [0, 1, 4, 8, 16]


def test_empty_edges_mean_even_frames():
    config = SamplingConfig(5, 3, fps=7.0)
    for draw in np.linspace(0, 0.999, 17):
        plain, mixed = (
            frame_sampling.random_clip(
                tf.constant(draw, tf.float32),
                tf.constant(91, tf.int64),
                tf.constant(29.97, tf.float64),
                config,
                edges_s,
            )
            for edges_s in (None, tf.zeros(0, tf.float64))
        )
        np.testing.assert_array_equal(plain, mixed)
