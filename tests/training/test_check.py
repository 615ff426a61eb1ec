"""The check command on video data sets."""

import csv
import io
import os

import numpy as np
import pytest
from PIL import Image

from tests.training.data import films, fixtures
from tests.training.data.small_datasets import write_frames, write_video
from training import check
from training.data import augmented_strips, clip_strips
from training.io import cli

pytestmark = pytest.mark.usefixtures("own_cache")


def run(tmp_path, capsys, root, dataset="folder", code=0):
    arguments = [f"--dataset={dataset}", f"--set=data.root={root}"]
    out = f"--out={tmp_path / 'out'}"
    assert cli.run(check.main, [*arguments, out]) == code
    return capsys.readouterr()


def rows(text):
    return [line.split() for line in text.splitlines() if line.strip()]


@pytest.fixture
def videos(tmp_path):
    root = tmp_path / "my videos"
    for name, count in (("jump", 7), ("walk slöwly", 4)):
        for number in range(count):
            clip = films.pictures(10 + number)
            path = root / name / f"{number}.mkv"
            films.write_film(path, clip, gop=4)
    return root


def test_counts_lengths_and_sizes(tmp_path, capsys, videos):
    printed = rows(run(tmp_path, capsys, videos).out)
    assert printed[2] == ["split", "listed", "bad", "good"]
    assert [row[:2] for row in printed[3:6]] == [
        ["train", "7"],
        ["validation", "2"],
        ["test", "2"],
    ]
    (low, _, median, _, high), _ = (
        next(row[1:6] for row in printed[7:] if row[0] == split)
        for split in ("train", "test")
    )
    assert 10 <= int(low) <= int(median) <= int(high) <= 16
    assert ["test", "52x36", "(2)"] in printed
    assert ["0", "jump", "5", "1", "1"] in printed
    assert ["1", "walk", "slöwly", "2", "1", "1"] in printed


def test_every_column_has_a_heading_and_a_unit(tmp_path, capsys, videos):
    printed = run(tmp_path, capsys, videos).out.splitlines()
    starts = [n for n, line in enumerate(printed) if "split  " in line]
    titles = [printed[n - 1] for n in starts]
    assert titles[1] == "Lengths of good videos: min / median / max"
    units = printed[starts[1]]
    assert units.split() == [
        "split",
        "frames",
        "seconds",
        *"frames a second".split(),
    ]
    assert "width x height (videos)" in printed[starts[2]]
    assert "label  class" in "\n".join(printed)
    assert all(len(n) < 80 for n in printed if str(tmp_path) not in n)


def test_bad_videos_are_counted_and_listed(tmp_path, capsys, videos):
    (videos / "jump" / "empty.MP4").write_bytes(b"")
    printed = run(tmp_path, capsys, videos).out
    counts = [row for row in rows(printed)[3:6]]
    assert "bad_videos.csv" in printed
    with open(tmp_path / "out" / "bad_videos.csv", newline="") as file:
        (bad,) = csv.DictReader(file)
    assert bad["path"].endswith("empty.MP4")
    assert bad["reason"] == "the file is empty"
    assert all(int(r[1]) == int(r[2]) + int(r[3]) for r in counts)


def test_a_name_that_is_not_utf8_is_one_bad_video(tmp_path, capsys, videos):
    try:
        (videos / os.fsdecode(b"jump/\xe4.mkv")).hardlink_to(
            films.write_film(tmp_path / "a.mkv", 5)
        )
    except OSError:
        pytest.skip("this disk takes UTF-8 names only")
    run(tmp_path, capsys, videos)
    with open(tmp_path / "out" / "bad_videos.csv", newline="") as file:
        (bad,) = csv.DictReader(file)
    assert bad["path"].endswith("jump/\ufffd.mkv")
    assert bad["reason"] == "its name is not UTF-8 text; rename it"


def test_skipped_files_are_noted(tmp_path, capsys, videos):
    (videos / "jump" / "up").symlink_to("..")
    (videos / "jump" / "notes.txt").touch()
    printed = run(tmp_path, capsys, videos).out
    assert "note: skipped 1 file without video content: 1 .txt\n" in printed
    assert "(jump/up is a parent folder)\n" in printed


def test_the_list_of_bad_videos_is_removed_after_repair(
    tmp_path, capsys, videos
):
    bad = videos / "jump" / "empty.mp4"
    bad.write_bytes(b"")
    run(tmp_path, capsys, videos)
    bad.unlink()
    run(tmp_path, capsys, videos)
    assert not (tmp_path / "out" / "bad_videos.csv").exists()


def test_every_frame_of_a_folder_is_read(tmp_path, capsys):
    data = fixtures.make(
        "mmaction2_frames", tmp_path / "data", write_video, write_frames
    )
    first = next(tmp_path.glob("data/**/img_00002.jpg"))
    first.write_bytes(b"no JPEG")
    arguments = [
        f"--set=data.{name}={value}"
        for name, value in vars(data).items()
        if isinstance(value, str) and value != " "
    ]
    check.main(
        ["--dataset=mmaction2_frames", f"--out={tmp_path / 'o'}", *arguments]
    )
    capsys.readouterr()
    listed = (tmp_path / "o" / "bad_videos.csv").read_text()
    assert str(first.parent) in listed


