"""Indices of videos are kept between processes."""

import contextlib
import os
import sqlite3

import numpy as np
import pytest

from tests.training.data import films
from training.data import index_cache, video_index
from training.data.clip_reader import VideoError
from training.data.index_cache import IndexCache
from training.data.video_limits import Limits
from training.io.user_error import UserError


@pytest.fixture
def film(tmp_path):
    return films.write_film(tmp_path / "a film.mp4", 13)


@pytest.fixture
def never_decoded(monkeypatch):
    def fail(path):
        raise AssertionError(f"{path} was decoded again")

    monkeypatch.setattr(video_index, "index_video", fail)


def test_index_comes_back_from_the_disk(tmp_path, film, request):
    index = IndexCache(tmp_path / "c").index(str(film))
    request.getfixturevalue("never_decoded")
    kept = IndexCache(tmp_path / "c").index(str(film))
    for name, value in vars(index).items():
        np.testing.assert_array_equal(getattr(kept, name), value)
    assert kept.timestamps.dtype == np.int64


def test_index_without_seeking_comes_back(tmp_path, film, request):
    wrong = tmp_path / "wrong.mkv"
    films.stamp_wrongly(film, wrong)
    index = IndexCache(tmp_path / "c").index(str(wrong))
    request.getfixturevalue("never_decoded")
    kept = IndexCache(tmp_path / "c").index(str(wrong))
    assert (index.order, kept.order, kept.frames) == ("count", "count", 13)


def test_changed_video_is_indexed_again(tmp_path, film):
    cache = IndexCache(tmp_path / "c")
    assert cache.index(str(film)).frames == 13
    films.write_film(film, 7)
    assert cache.index(str(film)).frames == 7


def test_relative_paths_are_made_absolute(tmp_path, film, monkeypatch):
    cache = IndexCache(tmp_path / "c")
    cache.index(str(film))
    monkeypatch.setattr(video_index, "index_video", None)
    monkeypatch.chdir(tmp_path)
    assert cache.index("a film.mp4").frames == 13


def test_bad_videos_are_not_cached(tmp_path, film):
    cache = IndexCache(tmp_path / "c")
    content = film.read_bytes()
    film.write_bytes(b"no film")
    with pytest.raises(VideoError):
        cache.index(str(film))
    film.write_bytes(content)
    assert cache.index(str(film)).frames == 13


@pytest.mark.parametrize("damage", ["DELETE", "x'00'", "DROP"])
def test_damaged_cache_is_reported_and_ignored(tmp_path, film, capsys, damage):
    IndexCache(tmp_path / "c").index(str(film))
    with sqlite3.connect(tmp_path / "c") as database:
        if damage == "DROP":
            database.execute("DROP TABLE videos")
            database.execute("CREATE TABLE videos (something TEXT)")
        else:
            database.execute(f"UPDATE videos SET content={damage!r}")
    cache = IndexCache(tmp_path / "c")
    assert cache.index(str(film)).frames == 13
    assert "is damaged" in capsys.readouterr().out


def test_disabled_seeking_is_cached(tmp_path, film, request):
    IndexCache(tmp_path / "c").disable_seeking(str(film))
    request.getfixturevalue("never_decoded")
    assert IndexCache(tmp_path / "c").index(str(film)).order == "count"


def test_memory_holds_a_limited_number(tmp_path, monkeypatch):
    monkeypatch.setattr(index_cache, "KEEP_IN_MEMORY", 2)
    cache = IndexCache(tmp_path / "c")
    for name in "abc":
        cache.index(str(films.write_film(tmp_path / f"{name}.mkv", 2)))
    assert len(cache._recent) == 2


def test_other_file_as_cache_raises(tmp_path):
    (tmp_path / "c").write_text("these are not the bytes of a database" * 99)
    with pytest.raises(UserError, match="data.cache=FILE"):
        IndexCache(tmp_path / "c")


