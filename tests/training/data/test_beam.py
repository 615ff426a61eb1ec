"""Runs where Apache Beam is installed: `make test-beam`."""

import importlib.util

import pytest

from tests.training.data import made_videos
from training import shards
from training.data import datasets
from training.io.user_error import UserError

BEAM = importlib.util.find_spec("apache_beam") is not None
needs_beam = pytest.mark.skipif(not BEAM, reason="needs apache-beam")
# Of google-api-core, which Beam imports where fsspec has brought it.
pytestmark = pytest.mark.filterwarnings(
    "ignore:You are using a Python version:FutureWarning"
)


@pytest.fixture
def options(tmp_path, monkeypatch):
    monkeypatch.setitem(datasets.DATASETS, "made", made_videos.Made)
    root = tmp_path / "videos"
    root.mkdir()
    made_videos.write_videos(root)
    return [
        "--dataset=made",
        "--short-side=24",
        "--shard-videos=2",
        "--max-frames=10",
        "--set=data.max_bad_share=0.5",
        f"--set=data.root={root}",
    ]


def content(out):
    return {
        path.name: path.read_bytes()
        for path in out.iterdir()
        if not path.name.startswith(".")
    }


@needs_beam
@pytest.mark.parametrize("workers", [1, 2])
def test_beam_writes_the_same_bytes(options, tmp_path, workers):
    plain, beam = tmp_path / "plain", tmp_path / "beam"
    shards.main([*options, f"--out={plain}"])
    shards.main([*options, f"--out={beam}", "--beam", f"--workers={workers}"])
    assert len(content(plain)) == 6
    assert content(beam) == content(plain)


@needs_beam
def test_beam_writes_only_missing_shards(options, tmp_path, capsys):
    out = tmp_path / "out"
    shards.main([*options, f"--out={out}"])
    before = content(out)
    (out / "test-00000-of-00001.tfrecord").unlink()
    capsys.readouterr()
    shards.main([*options, f"--out={out}", "--beam"])
    assert "4 shards, 3 of them finished" in capsys.readouterr().out
    assert content(out) == before


@needs_beam
def test_unknown_beam_option_raises(options, tmp_path):
    with pytest.raises(UserError, match="Beam"):
        shards.main(
            [
                *options,
                f"--out={tmp_path / 'out'}",
                "--beam",
                "--beam-options=--runner=NoSuchRunner",
            ]
        )


@pytest.mark.skipif(BEAM, reason="apache-beam is there")
def test_missing_beam_names_the_extra(options, tmp_path):
    with pytest.raises(UserError, match=r"pip install 'nonlocal-tf\[beam\]'"):
        shards.main([*options, f"--out={tmp_path / 'out'}", "--beam"])
