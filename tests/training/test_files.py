import errno

import pytest

from training import files
from training.errors import UserError


def full_disk(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_write_text_replaces_the_whole_file(tmp_path):
    path = tmp_path / "a.txt"
    files.write_text(path, "a longer text")
    files.write_text(path, "short")
    assert path.read_text() == "short"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_text(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    files.write_text(path, "good")
    monkeypatch.setattr(files.os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        files.write_text(path, "new")
    assert path.read_text() == "good"
    assert list(tmp_path.iterdir()) == [path]


def test_new_directory_appears_at_the_end(tmp_path):
    final = tmp_path / "deep" / "made"
    with files.new_directory(final) as scratch:
        (scratch / "a").write_text("x")
        assert not final.exists()
    assert (final / "a").read_text() == "x"
    assert list(final.parent.iterdir()) == [final]


def test_new_directory_leaves_nothing_after_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="stop"):
        with files.new_directory(tmp_path / "made") as scratch:
            (scratch / "a").write_text("x")
            raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []


def test_new_directory_replaces_nothing(tmp_path):
    (tmp_path / "made").mkdir()
    with pytest.raises(FileExistsError):
        with files.new_directory(tmp_path / "made"):
            pass


def test_scratch_of_a_killed_process_is_replaced(tmp_path):
    old = tmp_path / (files.SCRATCH_PREFIX + "made")
    old.mkdir()
    (old / "half").write_text("x")
    with files.new_directory(tmp_path / "made"):
        pass
    assert list((tmp_path / "made").iterdir()) == []


def test_a_failed_write_says_of_which_file(tmp_path, monkeypatch):
    monkeypatch.setattr(files.os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space") as error:
        files.write_bytes(tmp_path / "a.png", b"x")
    assert error.value.filename == str(tmp_path / "a.png")


def test_a_locked_folder_keeps_others_out(tmp_path):
    with files.locked(tmp_path):
        with pytest.raises(UserError, match="Another process"):
            with files.locked(tmp_path):
                pass
    with files.locked(tmp_path):
        pass


def test_sha256_of_a_known_text(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    # FIPS 180-2, appendix B.1.
    assert files.sha256(path) == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
