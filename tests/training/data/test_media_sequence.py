import dataclasses

import numpy as np
import pytest

from tests.training.data import record_files
from training.data import shard_indexing, shard_reader
from training.data.clip_reader import Probe, VideoError
from training.data.data_config import DataConfig
from training.data.manifest import Span, Video
from training.data.media_sequence import MediaSequence
from training.data.shard_reader import ShardReader
from training.io.user_error import UserError

JUMP = {"clip__label__index": [1], "clip__label__string": [b"jump"]}
WALK = {"clip__label__index": [0], "clip__label__string": [b"walk"]}


def write(path, *contexts):
    return record_files.write(
        path, [record_files.example([b"\xff\xd8"], **c) for c in contexts]
    )


def test_name_that_is_not_utf8_is_named_if_it_is_a_shard(tmp_path):
    write(tmp_path / "train-0", JUMP)
    write(tmp_path / "test-0", JUMP)
    (tmp_path / "\udcff.txt").touch()
    data = DataConfig(root=str(tmp_path))
    assert len(MediaSequence.read_lists(data).splits["train"]) == 1
    (tmp_path / "train-\udcff").touch()
    with pytest.raises(UserError, match="train-\ufffd: its name is not UTF-8"):
        MediaSequence.read_lists(data)


def test_reads_labels_and_names_of_other_programs_records(tmp_path):
    first = write(tmp_path / "train-0-of-2", JUMP, WALK)
    write(tmp_path / "train-1-of-2", WALK)
    write(tmp_path / "validation-0-of-1", JUMP)
    listing = MediaSequence.read_lists(DataConfig(root=str(tmp_path)))
    assert listing.classes == ("walk", "jump")
    assert not listing.multi_label
    assert sorted(listing.splits) == ["train", "validation"]
    path = str(tmp_path / "train-0-of-2")
    assert listing.splits["train"] == [
        Video(path, (1,)),
        Video(path, (0,), offset=first[1]),
        Video(str(tmp_path / "train-1-of-2"), (0,)),
    ]


def test_spans_are_counted_from_the_first_frame(tmp_path):
    write(
        tmp_path / "train-0",
        {
            "clip__start__timestamp": [2_000_000],
            "segment__start__timestamp": [2_500_000, 1_000_000],
            "segment__end__timestamp": [3_000_000, 4_000_000],
            "segment__label__index": [3, 1],
        },
        {
            "image__frame_rate": [10.0],
            "segment__start__index": [5],
            "segment__end__index": [20],
            "segment__label__index": [2],
        },
    )
    listing = MediaSequence.read_lists(DataConfig(root=str(tmp_path)))
    first, second = listing.splits["train"]
    assert first.labels == (3, 1)
    assert first.spans == (Span(3, 0.5, 1.0), Span(1, 0.0, 2.0))
    assert second.spans == (Span(2, 0.5, 2.0),)
    assert listing.multi_label
    assert listing.classes == ("0", "1", "2", "3")


def test_names_from_a_file(tmp_path):
    write(tmp_path / "some", JUMP)
    (tmp_path / "names.txt").write_text("rest\nleap\nfall\n")
    data = DataConfig(root=str(tmp_path), train="so*")
    data = dataclasses.replace(data, classes=str(tmp_path / "names.txt"))
    assert MediaSequence.read_lists(data).classes == ("rest", "leap", "fall")


def test_context_longer_than_the_first_read(tmp_path):
    write(tmp_path / "train-0", {**JUMP, "clip__description": [b"x" * 99_999]})
    listing = MediaSequence.read_lists(DataConfig(root=str(tmp_path)))
    assert listing.splits["train"][0].labels == (1,)


@pytest.mark.parametrize(
    ("contexts", "settings", "message"),
    [
        ([], {"root": "nowhere"}, "Expected shards of the train split"),
        ([JUMP], {"test": "tset-*"}, "data.test="),
        ([{"image__width": [9]}], {}, "none in any record"),
        ([{**JUMP, **{"clip__label__string": [b"a"]}}, JUMP], {}, "'a' and"),
        ([{"clip__label__index": [-1]}], {"classes": "names.txt"}, "-1"),
        ([{"clip__label__index": [2]}], {"classes": "names.txt"}, "below 2"),
        ([{"segment__label__index": [2]}], {}, "record 0: expected as many"),
        ([{"clip__label__index": [1.0]}], {}, "expected clip/label/index as"),
    ],
)
def test_errors_are_actionable(
    tmp_path, monkeypatch, contexts, settings, message
):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "train-0", *contexts)
    (tmp_path / "names.txt").write_text("a\nb\n")
    data = DataConfig(root=str(tmp_path))
    with pytest.raises(UserError, match=message):
        MediaSequence.read_lists(dataclasses.replace(data, **settings))


def test_written_index_replaces_scanning(tmp_path, monkeypatch):
    frames = record_files.jpegs(3, 8, 9)
    context = {**JUMP, "segment__label__index": [1]}
    context |= {"segment__start__timestamp": [5_000]}
    context |= {"segment__end__timestamp": [9_000]}
    contents = [
        record_files.example(frames, image__frame_rate=[4.0], **context),
        record_files.example([], **WALK),
        record_files.example(frames[:2], **WALK),
    ]
    offsets = record_files.write(tmp_path / "train-0", contents)
    text = shard_indexing.write_index(f"{tmp_path}/train-*")
    assert "1 shards, 2 records, 1 bad" in text
    assert "train-0: record 1: the record has no frames" in text
    monkeypatch.setattr(shard_reader, "read_record", None)
    data = DataConfig(root=str(tmp_path))
    first, second = MediaSequence.read_lists(data).splits["train"]
    assert (first.offset, second.offset) == (0, offsets[2])
    assert first.spans == (Span(1, 0.005, 0.009),) and first.labels == (1,)
    assert ShardReader().probe(first) == Probe(3, 8, 9, 4.0)
    assert ShardReader().probe(second) == Probe(2, 8, 9, 0.0)
    with pytest.raises(UserError, match="already exists"):
        shard_indexing.write_index(f"{tmp_path}/train-*")


def test_truncated_shard_is_named(tmp_path):
    path = tmp_path / "train-0"
    write(path, JUMP, WALK)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(
        UserError, match="train-0, record 1: the file is truncated"
    ):
        MediaSequence.read_lists(DataConfig(root=str(tmp_path)))


def test_corrupt_records_are_read_or_raise(tmp_path):
    """Whatever is in a record that was written whole, we say what it is."""
    rng = np.random.default_rng(0)
    context = {**JUMP, "segment__label__index": [1]}
    context |= {"segment__start__index": [1], "segment__end__index": [2]}
    whole = record_files.example(
        record_files.jpegs(2, 8, 9), image__frame_rate=[4.0], **context
    )
    (tmp_path / "names.txt").write_text("a\nb\n")
    data = DataConfig(root=str(tmp_path), classes=str(tmp_path / "names.txt"))
    refused = 0
    for _ in range(200):
        odd = bytearray(whole)
        for place in rng.integers(0, 200, rng.integers(1, 4)):
            odd[place] = rng.integers(256)
        record_files.write(tmp_path / "train-0", [bytes(odd)])
        try:
            (video,) = MediaSequence.read_lists(data).splits["train"]
            assert ShardReader().probe(video).frames <= 2
        except (UserError, VideoError):
            refused += 1
    assert 0 < refused < 200
