"""Views of one file are those of a data set; sliding keeps few frames."""

import numpy as np
import pytest

from tests.training.data import films, made_videos
from training.data import (
    frame_sampling,
    pipeline,
    transforms,
    video_decoder,
    video_views,
)
from training.data.clip_reader import VideoError
from training.data.data_config import DataConfig
from training.data.sampling_config import SamplingConfig, ViewsConfig
from training.data.video_views import VideoViews

pytestmark = pytest.mark.usefixtures("own_cache")
SAMPLING = SamplingConfig(
    frames=3,
    frame_stride=2,
    min_short_side_px=32,
    max_short_side_px=40,
    crop_px=30,
    eval_short_side_px=34,
)
CROPS = ViewsConfig(clips=1, crops=3, short_side_px=32, crop_px=31)


@pytest.mark.parametrize(
    "views",
    [
        ViewsConfig(clips=4, crops=3, short_side_px=32, crop_px=31),
        ViewsConfig(clips=2, crops=0, short_side_px=33, starts="slowfast"),
        frame_sampling.middle(SAMPLING),
    ],
)
def test_views_equal_those_of_a_data_set(tmp_path, views):
    made_videos.write_videos(tmp_path)
    data = DataConfig(root=str(tmp_path), max_bad_share=1.0)
    dataset = made_videos.Made.load(data, SAMPLING)
    paths = []
    for split in ("validation", "test"):
        for pixels, _, weight, index in dataset.view_batches(split, views):
            path = dataset.videos(split)[int(index)].path
            views_of_file = VideoViews(path, SAMPLING).read(views)
            np.testing.assert_array_equal(views_of_file, pixels)
            paths.append((path, float(weight)))
    # Of 11 frames, in which clips differ, and of 3, less than one.
    assert paths == [(f"{tmp_path}/{n}.mp4", 1.0) for n in (3, 4)]


@pytest.mark.parametrize("order", ["timestamps", "count"])
def test_sliding_equals_full_decoding(tmp_path, monkeypatch, order):
    path = str(films.write_film(tmp_path / "a.mkv", 61, fps=10))
    video = VideoViews(path, SAMPLING)
    if order == "count":
        video._index.disable_seeking(path)
    clips = video.frames_around(np.arange(7) * 0.9)
    windows, size = pipeline.windows_of(*films.SIZE, CROPS)
    resample = transforms.Resampler(*films.SIZE, windows.numpy(), size.numpy())
    frames = films.decode_all(path)
    count = 0
    for numbers, views in zip(clips, video.slide(clips, CROPS), strict=True):
        expected = np.stack([resample(frames[n]) for n in numbers], axis=1)
        np.testing.assert_array_equal(views, expected)
        count += 1
    assert count == 7


def test_sliding_decodes_once_and_buffers_one_clip(tmp_path, monkeypatch):
    path = str(films.write_film(tmp_path / "a.mkv", 143, fps=10))
    video = VideoViews(path, SAMPLING)
    alive, decoded, most = set(), [], 0

    class Picture(np.ndarray):
        def __del__(self):
            alive.discard(id(self))

    def stream(*arguments, **options):
        for number, pictures in decode_stream(*arguments, **options):
            decoded.append(number)
            picture = pictures.view(Picture)
            alive.add(id(picture))
            yield number, picture
            del picture

    decode_stream = video_decoder.stream_frames
    monkeypatch.setattr(video_views.video_decoder, "stream_frames", stream)
    clips = video.frames_around(np.arange(0, 14.3, 0.1))
    for _ in video.slide(clips, CROPS):
        most = max(most, len(alive))
    assert decoded == sorted(set(decoded)) and len(decoded) == 142
    # A clip is 5 frames from its first to its last, whatever the length.
    assert most <= 6


def test_short_video_is_one_clip(tmp_path):
    path = str(films.write_film(tmp_path / "a.mkv", 4, fps=10))
    clips = VideoViews(path, SAMPLING).frames_around(np.array([0.0, 0.3]))
    np.testing.assert_array_equal(clips, [[0, 2, 0]] * 2)  # wrapped


def test_non_video_raises(tmp_path):
    (tmp_path / "a.mp4").write_text("no")
    with pytest.raises(VideoError, match="cannot be read as a video"):
        VideoViews(str(tmp_path / "a.mp4"), SAMPLING)


def test_reading_writes_no_file(tmp_path):
    path = films.write_film(tmp_path / "a.mkv", 9)
    VideoViews(str(path), SAMPLING).read(frame_sampling.middle(SAMPLING))
    assert [p.name for p in tmp_path.iterdir()] == ["a.mkv"]
