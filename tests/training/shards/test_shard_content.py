"""Content of shards, against the videos that they are written of."""

import dataclasses
import hashlib
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.training.data import made_videos
from tests.training.shards.shard_files import OPTIONS, content, make
from training import shards
from training.data import (
    datasets,
    shard_index,
    video_decoder,
    video_index,
)
from training.data.data_config import DataConfig
from training.data.media_sequence import MediaSequence
from training.data.shard_reader import ShardReader
from training.io import cli
from training.io.user_error import UserError


def parsed(out, split):
    """Return the records of a split, parsed as in TF Model Garden."""
    files = sorted(map(str, out.glob(f"{split}-*.tfrecord")))
    for record in tf.data.TFRecordDataset(files):
        yield tf.io.parse_single_sequence_example(
            record,
            {
                "clip/label/index": tf.io.VarLenFeature(tf.int64),
                "clip/label/string": tf.io.VarLenFeature(tf.string),
                "clip/media_id": tf.io.FixedLenFeature((), tf.string),
                "clip/data_path": tf.io.FixedLenFeature((), tf.string),
                "clip/start/timestamp": tf.io.FixedLenFeature((), tf.int64),
                "clip/end/timestamp": tf.io.FixedLenFeature((), tf.int64),
                "image/height": tf.io.FixedLenFeature((), tf.int64),
                "image/width": tf.io.FixedLenFeature((), tf.int64),
                "image/format": tf.io.FixedLenFeature((), tf.string),
                "image/frame_rate": tf.io.FixedLenFeature((), tf.float32),
                "segment/start/timestamp": tf.io.VarLenFeature(tf.int64),
                "segment/end/timestamp": tf.io.VarLenFeature(tf.int64),
                "segment/label/index": tf.io.VarLenFeature(tf.int64),
            },
            {
                "image/encoded": tf.io.FixedLenSequenceFeature((), tf.string),
                "image/timestamp": tf.io.FixedLenSequenceFeature((), tf.int64),
            },
        )


def test_written_files(out):
    assert list(content(out)) == [
        "bad_videos.csv",
        "index.json",
        "test-00000-of-00001.tfrecord",
        "train-00000-of-00002.tfrecord",
        "train-00001-of-00002.tfrecord",
        "validation-00000-of-00001.tfrecord",
    ]


def test_frames_equal_those_of_the_video(root, out):
    ((context, lists),) = parsed(out, "validation")
    path = str(root / "3.mp4")
    index = video_index.index_video(path)
    whole = video_decoder.read_frames(path, range(11), index)
    assert context["image/height"] == 24 and context["image/width"] == 32
    assert len(lists["image/encoded"]) == 11
    for jpeg, frame in zip(lists["image/encoded"], whole, strict=True):
        # Bilinear resizing to half the size averages four pixels.
        mean = frame.reshape(24, 2, 32, 2, 3).mean((1, 3))
        small = np.floor(mean + 0.5).astype(np.uint8)
        assert jpeg == tf.io.encode_jpeg(small, quality=90)


def test_keys_of_a_whole_video(out):
    ((context, lists),) = parsed(out, "validation")
    assert context["clip/label/index"].values.numpy().tolist() == [1, 2]
    names = context["clip/label/string"].values.numpy().tolist()
    assert names == [b"run", b"fall"]
    assert context["clip/media_id"] == b"3"
    assert context["clip/data_path"] == b"3.mp4"
    assert context["image/format"] == b"JPEG"
    assert context["image/frame_rate"] == 10.0
    times = lists["image/timestamp"].numpy().tolist()
    assert times == list(range(0, 1_100_000, 100_000))
    assert context["clip/start/timestamp"] == 0
    assert context["clip/end/timestamp"] == 1_100_000


def test_a_long_video_is_split_with_the_labels_of_each_part(out):
    parts = sorted(
        (int(context["clip/start/timestamp"]), context, lists)
        for context, lists in parsed(out, "train")
        if context["clip/media_id"] == b"1"
    )
    assert [len(lists["image/encoded"]) for *_, lists in parts] == [7, 8, 8]
    assert [start for start, *_ in parts] == [0, 700_000, 1_500_000]
    ends = [int(context["clip/end/timestamp"]) for _, context, _ in parts]
    assert ends == [700_000, 1_500_000, 2_300_000]
    # Class 1 is active throughout, 0 until 0.45 s, 2 at 1.3 s and from 1.9 s.
    labels = [
        context["clip/label/index"].values.numpy().tolist()
        for _, context, _ in parts
    ]
    assert labels == [[0, 1], [1, 2], [1, 2]]
    _, second, _ = parts[1]
    assert second["segment/start/timestamp"].values.numpy() == [1_200_000]
    assert second["segment/end/timestamp"].values.numpy() == [1_400_000]


