"""Videos and their shards."""

import pytest

from tests.training.data import made_videos
from tests.training.shards.shard_files import make
from training.data import datasets


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """Folder of the videos."""
    folder = tmp_path_factory.mktemp("videos")
    made_videos.write_videos(folder)
    return folder


@pytest.fixture(autouse=True)
def table(monkeypatch):
    """Register the data set of the videos."""
    monkeypatch.setitem(datasets.DATASETS, "made", made_videos.Made)


@pytest.fixture(scope="module")
def out(root, tmp_path_factory):
    """Folder of their shards, not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(datasets.DATASETS, "made", made_videos.Made)
        folder = tmp_path_factory.mktemp("made") / "shards"
        make(root, folder)
    return folder
