"""TFRecord shards read at URLs: the operations that reading relies on."""

import numpy as np
import pytest
import tensorflow as tf

pytestmark = pytest.mark.usefixtures("tensorflow_io")
RECORDS = [bytes([65 + i]) * (50_000 + i) for i in range(11)]
HEAD_BYTES, FOOT_BYTES = 12, 4


def offset(number):
    return sum(HEAD_BYTES + len(r) + FOOT_BYTES for r in RECORDS[:number])


@pytest.fixture(params=["s3", "http"])
def shard(request, tmp_path):
    """The URL of a shard larger than TensorFlow's read buffer."""
    local = tmp_path / "local"
    with tf.io.TFRecordWriter(str(local)) as writer:
        for record in RECORDS:
            writer.write(record)
    if request.param == "http":
        folder, address = request.getfixturevalue("served")
        (folder / "shard").write_bytes(local.read_bytes())
        return f"{address}/shard"
    bucket = request.getfixturevalue("bucket")
    s3 = request.getfixturevalue("s3")
    s3.upload_file(str(local), bucket, "shard")
    return f"s3://{bucket}/shard"


@pytest.fixture
def bucket(s3, request):
    """One bucket for all tests: test names are not valid bucket names."""
    name = "records"
    s3.create_bucket(Bucket=name)
    return name


def from_offset(shard, start):
    # tf.data.TFRecordDataset has no byte_offsets. TensorFlow cannot write
    # this op into a graph unless it is inside of a function, as here.
    return tf.data.experimental.from_variant(
        tf.raw_ops.TFRecordDatasetV2(
            filenames=[shard],
            compression_type="",
            buffer_size=256 * 1024,
            byte_offsets=[start],
        ),
        tf.TensorSpec((), tf.string),
    )


def test_records_come_in_their_order(shard):
    read = tf.data.TFRecordDataset(shard).as_numpy_iterator()
    assert list(read) == RECORDS


def test_parallel_reads_find_all(shard):
    names = [shard, shard, shard]
    read = tf.data.TFRecordDataset(names, num_parallel_reads=3)
    assert sorted(read.as_numpy_iterator()) == sorted(RECORDS * 3)


@pytest.mark.parametrize("first", [0, 3, 10])
def test_reading_begins_at_an_offset(shard, first):
    starts = tf.data.Dataset.from_tensors(tf.constant(offset(first), tf.int64))
    read = starts.flat_map(lambda start: from_offset(shard, start))
    assert list(read.as_numpy_iterator()) == RECORDS[first:]


def test_single_records_are_found_by_their_offsets(shard):
    order = np.random.default_rng(0).permutation(len(RECORDS))
    starts = np.array([offset(number) for number in order], "int64")
    read = tf.data.Dataset.from_tensor_slices(starts).flat_map(
        lambda start: from_offset(shard, start).take(1)
    )
    assert list(read.as_numpy_iterator()) == [RECORDS[n] for n in order]


def test_files_seek(shard):
    assert tf.io.gfile.stat(shard).length == offset(len(RECORDS))
    with tf.io.gfile.GFile(shard, "rb") as file:
        for number in (7, 2):
            file.seek(offset(number) + HEAD_BYTES)
            assert file.read(5) == RECORDS[number][:5]


def test_whole_files_are_read_within_a_pipeline(shard):
    read = tf.data.Dataset.from_tensors(shard).map(tf.io.read_file)
    (content,) = read.as_numpy_iterator()
    assert len(content) == offset(len(RECORDS))
    assert content[HEAD_BYTES : HEAD_BYTES + len(RECORDS[0])] == RECORDS[0]
