"""Storage kinds give the same clips, also by a tf.data service."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from tests.training.data import films, fixtures
from tests.training.data.small_datasets import (
    SMALL,
    as_arrays,
    assert_equal,
    load,
    write_frames,
    write_video,
)
from training.data import datasets
from training.data.data_config import DataConfig
from training.data.manifest import Manifest, Video
from training.data.video_dataset import VideoDataset
from training.io.user_error import UserError

pytestmark = pytest.mark.usefixtures("own_cache")


def distance(pixels, other):
    return math.sqrt(((pixels.astype(float) - other) ** 2).mean())


def test_frame_folders_and_videos_give_the_same_clips(tmp_path):
    # A fast inverse transform of JPEGs is off by some levels; another frame,
    # or a window a pixel beside, by many more.
    truth = films.pictures(9)
    films.write_film(tmp_path / "a.mkv", truth, codec="ffv1", pix_fmt="bgr0")
    write_frames(tmp_path / "frames", "{:03}.jpg", 0, 9)

    class OneVideo(VideoDataset):
        description = "for the tests"

        @staticmethod
        def read_lists(data):
            video = Video(data.root, (0,), frame_name="{:03}.jpg")
            video = dataclasses.replace(video, first_frame=0)
            return Manifest(("a",), {"train": [video], "test": [video]})

    class OneFolder(OneVideo):
        storage = "frames"

    video = OneVideo(DataConfig(root=str(tmp_path / "a.mkv")), SMALL)
    frames = OneFolder(DataConfig(root=str(tmp_path / "frames")), SMALL)
    for method, arguments in (
        ("train_batches", (2, 0, 0, 5)),
        ("eval_batches", ("test",)),
    ):
        from_video = as_arrays(getattr(video, method)(*arguments))
        from_frames = as_arrays(getattr(frames, method)(*arguments))
        for a, b in zip(from_video, from_frames, strict=True):
            assert distance(a[0], b[0]) < 4
            assert distance(a[0], np.roll(b[0], 1, axis=1)) > 8
            assert distance(a[0], np.roll(b[0], 1, axis=3)) > 8
            np.testing.assert_array_equal(a[1], b[1])


def test_frame_folders_go_through_a_service(tmp_path):
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer()
    address = dispatcher.target
    worker = service.WorkerServer(
        service.WorkerConfig(dispatcher_address=address.split("://")[1])
    )
    alone = load(tmp_path, "mmaction2_frames")
    data = fixtures.make(
        "mmaction2_frames", tmp_path / "data", write_video, write_frames
    )
    served = datasets.load(
        "mmaction2_frames", dataclasses.replace(data, service=address), SMALL
    )
    batches = served.train_batches(2, 7, 1, 4)
    assert int(batches.cardinality()) == 3
    expected = as_arrays(alone.train_batches(2, 7, 1, 4))
    got = as_arrays(batches)

    def by_content(batch):
        return batch[0].tobytes()

    assert_equal(sorted(got, key=by_content), sorted(expected, key=by_content))
    del worker


def test_videos_with_a_service_raise(tmp_path):
    with pytest.raises(UserError, match="cannot decode video files"):
        load(tmp_path, service="grpc://localhost:1")