def test_the_index_agrees_with_the_records(out, tmp_path):
    with_index = MediaSequence.read_lists(DataConfig(root=str(out)))
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in out.glob("*.tfrecord"):
        (bare / path.name).write_bytes(path.read_bytes())
    scanned = MediaSequence.read_lists(DataConfig(root=str(bare)))
    assert with_index.multi_label and with_index.classes == scanned.classes
    reader, bare_reader = ShardReader(), ShardReader()
    for split, videos in with_index.splits.items():
        assert len(videos) == len(scanned.splits[split])
        for video, other in zip(videos, scanned.splits[split], strict=True):
            assert (
                pathlib.Path(video.path).name == pathlib.Path(other.path).name
            )
            assert (video.offset, video.labels) == (other.offset, other.labels)
            for span, its in zip(video.spans, other.spans, strict=True):
                assert span.label == its.label
                assert span.start_s == pytest.approx(its.start_s, abs=1e-6)
                assert span.end_s == pytest.approx(its.end_s, abs=1e-6)
            assert reader.probe(video) == bare_reader.probe(other)


class Skipping(made_videos.Made):
    """A data set that skips unlabelled videos in evaluation."""

    @staticmethod
    def read_lists(data):
        listing = made_videos.Made.read_lists(data)
        return dataclasses.replace(listing, skips_unlabelled=True)


def test_the_index_records_skipping_of_unlabelled_videos(
    root, out, tmp_path, monkeypatch
):
    data = DataConfig(root=str(out))
    assert not MediaSequence.read_lists(data).skips_unlabelled
    monkeypatch.setitem(datasets.DATASETS, "made", Skipping)
    make(root, tmp_path / "shards")
    data = DataConfig(root=str(tmp_path / "shards"))
    assert MediaSequence.read_lists(data).skips_unlabelled
    index = tmp_path / "shards" / "index.json"
    values = json.loads(index.read_text())
    del values["skips_unlabelled"]  # as written by older versions
    index.write_text(json.dumps(values))
    assert not MediaSequence.read_lists(data).skips_unlabelled


def test_an_index_with_unknown_fields_is_refused(out, tmp_path):
    values = json.loads((out / "index.json").read_text())
    values["shards"][0]["records"][0]["depth"] = 3
    (tmp_path / "index.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"damaged \(unknown field 'depth'\)"):
        shard_index.read(str(tmp_path))


def test_checksums_match_the_files(out):
    index = json.loads((out / "index.json").read_text())
    for shard in index["shards"]:
        digest = hashlib.sha256((out / shard["name"]).read_bytes())
        assert shard["sha256"] == digest.hexdigest()


def test_shards_do_not_depend_on_the_videos_folder(out, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    made_videos.write_videos(folder)
    make(folder, tmp_path / "shards")
    assert content(tmp_path / "shards") == content(out)


def test_verify_finds_one_flipped_bit(root, tmp_path, capsys):
    make(root, tmp_path)
    shards.main([f"--out={tmp_path}", "--verify"])
    assert "4 shards verified" in capsys.readouterr().out
    path = tmp_path / "train-00000-of-00002.tfrecord"
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(bytes(damaged))
    (tmp_path / "test-00000-of-00001.tfrecord").unlink()
    with pytest.raises(UserError) as raised:
        shards.main([f"--out={tmp_path}", "--verify"])
    assert "train-00000-of-00002.tfrecord is damaged" in str(raised.value)
    assert "test-00000-of-00001.tfrecord cannot be read" in str(raised.value)


def test_the_command_prints_help(capsys):
    shards.main([])
    printed = capsys.readouterr().out
    assert "folder" in printed and "media_sequence" in printed
    assert cli.run(shards.main, ["--dataset=digits", "--out=x"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: Unknown video data set")
    assert cli.run(shards.main, ["--dataset=media_sequence", "--out=x"]) == 2
    assert "already consists of shards" in capsys.readouterr().err
    assert cli.run(shards.main, [*OPTIONS, "--out=x", "--quality=101"]) == 2
    assert "Received: 101" in capsys.readouterr().err
