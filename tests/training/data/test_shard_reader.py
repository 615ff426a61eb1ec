import dataclasses
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.training.data import record_files
from training.data import jpeg_crops, transforms
from training.data.clip_reader import Probe, VideoError
from training.data.manifest import Video
from training.data.shard_reader import ShardReader
from training.io import image_bytes

HEIGHT, WIDTH = 37, 53
FRAMES = 5


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    """Two records, of which the tests read the second."""
    path = tmp_path_factory.mktemp("shard") / "train-0.tfrecord"
    first = record_files.example(record_files.jpegs(2, 11, 13, seed=1))
    second = record_files.example(
        record_files.jpegs(FRAMES, HEIGHT, WIDTH), image__frame_rate=[12.5]
    )
    offsets = record_files.write(path, [first, second])
    return Video(str(path), offset=offsets[1])


def windows_at_random(rng, count, size_px):
    """Scaled down and up, mirrored, anywhere up to the edges."""
    sides = np.array([HEIGHT, WIDTH])
    scales = rng.uniform(0.2, 1.0, (count, 2)) * sides / size_px
    room = sides / scales - size_px
    offsets = rng.choice([0.0, 0.3, 0.7, 1.0], (count, 2)) * room
    flips = rng.integers(0, 2, (count, 1))
    return np.concatenate([offsets, scales, flips], axis=1)


def expected(frames, windows, size_px):
    """All frames decoded whole, then the part of each in NumPy."""
    resampler = transforms.Resampler(HEIGHT, WIDTH, windows, size_px)
    whole = [
        image_bytes.decode_jpeg(jpeg).numpy()
        for jpeg in record_files.jpegs(FRAMES, HEIGHT, WIDTH)
    ]
    return np.stack([resampler(whole[k]) for k in frames], axis=1)


