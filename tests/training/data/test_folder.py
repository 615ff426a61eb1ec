import collections
import os

import pytest

from tests.training.data.fixtures import make, read, touch
from training.data.data_config import DataConfig
from training.io.paths import UrlPath
from training.io.user_error import UserError


def tree(root, *files):
    """The settings that read `root` with these files in it."""
    for file in files:
        touch(root / file)
    return DataConfig(root=str(root))


def named(listing, root):
    """Return paths below the root with their classes, by split."""
    return {
        split: {
            video.path.removeprefix(f"{root}/"): listing.classes[label]
            for video in videos
            for label in video.labels
        }
        for split, videos in listing.splits.items()
    }


def test_folders_of_splits_are_the_splits(tmp_path):
    listing = read("folder", make("folder", tmp_path))
    assert listing.classes == ("jump", "läuft")
    assert named(listing, tmp_path) == {
        "train": {
            "train/jump/a.mp4": "jump",
            "train/jump/long takes/b c.AVI": "jump",
            "train/läuft/d.webm": "läuft",
        },
        "validation": {"val/jump/e.mp4": "jump", "val/läuft/f.mov": "läuft"},
        "test": {"test/läuft/g.mkv": "läuft"},
    }


def test_class_only_in_train_is_fine(tmp_path):
    data = tree(tmp_path, "train/a/1.mp4", "train/b/2.mp4", "test/b/3.mp4")
    listing = read("folder", data)
    assert listing.classes == ("a", "b")
    assert named(listing, tmp_path)["test"] == {"test/b/3.mp4": "b"}


def test_class_missing_in_train_is_refused(tmp_path):
    data = tree(tmp_path, "Train/a/1.mp4", "Train/b/2.mp4", "val/c/3.mp4")
    with pytest.raises(
        UserError, match="Expected a class of .*/Train. Received: .*/val/c"
    ):
        read("folder", data)


def test_two_folders_for_a_split_are_refused(tmp_path):
    data = tree(tmp_path, "train/a/1.mp4", "val/a/2.mp4", "validation/a/3.mp4")
    with pytest.raises(UserError, match="one folder for validation"):
        read("folder", data)


def test_train_with_an_unknown_partner_is_refused(tmp_path):
    data = tree(tmp_path, "train/a/1.mp4", "train/b/2.mp4", "valid/a/3.mp4")
    with pytest.raises(UserError, match="beside .*Received: train, valid"):
        read("folder", data)


def test_train_and_test_may_be_classes(tmp_path):
    data = tree(tmp_path, "car/1.mp4", "test/3.mp4", "train/2.mp4")
    listing = read("folder", data)
    assert listing.classes == ("car", "test", "train")


def test_other_and_hidden_files_are_skipped(tmp_path):
    data = tree(
        tmp_path,
        "a/1.mp4",
        "a/1.srt",
        "a/._1.mp4",
        "b/2.MP4",
        ".cache/3.mp4",
        "4.mp4",
    )
    listing = read("folder", data)
    assert named(listing, tmp_path) == {
        "train": {"a/1.mp4": "a", "b/2.MP4": "b"}
    }


@pytest.mark.parametrize(
    "extension",
    ".mp4 .m4v .avi .mkv .webm .mov .mpg .mpeg .wmv .flv .ts .3gp .ogv".split(),
)
def test_videos_are_recognized_by_extension(tmp_path, extension):
    upper = extension.upper()
    data = tree(tmp_path, f"a/1{extension}", f"b/2{upper}")
    assert len(read("folder", data).splits["train"]) == 2


@pytest.mark.parametrize(
    "count, sizes",
    [
        [1, (1, 0, 0)],
        [3, (1, 1, 1)],
        [4, (2, 1, 1)],
        [7, (5, 1, 1)],
        [20, (14, 3, 3)],
        [100, (70, 15, 15)],
    ],
)
def test_each_class_is_divided_by_file(tmp_path, count, sizes):
    files = [f"{name}/{i}.mp4" for name in "ab" for i in range(count)]
    paths = named(read("folder", tree(tmp_path, *files)), tmp_path)
    of_a = tuple(
        collections.Counter(paths.get(split, {}).values())["a"]
        for split in ("train", "validation", "test")
    )
    assert of_a == sizes
    assert sorted(f for split in paths.values() for f in split) == sorted(files)


