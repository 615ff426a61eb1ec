"""Videos, frames and shards of data sets in an S3 store and on the web."""

import json

import pytest

from tests.io.conftest import command, keys
from tests.training import video_run
from tests.training.data import fixtures
from tests.training.data.small_datasets import (
    SMALL,
    as_arrays,
    assert_equal,
    write_frames,
    write_video,
)
from training.data import datasets
from training.data.data_config import DataConfig

pytestmark = pytest.mark.usefixtures("own_cache")


def upload(s3, bucket, folder):
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            key = str(path.relative_to(folder))
            s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())


def batches(name, data):
    dataset = datasets.load(name, data, SMALL)
    assert dataset.bad == []
    return as_arrays(dataset.train_batches(2, 3, 0, 4))


def compare(name, s3, bucket, root):
    """Compare the batches of a data set in the store and on the disk."""
    data = fixtures.make(name, root, write_video, write_frames)
    upload(s3, bucket, root)
    urls = {
        key: value.replace(str(root), f"s3://{bucket}")
        for key, value in vars(data).items()
        if isinstance(value, str)
    }
    stored = DataConfig(**{**vars(data), **urls})
    assert_equal(batches(name, data), batches(name, stored))


def test_videos_on_s3_equal_local_ones(s3, bucket, tmp_path):
    compare("folder", s3, bucket, tmp_path / "data")


def test_frames_on_s3_equal_local_ones(tensorflow_io, s3, bucket, tmp_path):
    compare("mmaction2_frames", s3, bucket, tmp_path / "data")


def test_shards_and_run_folder_on_s3(tensorflow_io, s3, bucket, tmp_path):
    fixtures.make("media_sequence", tmp_path)
    upload(s3, bucket, tmp_path)
    process = command(
        "train",
        *video_run.OPTIONS,
        "--set=dataset=media_sequence",
        f"--set=data.root=s3://{bucket}",
        f"--workdir=s3://{bucket}/run",
    )
    assert process.returncode == 0, process.stderr
    assert "run/checkpoints/epoch_0002/state.json" in keys(s3, bucket)
    body = s3.get_object(Bucket=bucket, Key="run/result.json")["Body"]
    assert json.loads(body.read())["examples"] == 1


def test_shards_are_read_over_http(tensorflow_io, served):
    folder, address = served
    local = fixtures.make("media_sequence", folder)
    shard = "{}-00000-of-00001.tfrecord"
    web = DataConfig(
        train=f"{address}/{shard.format('train')}",
        test=f"{address}/{shard.format('test')}",
    )
    assert_equal(
        batches("media_sequence", local), batches("media_sequence", web)
    )
