"""Training on videos, frames and shards in an S3 store and on the web."""

import csv
import json

import numpy as np
import pytest

from tests.io.conftest import download, keys, make_bucket
from tests.training.data import films, fixtures
from tests.training.data.small_datasets import (
    SMALL,
    as_arrays,
    assert_equal,
    write_frames,
    write_video,
)
from tests.training.test_video_runs import TINY
from training import train
from training.data import datasets, frame_reader, video_index
from training.data.clip_reader import VideoError
from training.data.data_config import DataConfig
from training.data.index_cache import IndexCache
from training.exporting.saved_model import SavedModel
from training.runs.run_folder import RunFolder
from training.tasks import video_evaluation

pytestmark = pytest.mark.usefixtures("own_cache")


def upload(s3, bucket, folder):
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            key = str(path.relative_to(folder))
            s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())


def batches(data):
    dataset = datasets.load(data[0], data[1], SMALL)
    assert dataset.bad == []
    return as_arrays(dataset.train_batches(2, 3, 0, 4))


@pytest.mark.parametrize("name", ["folder", "mmaction2_frames"])
def test_the_store_gives_the_clips_of_a_disk(name, s3, bucket, tmp_path):
    root = tmp_path / "data"
    data = fixtures.make(name, root, write_video, write_frames)
    upload(s3, bucket, root)
    there = {
        key: value.replace(str(root), f"s3://{bucket}")
        for key, value in vars(data).items()
        if isinstance(value, str)
    }
    assert_equal(
        batches((name, data)),
        batches((name, DataConfig(**{**vars(data), **there}))),
    )


def test_films_are_read_from_the_web(served, tmp_path):
    folder, address = served
    path = films.write_film(folder / "film.mp4", 30)
    truth = films.decode_all(path)
    url = f"{address}/film.mp4"
    index = IndexCache(tmp_path / "c").index(url)
    got = frame_reader.read_frames(url, [3, 29, 17], index)
    np.testing.assert_array_equal(got, truth[[3, 29, 17]])


@pytest.mark.parametrize("scheme", ["http", "s3"])
def test_a_film_that_is_not_there_has_a_reason(scheme, served, bucket):
    place = served[1] if scheme == "http" else f"s3://{bucket}"
    with pytest.raises(VideoError, match="(?i)not found|no such"):
        video_index.index_video(f"{place}/none.mp4")


@pytest.fixture(scope="module")
def trained(s3, tmp_path_factory):
    """A bucket with shards, and with a run on them and its SavedModel."""
    folder = tmp_path_factory.mktemp("shards")
    fixtures.make("media_sequence", folder)
    bucket = make_bucket(s3, "shards")
    upload(s3, bucket, folder)
    train.main(
        [
            *TINY,
            "--set=dataset=media_sequence",
            f"--set=data.root=s3://{bucket}",
            f"--workdir=s3://{bucket}/run",
            f"--export=s3://{bucket}/models/x",
        ]
    )
    return bucket


def test_a_run_on_shards_of_the_store_is_in_the_store(trained, s3):
    written = keys(s3, trained)
    assert "run/checkpoints/epoch_0002/state.json" in written
    assert "models/x/1/saved_model.pb" in written
    body = s3.get_object(Bucket=trained, Key="run/metrics.csv")["Body"]
    rows = list(csv.DictReader(body.read().decode().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]


def test_its_model_is_loaded_back(trained, s3, tmp_path):
    local = download(s3, trained, "models/x/1", tmp_path / "1")
    clips = np.zeros((1, 2, 32, 32, 3), np.uint8)
    here, far = (
        SavedModel(path) for path in (local, f"s3://{trained}/models/x")
    )
    np.testing.assert_array_equal(
        far.probabilities(clips), here.probabilities(clips)
    )


def test_its_run_is_evaluated_as_training_did(trained, s3):
    body = s3.get_object(Bucket=trained, Key="run/result.json")["Body"]
    result = json.loads(body.read())
    scores = video_evaluation.evaluate_run(
        RunFolder(f"s3://{trained}/run"), "test"
    )
    assert scores.accuracy == result["accuracy"]
    assert scores.examples == result["examples"] == 1


def test_shards_of_the_web_need_their_names(served, tmp_path):
    folder, address = served
    local = fixtures.make("media_sequence", folder)
    shard = "{}-00000-of-00001.tfrecord"
    web = DataConfig(
        train=f"{address}/{shard.format('train')}",
        test=f"{address}/{shard.format('test')}",
    )
    assert_equal(
        batches(("media_sequence", local)), batches(("media_sequence", web))
    )