def test_two_files_are_divided_into_train_and_test(tmp_path):
    data = tree(tmp_path, "a/1.mp4", "a/2.mp4", "b/3.mp4", "b/4.mp4")
    paths = named(read("folder", data), tmp_path)
    assert paths["validation"] == paths["test"]
    assert {*paths["train"], *paths["test"]} == {
        "a/1.mp4",
        "a/2.mp4",
        "b/3.mp4",
        "b/4.mp4",
    }
    assert not set(paths["train"]) & set(paths["test"])


def test_splits_follow_hashes_of_paths(tmp_path):
    # sha256 of these names begins e4, a0, da, 65: written down, so that no
    # version divides what was divided before in another way.
    data = tree(tmp_path, *(f"{c}/{n}.mp4" for c in "ab" for n in "1234"))
    paths = named(read("folder", data), tmp_path)
    assert list(paths["test"]) == ["a/4.mp4", "b/4.mp4"]
    assert list(paths["validation"]) == ["a/1.mp4", "b/1.mp4"]


def test_new_file_moves_at_most_two_others(tmp_path):
    files = [f"{name}/{i}.mp4" for name in "ab" for i in range(40)]
    before = named(read("folder", tree(tmp_path, *files)), tmp_path)
    for i in range(40, 60):
        after = named(read("folder", tree(tmp_path, f"a/{i}.mp4")), tmp_path)
        moved = [set(before[split]) - set(after[split]) for split in before]
        assert sum(map(len, moved)) <= 2
        before = after


def test_class_without_videos_is_named(tmp_path):
    data = tree(tmp_path, "a/1.mp4", "b/notes.txt")
    with pytest.raises(
        UserError, match=r"Expected videos .*/b\. .*none, but 1 .txt\.$"
    ):
        read("folder", data)


def test_all_classes_without_videos_are_named(tmp_path):
    data = tree(tmp_path, "a/1.mp4", "b/notes.txt")
    for name in "cd":
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=r"/b\. .*Also without videos: c; d\.$"):
        read("folder", data)


def test_folders_of_frames_suggest_another_data_set(tmp_path):
    data = tree(tmp_path, "a/1/img_00001.jpg", "b/2/img_00001.jpg")
    with pytest.raises(UserError, match="dataset=mmaction2_frames"):
        read("folder", data)


def test_folder_at_a_url(memory_url):
    for name in ("a/1.mp4", "b/deeper/2.mp4"):
        (UrlPath(memory_url) / name).write_text("x")
    listing = read("folder", DataConfig(root=memory_url))
    assert named(listing, memory_url) == {
        "train": {"a/1.mp4": "a", "b/deeper/2.mp4": "b"}
    }


def test_name_that_is_not_utf8_is_one_video_of_its_class(tmp_path):
    data = tree(tmp_path, "a/1.mp4", "a/2.mp4", "b/2.mp4")
    odd = tmp_path / "b" / os.fsdecode(b"\xe4.mp4")
    try:
        touch(odd)
    except OSError:
        pytest.skip("this disk takes UTF-8 names only")
    listing = read("folder", data)
    paths = {v.path for part in listing.splits.values() for v in part}
    assert str(odd) in paths and len(paths) == 4


def test_root_that_is_not_utf8_is_refused(tmp_path):
    with pytest.raises(UserError, match="data.root=.*\ufffd: .*not UTF-8"):
        read("folder", DataConfig(root=f"{tmp_path}/\udce4"))


@pytest.mark.parametrize(
    "ending", ".MTS .m2ts .gif .vob .asf .3g2 .M2V .h264 .rmvb .mxf".split()
)
def test_unknown_extension_is_probed(tmp_path, ending):
    listing = read("folder", tree(tmp_path, f"a/1{ending}", "b/2.mp4"))
    assert len(listing.splits["train"]) == 2 and not listing.notes


