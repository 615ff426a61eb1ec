"""Windows, held to an interpolation written as loops, in float64."""

import math

import numpy as np
import pytest
import tensorflow as tf

from training.data import transforms

# Rounding to whole levels in float32 instead of float64 may differ by one,
# where a value lies halfway.
LEVEL = 1


def frame(height, width, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), np.uint8)


def by_loops(picture, window, size_px):
    """Scaling as OpenCV's INTER_LINEAR defines it, a pixel at a time."""
    height, width, _ = picture.shape
    out = np.zeros((*size_px, 3))
    for i in range(size_px[0]):
        for j in range(size_px[1]):
            column = size_px[1] - 1 - j if window[4] else j
            y = (i + window[0] + 0.5) * window[2] - 0.5
            x = (column + window[1] + 0.5) * window[3] - 0.5
            y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
            y0, x0 = math.floor(y), math.floor(x)
            low, right = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
            for row, share in ((y0, 1 - y + y0), (low, y - y0)):
                out[i, j] += share * (1 - x + x0) * picture[row, x0]
                out[i, j] += share * (x - x0) * picture[row, right]
    return out


WINDOWS = {
    "smaller": (3, 7, 1.7, 1.9, 0),
    "much smaller": (0, 1, 3.3, 3.1, 0),
    "larger, over the edges": (0, 0, 0.6, 0.55, 0),
    "mirrored": (2, 5, 1.3, 1.1, 1),
    "as it is": (4, 6, 1.0, 1.0, 0),
    "as it is, to the corner": (26, 40, 1.0, 1.0, 0),
    "as it is, mirrored": (26, 40, 1.0, 1.0, 1),
}


@pytest.mark.parametrize("name", list(WINDOWS))
def test_resampler_interpolates_linearly(name):
    picture, window = frame(37, 53), WINDOWS[name]
    got = transforms.Resampler(37, 53, [window], (11, 13))(picture)[0]
    assert np.abs(got - by_loops(picture, window, (11, 13))).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("in_pipeline", [False, True])
@pytest.mark.parametrize("name", list(WINDOWS))
def test_tensorflow_equals_numpy(name, in_pipeline):
    clip = np.stack([frame(37, 53, seed) for seed in range(2)])
    windows = np.array([WINDOWS[name], WINDOWS["mirrored"]], np.float64)
    size_px = np.array([11, 13], np.int32)
    if in_pipeline:
        dataset = tf.data.Dataset.from_tensors((clip, windows, size_px))
        (got,) = dataset.map(transforms.resample)
    else:
        got = transforms.resample(clip, windows, size_px)
    resampler = transforms.Resampler(37, 53, windows, size_px)
    expected = np.stack([resampler(picture) for picture in clip], 1)
    assert got.shape == (2, 2, 11, 13, 3)
    difference = got.numpy().astype(int) - expected
    assert np.abs(difference).max() <= LEVEL


def test_resampler_reads_no_more_rows_than_it_needs():
    picture = frame(40, 30)
    resampler = transforms.Resampler(40, 30, [(0, 0, 8.0, 8.0, 0)], (5, 3))
    before = resampler(picture)
    picture[0] = 0  # row i + 1/2 is between 8 i + 3 and 8 i + 4
    np.testing.assert_array_equal(resampler(picture), before)


def test_scaled_size_rounds_the_long_side():
    # 640 * 256 / 272 = 602.35, 176 * 257 / 144 = 314.1, 3 * 5 / 2 = 7.5
    for size, short, expected in [
        ((272, 640), 256, (256, 602)),
        ((176, 144), 257, (314, 257)),
        ((2, 3), 5, (5, 8)),
    ]:
        got = transforms.scaled_size(*map(tf.constant, size), short)
        assert tuple(int(side) for side in got) == expected


def test_scaled_short_side_is_exact():
    # The authors' code truncates in float32 and gets 255 for 134 of these.
    for short in range(100, 1200):
        height, _ = transforms.scaled_size(short, 2 * short, 256)
        assert int(height) == 256