def test_the_contact_sheet_shows_middle_frames(tmp_path, capsys):
    root = tmp_path / "grey"
    for name, level in (("dark", 40), ("light", 200)):
        for number in range(3):
            clip = np.full((5, 64, 48, 3), level, np.uint8)
            path = root / name / f"{number}.mkv"
            films.write_film(path, clip, codec="ffv1", pix_fmt="bgr0")
    run(tmp_path, capsys, root)
    content = (tmp_path / "out" / "contact_sheet.png").read_bytes()
    sheet = np.array(Image.open(io.BytesIO(content)))
    row = sheet[64]  # through the middle of the first row of frames
    levels = sorted(np.bincount(row[:, 0], minlength=256)[[40, 200]])
    assert levels == [3 * 128, 3 * 128]


def test_classes_without_training_videos_are_noted(tmp_path, capsys):
    for split, names in (("train", "a"), ("test", "a")):
        for name in names:
            write_video(tmp_path / f"{split}-{name}.mp4")
    (tmp_path / "classes.txt").write_text("a\nb\n")
    (tmp_path / "train.csv").write_text("train-a.mp4 0\n")
    (tmp_path / "test.csv").write_text("train-a.mp4 0\ntest-a.mp4 1\n")
    settings = {
        "root": tmp_path,
        "train": tmp_path / "train.csv",
        "test": tmp_path / "test.csv",
        "classes": tmp_path / "classes.txt",
    }
    check.main(
        ["--dataset=slowfast", f"--out={tmp_path / 'o'}"]
        + [f"--set=data.{k}={v}" for k, v in settings.items()]
    )
    printed = capsys.readouterr().out
    assert "note: no training video: b" in printed
    assert "note: 1 video of test also in train" in printed


def test_data_sets_without_videos_are_rejected(tmp_path, capsys):
    error = run(tmp_path, capsys, tmp_path, "digits_recall", code=2).err
    assert "video data set" in error
    error = run(tmp_path, capsys, tmp_path, "abilitys", code=2).err
    assert "Did you mean 'abilities'" in error


def test_without_arguments_data_sets_are_listed(capsys):
    check.main([])
    printed = capsys.readouterr().out
    assert "ucf101" in printed and check.EXAMPLE in printed


@pytest.mark.parametrize("name", ["bad_videos.csv", "contact_sheet.png"])
def test_files_of_the_user_are_not_overwritten(tmp_path, capsys, videos, name):
    path = tmp_path / "out" / name
    path.parent.mkdir()
    path.write_bytes(b"theirs")
    error = run(tmp_path, capsys, videos, code=2).err
    assert f"{name} exists" in error and error.count("\n") == 1
    assert path.read_bytes() == b"theirs"


def test_class_names_with_left_or_right_are_noted(tmp_path, capsys):
    root = tmp_path / "gestures"
    for name in ("swipe left", "swipe right"):
        for number in range(2):
            films.write_film(root / name / f"{number}.mkv", 9, gop=4)
    printed = run(tmp_path, capsys, root).out
    assert (
        "note: flipped clips may belong to another class (swipe left" in printed
    )


def test_generated_clips_are_drawn(tmp_path, capsys):
    arguments = ["--dataset=abilities", "--set=data.clips.ability=far_both"]
    out = tmp_path / "out"
    assert cli.run(check.main, [*arguments, f"--out={out}"]) == 0
    printed = capsys.readouterr().out
    assert "far_both: 8 x 16 x 40, classes 0, 1; train 6400" in printed
    with Image.open(out / "abilities_far_both.png") as image:
        assert image.width > 8 * 40


def test_augmented_clips_are_drawn_below_plain_ones(tmp_path, capsys, videos):
    settings = ("sampling.frames=2", "sampling.grey=1", "sampling.erase=0")
    arguments = [f"--set={setting}" for setting in settings]
    arguments += ["--set=sampling.crop_px=36", f"--set=data.root={videos}"]
    arguments += ["--set=sampling.min_short_side_px=36"]
    arguments += ["--set=sampling.max_short_side_px=36"]
    arguments += ["--dataset=folder", "--augmented", f"--out={tmp_path / 'o'}"]
    assert cli.run(check.main, arguments) == 0
    assert "augmented.png" in capsys.readouterr().out
    picture = np.array(Image.open(tmp_path / "o" / "augmented.png"), int)
    side, gap = augmented_strips.FRAME_PX, clip_strips.GAP_PX
    rows = [gap + k * (side + 2 * gap) for k in range(2)]
    plain, grey = (picture[top : top + side, gap : gap + side] for top in rows)
    assert np.ptp(grey, axis=-1).max() == 0 < np.ptp(plain, axis=-1).max()
    # The grey clip is the plain one in ITU-R BT.601 luma; jitter is 0.3.
    luma = plain @ [0.299, 0.587, 0.114]
    assert np.corrcoef(luma.ravel(), grey[..., 0].ravel())[0, 1] > 0.8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--augmented", "coco_r50"], "a recipe of videos"),
        (["--set=sampling.grey=1"], "is for --augmented"),
    ],
)
def test_augmentation_needs_its_option(
    tmp_path, capsys, videos, arguments, message
):
    arguments = ["--dataset=folder", f"--set=data.root={videos}", *arguments]
    assert cli.run(check.main, [*arguments, f"--out={tmp_path / 'o'}"]) != 0
    assert message in " ".join(capsys.readouterr().err.split())