def test_other_files_are_counted_by_extension(tmp_path):
    data = tree(
        tmp_path,
        *(f"{name}/{n}.mp4" for name in "ab" for n in range(3)),
        *("a/1.srt", "a/2.SRT", "b/README", "b/x.jpg", "a/Thumbs.db"),
    )
    (tmp_path / "b" / "README").write_text("about the films")
    assert read("folder", data).notes == (
        "skipped 4 files without video content: 2 .srt, "
        "1 without an extension, 1 .jpg",
    )


def test_videos_outside_of_classes_are_noted(tmp_path):
    data = tree(
        *(tmp_path, "train/a/1.mp4", "train/b/2.mp4", "val/a/3.mp4"),
        *("extra/a/4.mp4", "loose.mp4"),
    )
    assert read("folder", data).notes == (
        "1 video outside of class folders: loose.mp4",
        "skipped folders besides the splits: extra",
    )


@pytest.mark.parametrize(
    "folder", ["__MACOSX", "@eaDir", "$RECYCLE.BIN", "lost+found", ".git"]
)
def test_system_folders_are_not_classes(tmp_path, folder):
    data = tree(tmp_path, "a/1.mp4", "b/2.mp4", f"{folder}/a/._1.mp4")
    touch(tmp_path / "a" / folder / "1.mp4")
    listing = read("folder", data)
    assert listing.classes == ("a", "b") and not listing.notes
    assert len(listing.splits["train"]) == 2


def test_links_to_parent_folders_repeat_no_video(tmp_path):
    data = tree(tmp_path, "a/1.mp4", "b/2.mp4", "b/3.mp4")
    for link, target in (("a/up", ".."), ("b/up", ".."), ("all", ".")):
        (tmp_path / link).symlink_to(target)
    listing = read("folder", data)
    assert listing.classes == ("a", "b")
    paths = named(listing, tmp_path)
    assert paths["train"].keys() | paths["test"].keys() == {
        "a/1.mp4",
        "b/2.mp4",
        "b/3.mp4",
    }
    assert "files already counted: 3 (" in listing.notes[0]
    assert "a/up is a parent folder" in listing.notes[0]


def test_video_linked_in_two_classes_is_in_the_first(tmp_path):
    data = tree(tmp_path, "a/1.mp4", "b/2.mp4", "c/3.mp4")
    (tmp_path / "a" / "0.mp4").symlink_to("../b/2.mp4")
    os.link(tmp_path / "a" / "1.mp4", tmp_path / "c" / "1.mp4")
    listing = read("folder", data)
    assert named(listing, tmp_path) == {
        "train": {"a/1.mp4": "a", "b/2.mp4": "b", "c/3.mp4": "c"}
    }
    assert "c/1.mp4 is a/1.mp4; a/0.mp4 is b/2.mp4" in listing.notes[0]


def test_split_linked_to_another_is_named(tmp_path):
    data = tree(tmp_path, "train/a/1.mp4", "train/b/2.mp4")
    (tmp_path / "val").symlink_to("train")
    with pytest.raises(
        UserError, match=r"Received: train; .*\(val is train\)$"
    ):
        read("folder", data)


def test_class_of_links_only_is_named(tmp_path):
    data = tree(tmp_path, "a/1.mp4", "b/2.mp4")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "1.mp4").symlink_to("../a/1.mp4")
    with pytest.raises(UserError, match="/c. .*c/1.mp4 is a/1.mp4"):
        read("folder", data)


def test_one_class_is_too_few(tmp_path):
    with pytest.raises(
        UserError, match="two classes. Received: .* with 1 class$"
    ):
        read("folder", tree(tmp_path, "a/1.mp4"))


@pytest.mark.parametrize("root", ["", "nowhere", "a/1.mp4"])
def test_missing_folder_explains_the_layout(tmp_path, root):
    tree(tmp_path, "a/1.mp4")
    data = DataConfig(root=root and str(tmp_path / root))
    with pytest.raises(UserError, match="one folder of videos per class"):
        read("folder", data)
