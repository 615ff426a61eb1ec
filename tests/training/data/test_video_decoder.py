"""Frames by number, held to a decoder that is run from the start."""

import re

import numpy as np
import pytest

from tests.training.data import films
from training.data import video_decoder, video_index
from training.data.clip_reader import VideoError
from training.data.video_container import VideoContainer

KINDS = {
    "mp4": {},
    "no b-frames.mp4": {"b_frames": 0},
    "one keyframe.mp4": {"gop": 250},
    "all keyframes.mp4": {"gop": 1, "b_frames": 0},
    "open gop.mp4": {"x264-params": "open-gop=1:bframes=3:b-pyramid=normal"},
    "mkv": {},
    "vp9.webm": {"codec": "libvpx-vp9", "deadline": "realtime"},
    "vp8.webm": {"codec": "libvpx", "deadline": "realtime"},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "mpg": {"codec": "mpeg2video"},
    "ts": {},
    "mov": {"pix_fmt": "yuv444p"},
    "TEN BITS.MKV": {"pix_fmt": "yuv420p10le"},
    "é ü.mp4": {},
}


def film(tmp_path, name, **options):
    name = name if "." in name else f"film.{name}"
    return films.write_film(tmp_path / name, **options)


def read(path, numbers, **options):
    return video_decoder.read_frames(
        path, numbers, video_index.index_video(path), **options
    )


@pytest.mark.parametrize("kind", list(KINDS))
def test_frames_equal_those_of_full_decoding(tmp_path, kind):
    path = film(tmp_path, kind, **KINDS[kind])
    truth = films.decode_all(path)
    assert video_index.index_video(path).frames == len(truth)
    for start in range(len(truth)):
        numbers = [start, min(start + 5, len(truth) - 1)]
        np.testing.assert_array_equal(read(path, numbers), truth[numbers])


def test_frames_keep_order_and_repeats(tmp_path):
    path = film(tmp_path, "mp4")
    numbers = [25, 3, 3, 29, 0, 25]
    truth = films.decode_all(path)
    np.testing.assert_array_equal(read(path, numbers), truth[numbers])


def test_frames_past_the_end_are_the_last_frame(tmp_path):
    path = film(tmp_path, "mp4", frames=7)
    truth = films.decode_all(path)
    np.testing.assert_array_equal(read(path, [5, 6, 70]), truth[[5, 6, 6]])


def test_timestamp_gaps_are_not_frames(tmp_path):
    stamps = np.cumsum([1, 1, 7, 2, 1, 30, 1, 1, 4, 1] * 3)
    path = film(tmp_path, "mkv", stamps=[int(stamp) for stamp in stamps])
    truth = films.decode_all(path)
    assert len(truth) == 30
    np.testing.assert_array_equal(read(path, range(30)), truth)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_rotation_is_applied(tmp_path, turns):
    path = film(tmp_path, "mp4")
    lying = films.decode_all(path)
    films.turn(path, turns)
    index = video_index.index_video(path)
    expected = np.rot90(lying[[4, 9]], turns, axes=(1, 2))
    assert (index.height, index.width) == expected.shape[1:3]
    np.testing.assert_array_equal(read(path, [4, 9]), expected)


def test_odd_sizes(tmp_path):
    clip = films.pictures(9, size=(35, 51))
    path = film(tmp_path, "mkv", frames=clip, pix_fmt="yuv444p")
    assert read(path, [8]).shape == (1, 35, 51, 3)
    np.testing.assert_array_equal(read(path, [8]), films.decode_all(path)[[8]])


def test_video_of_one_frame(tmp_path):
    path = film(tmp_path, "mp4", frames=1)
    assert video_index.index_video(path).frames == 1
    assert read(path, [0, 1, 2]).shape == (3, *films.SIZE, 3)


@pytest.mark.parametrize("kind", ["mkv", "ts", "mpeg4.avi"])
def test_truncated_video(tmp_path, kind):
    path = film(tmp_path, kind, **KINDS[kind], frames=60)
    films.cut(path, 0.8)
    truth = films.decode_all(path)
    assert 5 < len(truth) < 60
    index = video_index.index_video(path)
    numbers = np.arange(len(truth))
    np.testing.assert_array_equal(read(path, numbers), truth)
    assert index.frames == len(truth)


