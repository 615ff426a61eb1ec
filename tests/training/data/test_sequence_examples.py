import numpy as np
import pytest
import tensorflow as tf

from training.data import sequence_examples
from training.data.clip_reader import Probe, VideoError
from training.data.manifest import Span
from training.data.sequence_examples import RecordLabels

CONTENT = RecordLabels((4, 1), ("run", "sit"), (Span(1, 0.25, 0.75),))
TEXTS = {"clip/media_id": "a", "clip/data_path": "a.mp4"}


def encode(content=CONTENT, texts=TEXTS):
    times = np.array([2.0, 2.25, 2.5])
    probe = Probe(3, 8, 9, 4.0)
    jpegs = [b"one", b"two", b"three"]
    return sequence_examples.encode(jpegs, probe, content, times, 2.75, texts)


def test_write_read_round_trip():
    example = sequence_examples.parse(encode())
    assert sequence_examples.content_of(example) == CONTENT


def test_encoding_is_deterministic():
    backwards = dict(reversed(TEXTS.items()))
    assert encode() == encode(texts=backwards)


def test_context_is_found_in_the_first_bytes():
    record = encode()
    whole = tf.train.SequenceExample.FromString(record)
    for size in range(len(record)):
        context = sequence_examples.context_of(record[:size])
        if context is not None:
            break
    assert 100 < size < len(record) - len(b"onetwothree")
    assert context.context == whole.context
    assert not context.feature_lists.feature_list


def test_segment_is_at_its_nearest_frames():
    example = sequence_examples.parse(encode())
    for key, value in (
        ("segment/start/timestamp", 2_250_000),
        ("segment/end/timestamp", 2_750_000),
        ("segment/start/index", 1),
        ("segment/end/index", 2),
    ):
        assert example.context.feature[key].int64_list.value == [value]
    names = example.context.feature["segment/label/string"]
    assert names.bytes_list.value == [b"sit"]


def test_names_are_empty_if_one_is_missing():
    example = sequence_examples.parse(encode())
    del example.context.feature["clip/label/string"]
    assert sequence_examples.content_of(example).names == ()
    assert sequence_examples.content_of(example).labels == (4, 1)


def test_record_beyond_two_gigabytes_raises(monkeypatch):
    monkeypatch.setattr(sequence_examples, "MAX_BYTES", 10)
    with pytest.raises(VideoError, match="too many frames"):
        encode()
