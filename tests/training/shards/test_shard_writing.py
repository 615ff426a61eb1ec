"""Writing of shards: bad videos, interruptions, and folders in use."""

import csv
import pathlib

import pytest

from tests.training.data import made_videos
from tests.training.shards.shard_files import content, make
from training.data import (
    shard_writer,
)
from training.data.data_config import DataConfig
from training.data.media_sequence import MediaSequence
from training.io.paths import UrlPath
from training.io.user_error import UserError


def test_shards_at_a_url_equal_local_ones(root, tmp_path, memory_url):
    url = UrlPath(memory_url)
    make(root, tmp_path)
    for _ in range(2):
        make(root, url)
    files = [path for path in url.iterdir() if path.is_file()]
    uploaded = {path.name: path.read_bytes() for path in files}
    assert uploaded.items() >= content(tmp_path).items()


def test_bad_videos_are_counted_and_listed(root, out, tmp_path, capsys):
    make(root, tmp_path)
    printed = capsys.readouterr().out
    rows = [line.split() for line in printed.splitlines()]
    assert ["train", "4", "3", "1", "5"] in rows
    assert ["validation", "2", "1", "1", "1"] in rows
    assert ["test", "1", "1", "0", "1"] in rows
    with open(out / "bad_videos.csv", encoding="utf-8") as file:
        bad = sorted(map(tuple, csv.reader(file)))
    assert [row[:2] for row in bad] == [
        ("split", "path"),
        ("train", "bad.mp4"),
        ("validation", "gone.mp4"),
    ]
    assert "cannot be read as a video" in bad[1][2]


def test_too_many_bad_videos_are_an_error(root, tmp_path):
    with pytest.raises(UserError, match="2 of 7 videos cannot be read"):
        make(root, tmp_path, "--set=data.max_bad_share=0.2")
    assert not (tmp_path / "index.json").exists()
    make(root, tmp_path)
    assert (tmp_path / "index.json").exists()


def test_repaired_videos_are_written_on_retry(root, tmp_path):
    videos, folder = tmp_path / "videos", tmp_path / "shards"
    videos.mkdir()
    made_videos.write_videos(videos)
    make(videos, folder)
    made_videos.write_video(videos / "bad.mp4", 4)
    make(videos, folder)
    assert "bad.mp4" in (folder / "bad_videos.csv").read_text()
    make(videos, folder, "--retry-bad")
    assert "bad.mp4" not in (folder / "bad_videos.csv").read_text()


@pytest.mark.parametrize("stop_after", [1, 3])
def test_finished_shards_are_kept_after_an_interruption(
    root, out, tmp_path, monkeypatch, stop_after
):
    finished = []
    run = shard_writer.run

    def stopping(task):
        if len(finished) == stop_after:
            raise KeyboardInterrupt
        finished.append(task.name)
        return run(task)

    monkeypatch.setattr(shard_writer, "run", stopping)
    with pytest.raises(KeyboardInterrupt):
        make(root, tmp_path)
    assert len(list(tmp_path.glob("*.tfrecord"))) == stop_after
    monkeypatch.setattr(
        shard_writer, "run", lambda t: finished.append(t.name) or run(t)
    )
    make(root, tmp_path)
    assert len(finished) == len(set(finished)) == 4
    assert content(tmp_path) == content(out)


def test_a_shard_of_a_killed_process_is_written_again(
    root, out, tmp_path, monkeypatch
):
    make(root, tmp_path)
    name = "train-00001-of-00002.tfrecord"
    # As if killed between rename and note, and while writing.
    pathlib.Path(shard_writer.note_path(str(tmp_path), name)).write_text("{")
    (tmp_path / f".unfinished-{name}").write_bytes(b"half")
    written, run = [], shard_writer.run
    monkeypatch.setattr(
        shard_writer, "run", lambda t: written.append(t.name) or run(t)
    )
    make(root, tmp_path)
    assert written == [name]
    assert content(tmp_path) == content(out)
    assert not list(tmp_path.glob(".unfinished-*"))


def test_links_in_a_folder_of_shards_are_not_written_through(root, tmp_path):
    folder, victim = tmp_path / "handed over", tmp_path / "victim"
    make(root, folder)
    name = "train-00001-of-00002.tfrecord"
    (folder / name).unlink()
    (folder / f".unfinished-{name}").symlink_to(victim)
    make(root, folder)
    assert (folder / name).exists()
    assert not victim.exists()


def test_notes_of_shards_in_another_folder_are_rejected(root, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".shards").symlink_to(tmp_path / "else")
    with pytest.raises(UserError, match=r"\.shards is a link"):
        make(root, tmp_path / "out")
    assert not (tmp_path / "else").exists()


def test_a_truncated_shard_is_written_again(root, out, tmp_path):
    make(root, tmp_path)
    path = tmp_path / "train-00001-of-00002.tfrecord"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="train-00001-of-00002.tfrecord is dam"):
        MediaSequence.read_lists(DataConfig(root=str(tmp_path)))
    make(root, tmp_path)
    assert content(tmp_path) == content(out)


def test_other_settings_are_rejected(root, out):
    with pytest.raises(UserError, match="quality: 90, now 80"):
        make(root, out, "--quality=80")


@pytest.mark.full
def test_processes_write_the_same_bytes(root, out, tmp_path):
    make(root, tmp_path, "--workers=2")
    assert content(tmp_path) == content(out)


@pytest.mark.parametrize("finished_before", [False, True])
def test_unfinished_shards_are_rejected_on_reading(
    root, tmp_path, monkeypatch, finished_before
):
    run = shard_writer.run
    if finished_before:
        make(root, tmp_path)

    def stopping(task):
        if task.split != "train":
            raise KeyboardInterrupt
        return run(task)

    monkeypatch.setattr(shard_writer, "run", stopping)
    with pytest.raises(KeyboardInterrupt):
        make(root, tmp_path, "--retry-bad")
    with pytest.raises(UserError, match="Not all shards in"):
        MediaSequence.read_lists(DataConfig(root=str(tmp_path)))


def test_a_folder_with_other_files_is_rejected(root, tmp_path):
    (tmp_path / "index.json").write_bytes(b"theirs")
    with pytest.raises(UserError, match=r"to be empty .* index\.json"):
        make(root, tmp_path)
    assert content(tmp_path) == {"index.json": b"theirs"}
    assert [path.name for path in tmp_path.iterdir()] == ["index.json"]
