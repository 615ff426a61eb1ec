import numpy as np
import pytest
import tensorflow as tf

from tests.training.data import record_files
from training.data import tfrecords
from training.io.user_error import UserError

CONTENTS = [b"eleven byte", b"", bytes(range(256)) * 300]


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / "a.tfrecord"
    record_files.write(path, CONTENTS)
    return path


def test_records_are_located(shard):
    locations = list(tfrecords.locate(str(shard), start_bytes=3))
    assert [place.number for place in locations] == [0, 1, 2]
    assert [place.offset for place in locations] == [0, 27, 43]
    assert [place.length for place in locations] == [11, 0, 76800]
    assert [place.start for place in locations] == [b"ele", b"", b"\0\1\2"]


@pytest.mark.parametrize("number", range(3))
def test_one_record_is_read_by_its_offset(shard, number):
    offset = [0, 27, 43][number]
    read = tf.function(tfrecords.record_at)
    got = read(tf.constant(str(shard)), tf.constant(offset, tf.int64))
    assert got.numpy() == CONTENTS[number]


def test_known_checksum():
    # RFC 3720, B.4: CRC32C of 32 zeros is 8a9136aa; masked as TFRecord does.
    crc = 0x8A9136AA
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32
    assert tfrecords.masked_crc32c(bytes(32)) == masked


def test_any_truncation_is_detected(shard, tmp_path):
    whole = shard.read_bytes()
    cut = tmp_path / "cut.tfrecord"
    for size in (*range(1, 27), *range(28, 43), 50, 60, len(whole) - 1):
        cut.write_bytes(whole[:size])
        number = 0 if size < 27 else 1 if size < 43 else 2
        with pytest.raises(UserError, match=f"cut.tfrecord, record {number}: "):
            list(tfrecords.locate(str(cut)))


def test_any_flipped_byte_is_detected(tmp_path):
    path = tmp_path / "flipped.tfrecord"
    record_files.write(path, [b"thirteen byte"])
    whole = path.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x40
        path.write_bytes(bytes(damaged))
        with pytest.raises((UserError, tf.errors.OpError)):
            list(tfrecords.locate(str(path)))
            tfrecords.record_at(str(path), np.int64(0))


def test_wrong_offset_raises(shard):
    for offset in (1, 26, shard.stat().st_size, 10**9):
        with pytest.raises(tf.errors.OpError):
            tfrecords.record_at(str(shard), np.int64(offset))


def test_errors_are_actionable(tmp_path):
    path = tmp_path / "x"
    with pytest.raises(UserError, match="There is no file"):
        list(tfrecords.locate(str(path)))
    path.write_bytes(b"some text that is no TFRecord file")
    with pytest.raises(UserError, match="record 0: the checksum"):
        list(tfrecords.locate(str(path)))
    options = tf.io.TFRecordOptions("GZIP")
    with tf.io.TFRecordWriter(str(path), options) as writer:
        writer.write(b"content")
    with pytest.raises(UserError, match="expected an uncompressed"):
        list(tfrecords.locate(str(path)))