@pytest.mark.parametrize("seed", range(6))
def test_damaged_video(tmp_path, seed):
    path = film(tmp_path, "mp4", frames=60)
    films.flip_bytes(path, 25, seed)
    truth = films.decode_all(path)
    for start in range(0, len(truth) - 9, 3):
        numbers = [start, start + 4, start + 9]
        np.testing.assert_array_equal(read(path, numbers), truth[numbers])


def test_wrong_timestamps_disable_seeking(tmp_path):
    path = film(tmp_path, "mp4")
    wrong = tmp_path / "wrong.mkv"
    films.stamp_wrongly(path, wrong)
    truth = films.decode_all(wrong)
    assert video_index.index_video(wrong).order == "count"
    np.testing.assert_array_equal(read(wrong, [7, 8, 23]), truth[[7, 8, 23]])


def test_wrong_index_is_detected(tmp_path):
    path = film(tmp_path, "mp4")
    truth = films.decode_all(path)
    index = video_index.index_video(path)
    wrong = index.timestamps.copy()
    wrong[10:] += 1
    lying = video_index.VideoIndex(**{**vars(index), "timestamps": wrong})
    got = video_decoder.read_frames(path, [3, 17], lying)
    np.testing.assert_array_equal(got, truth[[3, 17]])


@pytest.mark.parametrize("kind", ["mp4", "mkv", "vp9.webm", "mpeg4.avi"])
def test_undamaged_videos_are_read_by_seeking(tmp_path, kind):
    path = film(tmp_path, kind, **KINDS[kind])
    assert video_index.index_video(path).order == "timestamps"


def test_transform_is_called_once_per_frame(tmp_path):
    path = film(tmp_path, "mp4")
    shapes = []

    def mean(frame):
        shapes.append(frame.shape)
        return frame.mean((0, 1))

    assert read(path, [4, 4, 9, 2], transform=mean).shape == (4, 3)
    assert shapes == [(*films.SIZE, 3)] * 3


def test_seeking_decodes_from_the_last_keyframe(tmp_path, monkeypatch):
    path = film(tmp_path, "mp4", frames=90, gop=10, b_frames=0)
    index = video_index.index_video(path)
    decoded = []
    decode = VideoContainer.decoded

    def counting(self, packet):
        frames = decode(self, packet)
        decoded.extend(frames)
        return frames

    monkeypatch.setattr(VideoContainer, "decoded", counting)
    video_decoder.read_frames(path, [75], index)
    start = max(key for key in index.keyframes if key <= 75)
    assert 60 < start
    expected = set(index.timestamps[start : 75 + 1])
    assert {frame.pts for frame in decoded} <= expected


BAD = {
    "empty.mp4": ("the file is empty", lambda p: p.write_bytes(b"")),
    "text.mp4": ("cannot be read as a video", lambda p: p.write_text("hello")),
    "sound.mp4": ("no video stream", films.write_sound),
    "folder.mp4": ("it is a folder", lambda p: p.mkdir()),
    "missing.mp4": ("there is no such file", lambda p: None),
    "half.mp4": (
        "cannot be read as a video",
        lambda p: films.cut(films.write_film(p), 0.5),
    ),
}


@pytest.mark.parametrize("name", list(BAD))
def test_bad_file_has_a_reason(tmp_path, name):
    reason, make = BAD[name]
    make(tmp_path / name)
    with pytest.raises(VideoError, match=re.escape(reason)):
        video_index.index_video(tmp_path / name)


def test_non_utf8_title_is_ignored(tmp_path):
    path = film(tmp_path, "mp4", title="Cafe")
    path.write_bytes(path.read_bytes().replace(b"Cafe", b"Caf\xe9"))
    assert b"Caf\xe9" in path.read_bytes()
    assert video_index.index_video(path).frames == 30


def test_unknown_codec_is_a_reason(tmp_path):
    path = film(tmp_path, "mp4")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(VideoError, match="no decoder for its codec"):
        video_index.index_video(path)


def test_rate_is_that_of_the_frames(tmp_path):
    stamps = [0, 10, 13, 50]  # of 25 a second: three steps in two seconds
    path = film(tmp_path, "mkv", frames=4, stamps=stamps)
    assert video_index.index_video(path).fps == pytest.approx(1.5, rel=1e-3)


def test_any_damage_is_read_or_raises(tmp_path):
    rng = np.random.default_rng(0)
    for kind in ("mp4", "ts", "mkv", "mpeg4.avi"):
        path = film(tmp_path, kind, **KINDS[kind], frames=6)
        whole = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(40):
            odd = whole.copy()
            odd[rng.integers(0, len(odd), 20)] = rng.integers(0, 256, 20)
            path.write_bytes(odd.tobytes())
            try:
                index = video_index.index_video(path)
                video_decoder.read_frames(path, [0, index.frames - 1], index)
            except VideoError as error:
                assert str(error)


