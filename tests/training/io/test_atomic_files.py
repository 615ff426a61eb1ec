import errno
import os

import pytest

from training.io import atomic_files
from training.io.paths import UrlPath
from training.io.user_error import UserError


def full_disk(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_write_text_replaces_the_whole_file(tmp_path):
    path = tmp_path / "a.txt"
    atomic_files.write_text(path, "a longer text")
    atomic_files.write_text(path, "short")
    assert path.read_text() == "short"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_text(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    atomic_files.write_text(path, "good")
    monkeypatch.setattr(atomic_files.os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        atomic_files.write_text(path, "new")
    assert path.read_text() == "good"
    assert list(tmp_path.iterdir()) == [path]


def test_new_directory_appears_at_the_end(tmp_path):
    final = tmp_path / "deep" / "made"
    with atomic_files.new_directory(final, last="a") as scratch:
        (scratch / "a").write_text("x")
        assert not final.exists()
    assert (final / "a").read_text() == "x"
    assert list(final.parent.iterdir()) == [final]


def test_new_directory_is_on_the_disk_before_it_appears(tmp_path, monkeypatch):
    synced = set()
    replace = os.replace

    def record(descriptor):
        synced.add(os.fstat(descriptor).st_ino)

    def checked(scratch, path):
        written = [*scratch.rglob("*"), scratch]
        assert len(written) == 4
        assert {file.stat().st_ino for file in written} <= synced
        replace(scratch, path)

    monkeypatch.setattr(atomic_files.os, "fsync", record)
    monkeypatch.setattr(atomic_files.os, "replace", checked)
    with atomic_files.new_directory(tmp_path / "made", last="a") as scratch:
        (scratch / "a").write_text("x")
        (scratch / "deep").mkdir()
        (scratch / "deep" / "b").write_text("y")
    assert tmp_path.stat().st_ino in synced


def test_new_directory_leaves_nothing_after_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="stop"):
        with atomic_files.new_directory(tmp_path / "made", last="a") as scratch:
            (scratch / "a").write_text("x")
            raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []


def test_new_directory_replaces_nothing(tmp_path):
    (tmp_path / "made").mkdir()
    with pytest.raises(FileExistsError):
        with atomic_files.new_directory(tmp_path / "made", last="a"):
            pass


def test_scratch_of_a_killed_process_is_replaced(tmp_path):
    old = tmp_path / (atomic_files.SCRATCH_PREFIX + "made")
    old.mkdir()
    (old / "half").write_text("x")
    with atomic_files.new_directory(tmp_path / "made", last="a"):
        pass
    assert list((tmp_path / "made").iterdir()) == []


def test_a_failed_write_says_of_which_file(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic_files.os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space") as error:
        atomic_files.write_bytes(tmp_path / "a.png", b"x")
    assert error.value.filename == str(tmp_path / "a.png")


def test_a_locked_folder_keeps_others_out(tmp_path):
    with atomic_files.locked(tmp_path):
        with pytest.raises(UserError, match="Another process"):
            with atomic_files.locked(tmp_path):
                pass
    with atomic_files.locked(tmp_path):
        pass


@pytest.fixture
def victim(tmp_path):
    """A file outside of the folder that is written into."""
    path = tmp_path / "victim"
    path.write_text("theirs")
    return path


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "handed over"
    path.mkdir()
    return path


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_a_link_for_a_scratch_file_is_not_written_through(folder, victim, link):
    name = atomic_files.SCRATCH_PREFIX + "report.md"
    getattr(folder / name, link)(victim)
    atomic_files.write_text(folder / "report.md", "mine")
    assert victim.read_text() == "theirs"
    assert (folder / "report.md").read_text() == "mine"


def test_a_link_for_the_result_is_replaced(folder, victim):
    (folder / "report.md").symlink_to(victim)
    atomic_files.write_text(folder / "report.md", "mine")
    assert victim.read_text() == "theirs"
    assert (folder / "report.md").read_text() == "mine"


def test_a_folder_for_a_scratch_file_is_not_in_the_way(folder):
    (folder / f"{atomic_files.SCRATCH_PREFIX}report.md").mkdir()
    atomic_files.write_text(folder / "report.md", "mine")
    assert (folder / "report.md").read_text() == "mine"


def test_a_link_for_a_scratch_directory_is_not_written_through(folder):
    (folder.parent / "else").mkdir()
    scratch = folder / f"{atomic_files.SCRATCH_PREFIX}made"
    scratch.symlink_to(folder.parent / "else")
    with atomic_files.new_directory(folder / "made", last="a") as path:
        (path / "a").write_text("mine")
    assert not list((folder.parent / "else").iterdir())
    assert (folder / "made" / "a").read_text() == "mine"


def test_names_as_long_as_a_disk_takes_are_written(folder):
    path = folder / ("\N{SNOWMAN}" * 83 + ".md")
    atomic_files.write_text(path, "mine")
    assert path.read_text() == "mine"


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_is_no_lock(folder, victim, exists):
    if not exists:
        victim.unlink()
    (folder / ".lock").symlink_to(victim)
    with pytest.raises(UserError, match="is a link.*Delete it"):
        with atomic_files.locked(folder):
            pass
    assert victim.exists() == exists
    assert not exists or victim.read_text() == "theirs"


def test_a_fifo_is_no_lock(folder):
    os.mkfifo(folder / ".lock")
    with pytest.raises(UserError, match="no regular file.*Delete it"):
        with atomic_files.locked(folder):
            pass


def test_a_folder_is_no_lock(folder):
    (folder / ".lock").mkdir()
    with pytest.raises(UserError, match="no regular file.*Delete it"):
        with atomic_files.locked(folder):
            pass


def test_locking_removes_old_scratch_of_killed_processes(folder):
    old = folder / f"{atomic_files.SCRATCH_PREFIX}{'0' * 16}-report.md"
    new = folder / f"{atomic_files.SCRATCH_PREFIX}{'1' * 16}-report.md"
    for path in (old, new):
        path.write_text("half")
    os.utime(old, (0, 0))
    with atomic_files.locked(folder):
        assert not old.exists()
        assert new.exists()


def test_removing_a_linked_directory_removes_the_link(folder):
    target = folder.parent / "else"
    target.mkdir()
    (target / "a").write_text("theirs")
    (folder / "made").symlink_to(target)
    atomic_files.remove_directory(folder / "made", last="a")
    assert not (folder / "made").exists()
    assert (target / "a").read_text() == "theirs"


def test_a_path_through_a_link_out_of_a_folder_is_refused(folder):
    (folder / "tests").symlink_to(folder.parent)
    with pytest.raises(UserError, match="is a link.*outside"):
        atomic_files.check_inside(folder / "tests" / "middle", folder)
    atomic_files.check_inside(folder / "other" / "middle", folder)


def test_sha256_of_a_known_text(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    # FIPS 180-2, appendix B.1.
    assert atomic_files.sha256(path) == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


@pytest.fixture
def store(memory_url):
    """An empty folder at a URL, in memory."""
    return UrlPath(memory_url)


def tree(folder):
    """Relative names of all files below a folder at a URL."""
    return [str(path).removeprefix(f"{folder}/") for path in folder.files()]


def test_a_directory_at_a_url_is_uploaded_at_the_end(store):
    final = store / "made"
    with atomic_files.new_directory(final, last="b") as scratch:
        (scratch / "deep").mkdir()
        for name in ("a", "b", "c", "deep/d"):
            (scratch / name).write_text(name)
        assert not final.exists()
    assert sorted(tree(final)) == ["a", "b", "c", "deep/d"]
    assert (final / "deep" / "d").read_text() == "deep/d"
    assert not scratch.exists()


@pytest.mark.parametrize("broken", ["a", "b", "c"])
def test_a_broken_upload_is_never_whole(store, broken, monkeypatch):
    upload = UrlPath.upload

    def upload_or_fail(self, source):
        assert not atomic_files.is_whole(store / "made", last="b")
        if self.name == broken:
            raise UserError("unreachable")
        upload(self, source)

    monkeypatch.setattr(UrlPath, "upload", upload_or_fail)
    # As if the process was killed, or the store was gone for good.
    monkeypatch.setattr(atomic_files, "remove_directory", lambda *_, **__: None)
    with pytest.raises(UserError, match="unreachable"):
        with atomic_files.new_directory(store / "made", last="b") as scratch:
            for name in "abc":
                (scratch / name).write_text(name)
    assert not atomic_files.is_whole(store / "made", last="b")


def test_an_upload_replaces_half_of_an_earlier_one_but_no_whole_one(store):
    (store / "made" / "old").write_text("half")
    for _ in range(2):
        try:
            with atomic_files.new_directory(
                store / "made", last="b"
            ) as scratch:
                (scratch / "b").write_text("x")
        except FileExistsError as error:
            assert str(store / "made") in str(error)
            break
        assert list(tree(store / "made")) == ["b"]
    else:
        pytest.fail("A whole directory was replaced.")


def test_removing_begins_with_the_last_file(store, monkeypatch):
    with atomic_files.new_directory(store / "made", last="b") as scratch:
        for name in "abc":
            (scratch / name).write_text(name)

    def killed(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(UrlPath, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        atomic_files.remove_directory(store / "made", last="b")
    assert not atomic_files.is_whole(store / "made", last="b")


def test_sha256_and_writing_at_a_url(store, tmp_path):
    atomic_files.write_text(store / "a", "abc")
    atomic_files.write_text(tmp_path / "a", "abc")
    assert atomic_files.sha256(store / "a") == atomic_files.sha256(
        tmp_path / "a"
    )


def test_a_file_that_can_be_written_is_tried_without_a_trace(tmp_path):
    atomic_files.check_writable(tmp_path / "a" / "b" / "c.json")
    atomic_files.check_writable_folder(tmp_path / "a")
    (tmp_path / "c.json").touch()
    atomic_files.check_writable(tmp_path / "c.json")
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]


def test_a_folder_is_no_file_to_write(tmp_path):
    with pytest.raises(UserError, match="which is a folder"):
        atomic_files.check_writable(tmp_path)


@pytest.mark.parametrize("kind", ["file", "broken link"])
def test_a_file_is_no_folder_to_write_to(tmp_path, kind):
    path = tmp_path / "a"
    path.touch() if kind == "file" else path.symlink_to(tmp_path / "gone")
    for below in (path, path / "b" / "c"):
        with pytest.raises(UserError, match="cannot be a folder"):
            atomic_files.check_writable_folder(below)


def test_a_web_server_cannot_be_written_to():
    with pytest.raises(UserError, match="http:// is read-only"):
        atomic_files.check_writable(UrlPath("http://127.0.0.1:9/a/b.json"))


def test_a_folder_without_permission_is_said(tmp_path, monkeypatch):
    def read_only(**_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(atomic_files.tempfile, "TemporaryFile", read_only)
    with pytest.raises(UserError, match="b cannot be written to .Read-only"):
        atomic_files.check_writable_folder(tmp_path / "a" / "b")


def test_no_link_is_opened_as_what_it_leads_to(tmp_path):
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "link").symlink_to("theirs")
    with pytest.raises(OSError):
        atomic_files.open_without_following(tmp_path / "link", os.O_WRONLY)