def assert_alike(pixels, expected):
    """Equal, but for values halfway between two levels, and few of those."""
    difference = np.abs(np.asarray(pixels).astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.02


def reader():
    source = ShardReader()
    return source, tf.function(source.read, reduce_retracing=True)


def test_windows_are_those_of_whole_frames(shard):
    rng = np.random.default_rng(0)
    source, read = reader()
    for count in (1, 3) * 60:
        size = rng.integers(1, 24, 2)
        windows = windows_at_random(rng, count, size)
        frames = rng.integers(0, FRAMES, 4)
        pixels = read(
            source.fields(shard),
            tf.constant(frames),
            tf.constant(windows),
            tf.constant(size, tf.int32),
        )
        assert pixels.shape == (count, 4, *size, 3)
        assert_alike(pixels, expected(frames, windows, size))


def test_whole_frame_is_the_jpeg(shard):
    source, read = reader()
    window = tf.constant([[0.0, 0.0, 1.0, 1.0, 0.0]], tf.float64)
    pixels = read(
        source.fields(shard),
        tf.range(5, dtype=tf.int64),
        window,
        tf.constant([HEIGHT, WIDTH]),
    )
    for frame, jpeg in zip(
        pixels[0], record_files.jpegs(FRAMES, HEIGHT, WIDTH), strict=True
    ):
        np.testing.assert_array_equal(frame, image_bytes.decode_jpeg(jpeg))


def test_frames_past_the_end_are_the_last_frame(shard):
    source, read = reader()
    window = np.array([[1.0, 2.0, 0.8, 0.9, 0.0]])
    pixels = read(
        source.fields(shard),
        tf.constant([99, 1, 4], tf.int64),
        tf.constant(window),
        tf.constant([6, 7]),
    )
    assert_alike(pixels, expected([4, 1, 4], window, (6, 7)))


def test_only_the_bounding_region_is_decoded():
    windows = tf.constant(
        [[3.0, 5.0, 2.0, 1.0, 0.0], [4.0, 9.0, 2.0, 1.0, 1.0]], tf.float64
    )
    part, moved = jpeg_crops.bounding_region(
        40, 60, windows, tf.constant([7, 11])
    )
    # Rows (3 + 0.5) * 2 - 0.5 = 6.5 to (6 + 4 + 0.5) * 2 - 0.5 = 20.5 and the
    # next; columns 5 to 9 + 10 and the next, and one more on each side.
    assert part.numpy().tolist() == [6, 4, 16, 18]
    np.testing.assert_allclose(moved[:, :2], [[0.0, 1.0], [1.0, 5.0]])


def pipeline(shard, count=6):
    source = ShardReader()
    fields = {
        k: tf.constant([v] * count) for k, v in source.fields(shard).items()
    }

    def read(number):
        window = tf.constant([[1.5, 2.5, 0.7, 0.8, 1.0]], tf.float64)
        row = {key: column[number] for key, column in fields.items()}
        return source.read(
            row, tf.stack([number % FRAMES, 4]), window, tf.constant([9, 14])
        )

    return tf.data.Dataset.range(count).map(read, num_parallel_calls=2)


def test_reads_inside_a_pipeline(shard):
    for number, clip in enumerate(pipeline(shard)):
        assert_alike(
            clip,
            expected(
                [number % FRAMES, 4], [[1.5, 2.5, 0.7, 0.8, 1.0]], (9, 14)
            ),
        )


def test_tf_data_service_reads(shard):
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer()
    address = dispatcher.target.partition("://")[2]
    worker = service.WorkerServer(service.WorkerConfig(address))
    clips = pipeline(shard).apply(
        service.distribute("parallel_epochs", dispatcher.target)
    )
    pixels = sorted(clip.numpy().tobytes() for clip in clips)
    assert pixels == sorted(c.numpy().tobytes() for c in pipeline(shard))
    del worker


def test_probe(shard):
    assert ShardReader().probe(shard) == Probe(FRAMES, HEIGHT, WIDTH, 12.5)
    first = dataclasses.replace(shard, offset=0)
    assert ShardReader().probe(first) == Probe(2, 11, 13, 0.0)


def test_rate_from_timestamps(tmp_path):
    path = tmp_path / "a"
    content = record_files.example(
        record_files.jpegs(3, 8, 9), times=[100, 40_100, 80_100]
    )
    record_files.write(path, [content])
    assert ShardReader().probe(Video(str(path))) == Probe(3, 8, 9, 25.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (record_files.example([]), "no frames"),
        (
            record_files.example([], clip__encoded_media_bytes=[b"mp4"]),
            "a video file",
        ),
        (
            record_files.example(
                [tf.io.encode_png(np.zeros((2, 3, 3), np.uint8)).numpy()],
                image__format=[b"PNG"],
            ),
            "Received: PNG",
        ),
        (record_files.example([b"\xff\xd8 no more"]), "first frame is damaged"),
        (b"\xff\xff no protocol buffer", "not a SequenceExample"),
    ],
    ids=["none", "video", "png", "damaged", "other"],
)
def test_unreadable_record_raises(tmp_path, content, message):
    path = tmp_path / "a"
    record_files.write(path, [content])
    with pytest.raises(VideoError, match=message):
        ShardReader().probe(Video(str(path)))


def test_damaged_record_raises(shard, tmp_path):
    whole = pathlib.Path(shard.path).read_bytes()
    rng = np.random.default_rng(0)
    source, read = reader()
    path = tmp_path / "damaged"
    video = dataclasses.replace(shard, path=str(path))
    window = tf.constant([[0.0, 0.0, 1.0, 1.0, 0.0]], tf.float64)
    for place in rng.integers(shard.offset, len(whole), 20):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(bytes(damaged))
        with pytest.raises(VideoError, match="at byte"):
            ShardReader().probe(video)
        with pytest.raises(tf.errors.OpError):
            read(
                source.fields(video),
                tf.constant([0], tf.int64),
                window,
                tf.constant([3, 4]),
            )
