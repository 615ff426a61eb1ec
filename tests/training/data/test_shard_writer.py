import dataclasses
import json
import resource

import numpy as np
import pytest
import tensorflow as tf

from tests.training.data import made_videos, record_files
from training.data import (
    sequence_examples,
    shard_index,
    shard_reader,
    shard_writer,
    sharding,
    video_index,
)
from training.data.clip_reader import VideoError
from training.data.manifest import Manifest, Span, Video
from training.io import image_bytes


def task_of(videos, folder, source="videos", **settings):
    config = sharding.ShardsConfig(**{"short_side_px": 24, **settings})
    listing = Manifest(("sit", "run"), {"train": videos})
    (task,) = sharding.plan("made", source, listing, config, str(folder))
    return task


def write_frames(folder, height, width):
    folder.mkdir()
    frames = record_files.jpegs(5, height, width)
    for number, jpeg in enumerate(frames, start=3):
        (folder / f"f{number:03}.jpg").write_bytes(jpeg)
    return Video(
        str(folder), (1,), frame_name="f{:03}.jpg", first_frame=3, fps=4.0
    ), frames


def images(task):
    ((record, _),) = shard_writer.encode_records(task.videos[0], task)
    lists = tf.train.SequenceExample.FromString(record).feature_lists
    features = lists.feature_list["image/encoded"].feature
    return [feature.bytes_list.value[0] for feature in features]


@pytest.mark.parametrize("source", ["videos", "frames"])
def test_name_that_is_not_utf8_is_one_bad_video(tmp_path, source):
    made_videos.write_video(tmp_path / "a.mp4", 23)
    frames, _ = write_frames(tmp_path / "f", 24, 36)
    good = Video(str(tmp_path / "a.mp4")) if source == "videos" else frames
    odd = dataclasses.replace(good, path=f"{tmp_path}/\udce4")
    (tmp_path / ".shards").mkdir()
    shard = shard_writer.run(task_of([odd, good], tmp_path, source))
    reason = "its name is not UTF-8 text; rename it"
    assert shard.bad == ((f"{tmp_path}/\ufffd", reason),)
    assert shard.records


def test_full_disk_leaves_no_partial_files(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    made_videos.write_video(tmp_path / "a.mp4", 23)
    task = task_of([Video(str(tmp_path / "a.mp4"), (1,))], out)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match=task.name):
            shard_writer.run(task)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(out.iterdir())


def test_small_frames_are_copied(tmp_path):
    video, frames = write_frames(tmp_path / "a", 17, 29)
    assert images(task_of([video], tmp_path, "frames")) == frames


def test_large_frames_of_a_folder_are_scaled(tmp_path):
    video, frames = write_frames(tmp_path / "a", 48, 64)
    resized = images(task_of([video], tmp_path, "frames"))
    assert len(resized) == len(frames)
    picture = image_bytes.decode_jpeg(frames[2]).numpy()
    mean = picture.reshape(24, 2, 32, 2, 3).mean((1, 3))
    rounded = np.floor(mean + 0.5).astype(np.uint8)
    assert resized[2] == tf.io.encode_jpeg(rounded, quality=90)


def test_short_video_is_one_record_of_its_own_times(tmp_path):
    made_videos.write_video(tmp_path / "a.mp4", 7)
    video = Video(str(tmp_path / "a.mp4"), (1,), (Span(0, 0.2, 99.0),))
    ((_, record),) = shard_writer.encode_records(
        video, task_of([video], tmp_path)
    )
    assert record.frames == 7 and record.fps == 10.0
    assert record.labels == (1, 0)
    assert record.spans == (Span(0, 0.2, 99.0),)


def test_uneven_frames_keep_their_times(tmp_path):
    path = tmp_path / "a.mkv"
    stamps = [0, 1, 2, 6, 7, 10]
    made_videos.write_video(path, 6, stamps=stamps)
    video = Video(str(path), (1,), fps=5.0)  # so six frames take 1.2 s
    task = task_of([video], tmp_path)
    ((record, _),) = shard_writer.encode_records(video, task)
    lists = tf.train.SequenceExample.FromString(record).feature_lists
    times = [
        feature.int64_list.value[0]
        for feature in lists.feature_list["image/timestamp"].feature
    ]
    assert times == [stamp * 100_000 for stamp in stamps]


def test_unreadable_folders_raise(tmp_path):
    video, _ = write_frames(tmp_path / "a", 17, 29)
    task = task_of([video], tmp_path, "frames")
    odd = tmp_path / "a" / "f005.jpg"
    odd.write_bytes(record_files.jpegs(1, 18, 29)[0])
    with pytest.raises(VideoError, match="f005.jpg has another size"):
        images(task)
    odd.write_bytes(b"no picture")
    with pytest.raises(VideoError, match="f005.jpg cannot be read"):
        images(task)
    (tmp_path / "a" / "f003.jpg").unlink()
    with pytest.raises(VideoError, match="f003.jpg cannot be read"):
        images(task)


@pytest.mark.parametrize("max_frames", [None, 4])
def test_uneven_times_come_back_from_shards(tmp_path, max_frames):
    path = tmp_path / "a.mkv"
    made_videos.write_video(path, 6, stamps=[0, 1, 2, 26, 27, 30])
    task = task_of([Video(str(path), (1,))], tmp_path)
    task = dataclasses.replace(task, max_frames=max_frames)
    (tmp_path / shard_index.NOTES).mkdir()
    shard = shard_writer.run(task)
    again = shard_index.shard_from_json(json.loads(shard_index.to_line(shard)))
    assert again == shard
    edges_s = video_index.index_video(path).edges_s
    first = 0
    for record in shard.records:
        last = first + record.frames
        expected = edges_s[first : last + 1] - edges_s[first]
        listed = shard_index.probe_of(record).edges_s
        video = Video(f"{tmp_path}/{shard.name}", offset=record.offset)
        stored = sequence_examples.probe_of(
            shard_reader.read_record(video)
        ).edges_s
        for got in (listed, stored):
            np.testing.assert_allclose(got, expected, atol=2e-6)
        first = last
    assert first == 6