def test_failed_seek_is_reported(tmp_path):
    path = film(tmp_path, "ts", frames=60)
    truth, index, calls = (
        films.decode_all(path),
        video_index.index_video(path),
        [],
    )
    for number in range(0, 60, 7):
        got = video_decoder.read_frames(
            path, [number], index, on_disorder=lambda: calls.append(1)
        )
        np.testing.assert_array_equal(got, truth[[number]])
    assert calls


@pytest.mark.parametrize("kind", ["mp4", "ts"])
def test_stream_yields_each_frame_once(tmp_path, kind):
    path = film(tmp_path, kind, frames=60)
    truth, index, calls = (
        films.decode_all(path),
        video_index.index_video(path),
        [],
    )
    numbers = [70, 3, 51, 3, 4, 29]  # also one past the end, which is the last
    got = list(
        video_decoder.stream_frames(
            path, numbers, index, on_disorder=lambda: calls.append(1)
        )
    )
    assert [number for number, _ in got] == [3, 4, 29, 51, 59]
    for number, frame in got:
        np.testing.assert_array_equal(frame, truth[number])
    assert bool(calls) == (kind == "ts")  # where it cannot be sought


def test_video_without_decodable_frame_raises(tmp_path):
    path = film(tmp_path, "mkv", frames=1)
    content = path.read_bytes()
    head = content.index(b"\x1f\x43\xb6\x75")  # the cluster with the picture
    path.write_bytes(content[: head + 40])
    with pytest.raises(VideoError, match="no frame can be decoded"):
        video_index.index_video(path)


def test_deleted_file_raises(tmp_path):
    path = film(tmp_path, "mp4")
    index = video_index.index_video(path)
    path.unlink()
    with pytest.raises(VideoError, match="no such file"):
        video_decoder.read_frames(path, [0], index)


def test_negative_frame_raises(tmp_path):
    path = film(tmp_path, "mp4", frames=2)
    with pytest.raises(ValueError, match=r"from 0.*-1"):
        read(path, [-1])


def test_times_follow_timestamps(tmp_path):
    stamps = [100, 110, 113, 150]  # of 25 a second; none is shown at 0
    path = film(tmp_path, "mp4", frames=4, stamps=stamps)
    times = video_index.index_video(path).times
    np.testing.assert_allclose(times.edges_s[:4], [0, 0.4, 0.52, 2.0])
    assert times.stamped and 2.0 < times.length_s <= 2.0 + 1.48


def test_times_without_seeking_follow_timestamps(tmp_path, monkeypatch):
    monkeypatch.setattr(video_index, "_ordered_stamps", lambda *_: None)
    stamps = [3 * number + number // 20 * 90 for number in range(60)]
    path = film(tmp_path, "mkv", frames=60, stamps=stamps)
    index = video_index.index_video(path)
    expected = np.array(stamps) / 25
    assert index.order == "count" and index.stamped
    np.testing.assert_allclose(index.edges_s[:-1], expected, atol=1e-3)


def test_wrong_timestamps_give_no_times(tmp_path):
    wrong = tmp_path / "wrong.mkv"
    films.stamp_wrongly(film(tmp_path, "mp4"), wrong)
    index = video_index.index_video(wrong)
    assert not index.stamped and index.edges_s is None
    assert index.times.length_s == pytest.approx(30 / 25, rel=0.05)


@pytest.mark.parametrize("format_", ["GIF", "PNG"])
def test_animated_image_has_the_times_of_its_delays(tmp_path, format_):
    clip, path = films.pictures(12), tmp_path / f"a.{format_.lower()}"
    delays = [40, 40, 200, 1000, 40, 40, 60, 40, 40, 40, 40, 500]
    films.write_gif(path, clip, delays, format_)
    index = video_index.index_video(path)
    edges_s = np.cumsum([0, *delays]) / 1000
    np.testing.assert_allclose(index.edges_s, edges_s, atol=1e-6)
    truth = films.decode_all(path)
    for numbers in ([7, 3], [11], [0, 10]):
        np.testing.assert_array_equal(read(path, numbers), truth[numbers])
    close = abs(truth.astype(int) - clip).mean()
    assert close < (8 if format_ == "GIF" else 0.1)