@pytest.fixture
def lock(tmp_path):
    """A lock on the cache that another process holds."""
    IndexCache(tmp_path / "c").close()
    database = sqlite3.connect(tmp_path / "c", isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    yield database
    database.close()


@pytest.mark.parametrize("waits", ["at first", "later"])
def test_held_lock_is_reported_and_memory_takes_over(
    tmp_path, film, capsys, monkeypatch, request, waits
):
    monkeypatch.setattr(index_cache, "NOTICE_SECONDS", 0.01)
    monkeypatch.setattr(index_cache, "WAIT_SECONDS", 0)
    caches = [IndexCache(tmp_path / "c")] if waits == "later" else []
    request.getfixturevalue("lock")
    cache = (caches or [IndexCache(tmp_path / "c")])[0]
    assert cache.index(str(film)).frames == 13
    printed = capsys.readouterr().out
    assert f"waiting up to 0 s for the video cache {tmp_path}/c" in printed
    assert printed.count("without the video cache") == 1
    assert printed.count("\n") == 2
    cache._recent.clear()
    request.getfixturevalue("never_decoded")
    assert cache.index(str(film)).frames == 13


def test_released_lock_is_waited_for(tmp_path, film, capsys, monkeypatch, lock):
    monkeypatch.setattr(index_cache, "NOTICE_SECONDS", 0.01)

    def unlock(*arguments, **options):
        printed.append(arguments[0])
        lock.execute("ROLLBACK")

    printed = []
    monkeypatch.setattr("builtins.print", unlock)
    IndexCache(tmp_path / "c").index(str(film))
    monkeypatch.undo()
    assert len(printed) == 1 and "which another process has" in printed[0]
    rows = lock.execute("SELECT COUNT(*) FROM videos").fetchone()
    assert rows == (1,)


@pytest.mark.parametrize("place", ["", "/proc/1/nowhere"])
def test_unwritable_folder_uses_memory(
    tmp_path, film, capsys, monkeypatch, place
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", place or str(tmp_path / "file"))
    assert IndexCache().index(str(film)).frames == 13
    assert "without the video cache" in capsys.readouterr().out


def test_damaged_default_cache_uses_memory(tmp_path, film, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    index_cache.default_path().parent.mkdir()
    index_cache.default_path().write_text("no bytes of a database" * 99)
    assert IndexCache().index(str(film)).frames == 13
    assert "without the video cache" in capsys.readouterr().out


def test_impossible_cache_folder_raises(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be used"):
        IndexCache(tmp_path / "file" / "c")


def test_default_is_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert index_cache.default_path().is_relative_to(tmp_path)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert os.fspath(index_cache.default_path()).startswith("/home/someone")


def test_times_and_flips_come_back_from_the_disk(tmp_path, request):
    path = films.write_film(tmp_path / "a.mp4", 5, stamps=[0, 1, 9, 20, 21])
    films.set_matrix(path, (-1, 0, 0, 1))
    IndexCache(tmp_path / "c").index(str(path))
    request.getfixturevalue("never_decoded")
    kept = IndexCache(tmp_path / "c").index(str(path))
    assert kept.flip and kept.rotation == 0
    np.testing.assert_allclose(kept.edges_s[:5], [0, 0.04, 0.36, 0.8, 0.84])


def test_entries_of_earlier_versions_are_ignored(tmp_path, film):
    IndexCache(tmp_path / "c").index(str(film))
    with sqlite3.connect(tmp_path / "c") as database:
        database.execute("UPDATE videos SET version=2, content=x'00'")
    assert IndexCache(tmp_path / "c").index(str(film)).frames == 13


def test_limits_apply_to_cached_indices(tmp_path, film):
    IndexCache(tmp_path / "c").index(str(film))
    small = Limits(max_pixels=99)
    with pytest.raises(VideoError, match="max_pixels=99"):
        IndexCache(tmp_path / "c", small).index(str(film))


def test_other_database_raises_and_is_untouched(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "c")) as database:
        database.execute("CREATE TABLE cookies (name TEXT)")
    before = (tmp_path / "c").read_bytes()
    with pytest.raises(UserError, match="another database"):
        IndexCache(tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == before