def random_windows(count, in_pipeline):
    draws = np.random.default_rng(0).random((count, 4), np.float32)

    def window(draw):
        return transforms.random_window(draw, 40, 60, (20, 24), 16, True)

    if in_pipeline:
        dataset = tf.data.Dataset.from_tensor_slices(draws).map(window)
        return np.array([w.numpy() for w in dataset])
    return np.array([window(draw).numpy() for draw in draws])


def test_random_windows_are_the_same_in_a_pipeline():
    np.testing.assert_array_equal(
        random_windows(20, False), random_windows(20, True)
    )


def test_random_windows_are_uniform_and_inclusive():
    windows = random_windows(4000, True)
    short = np.rint(40 / windows[:, 2]).astype(int)
    counts = np.bincount(short)[20:]
    assert len(counts) == 5  # 20 to 24, both included
    # Five standard deviations of a count of 4000 with a share of 1/5.
    assert np.abs(counts - 800).max() < 5 * math.sqrt(4000 * 0.2 * 0.8)
    for side, axis in ((40, 0), (60, 1)):
        scaled = np.rint(side / windows[:, 2 + axis])
        offsets = windows[:, axis]
        assert offsets.min() == 0
        assert (offsets <= scaled - 16).all()
        assert (offsets == scaled - 16).any()
    assert abs(windows[:, 4].mean() - 0.5) < 5 * math.sqrt(0.25 / 4000)


def test_windows_are_not_flipped_by_default():
    draws = np.zeros(4, np.float32)
    window = transforms.random_window(draws, 40, 60, (20, 24), 16, False)
    assert window[4] == 0


def test_three_crops_are_those_of_the_authors():
    # Scaled to 256 x 602; off = (602 - 256) // 2 * p.
    windows = transforms.crop_windows(272, 640, 256, 256, 3).numpy()
    assert windows[:, :2].tolist() == [[0, 0], [0, 173], [0, 346]]


def test_three_crops_of_an_upright_video_lie_below_each_other():
    windows = transforms.crop_windows(640, 272, 256, 256, 3).numpy()
    assert windows[:, :2].tolist() == [[0, 0], [173, 0], [346, 0]]


def test_one_crop_is_in_the_middle():
    # Scaled to 256 x 602; (256 - 224) // 2 and (602 - 224) // 2.
    windows = transforms.crop_windows(272, 640, 256, 224, 1).numpy()
    assert windows[:, :2].tolist() == [[16, 189]]


def test_crop_offset_is_rounded_down():
    # (256 - 223) / 2 = 16.5 and (602 - 223) / 2 = 189.5.
    windows = transforms.crop_windows(272, 640, 256, 223, 1).numpy()
    assert windows[:, :2].tolist() == [[16, 189]]


def test_other_numbers_of_crops_raise():
    with pytest.raises(ValueError, match="1 or 3 crops. Received: 2"):
        transforms.crop_windows(272, 640, 256, 256, 2)


def test_whole_frame_is_resized_only():
    window, size_px = transforms.whole_window(20, 30, 10)
    assert size_px.numpy().tolist() == [10, 15]
    assert window.numpy().tolist() == [0, 0, 2, 2, 0]


def test_colors_are_scaled_and_shifted_alike_in_all_frames():
    clip = np.stack([frame(5, 7, seed) for seed in range(3)])
    draws = np.array([[0.5, 1.0, 0.0], [0.5, 0.5, 0.75]], np.float32)
    jittered = transforms.jitter_colors(clip, draws, 0.4).numpy()
    np.testing.assert_array_equal(jittered[..., 0], clip[..., 0])
    middle = 127.5
    for channel, gain, shift in ((1, 1.4, 0.0), (2, 0.6, 0.5 * 0.4 * middle)):
        values = clip[..., channel].astype(float)
        values = (values - middle) * gain + middle + shift
        expected = np.clip(np.floor(values + 0.5), 0, 255)
        difference = jittered[..., channel] - expected
        assert np.abs(difference).max() <= LEVEL


def test_zero_strength_keeps_colors():
    clip = np.stack([frame(5, 7)])
    draws = np.full((2, 3), 0.9, np.float32)
    jittered = transforms.jitter_colors(clip, draws, 0.0).numpy()
    np.testing.assert_array_equal(jittered, clip)
