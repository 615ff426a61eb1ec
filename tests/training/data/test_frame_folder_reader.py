"""Folders of JPEG frames."""

import os

import numpy as np
import pytest
import tensorflow as tf

from tests.training.data import films
from tests.training.data.small_datasets import write_frames
from training.data import jpeg_frames, transforms
from training.data.clip_reader import Probe, VideoError
from training.data.frame_folder_reader import FrameFolderReader
from training.data.manifest import Video
from training.data.video_limits import Limits
from training.io import image_bytes


def video(tmp_path, name="img_{:05}.jpg", first=1, count=9, frames=None):
    write_frames(tmp_path / "v", name, first, count)
    return Video(
        str(tmp_path / "v"), frame_name=name, first_frame=first, frames=frames
    )


def test_frames_are_counted_if_the_list_has_no_number(tmp_path):
    probe = FrameFolderReader().probe(video(tmp_path))
    assert probe == Probe(9, *films.SIZE, 0.0)


def test_list_may_use_fewer_frames(tmp_path):
    assert FrameFolderReader().probe(video(tmp_path, frames=4)).frames == 4


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("img_{:05}.jpg", 1),
        ("{:02}.jpg", 95),
        ("a-{:06}.jpeg", 0),
        ("{}.jpg", 8),
    ],
)
def test_frames_are_found_by_their_numbers(tmp_path, name, first):
    source, entry = FrameFolderReader(), video(tmp_path, name, first)
    frames = np.array([8, 0, 3, 3])
    window = transforms.crop_windows(*films.SIZE, 20, 16, 1)
    fields = {k: tf.constant(v) for k, v in source.fields(entry).items()}
    read = tf.function(source.read)
    got = read(fields, frames, window, tf.constant([16, 16]))[0]
    resampler = transforms.Resampler(*films.SIZE, window.numpy(), (16, 16))
    for number, pixels in zip(frames, got, strict=True):
        path = f"{entry.path}/{name.format(first + number)}"
        whole = image_bytes.decode_jpeg(tf.io.read_file(path)).numpy()
        difference = resampler(whole)[0] - pixels.numpy().astype(int)
        assert np.abs(difference).max() <= 1  # halves may round either way


def test_folder_without_frames_lists_its_content(tmp_path):
    for number in (1, 2):
        (tmp_path / f"IMG_{number}.JPG").touch()
    (tmp_path / os.fsdecode(b"\xff.txt")).touch()
    with pytest.raises(VideoError) as caught:
        FrameFolderReader().probe(Video(str(tmp_path)))
    assert str(caught.value) == (
        "there is no frame img_00001.jpg; the folder has 2 .jpg, 1 .txt, such "
        "as IMG_1.JPG"
    )


def test_non_utf8_name_is_ignored(tmp_path):
    entry = video(tmp_path)
    (tmp_path / "v" / os.fsdecode(b"\xff.jpg")).touch()
    assert FrameFolderReader().probe(entry).frames == 9


BAD = {
    "there is no such folder": lambda p: p.rename(p.with_name("moved")),
    "there is no frame img_00001": lambda p: [f.unlink() for f in p.iterdir()],
    "frame img_00003.jpg of 9 is missing": (
        lambda p: (p / "img_00003.jpg").unlink()
    ),
    "is not a JPEG": lambda p: (p / "img_00001.jpg").write_bytes(b"GIF89a"),
}


@pytest.mark.parametrize("reason", list(BAD))
def test_bad_folder_has_a_reason(tmp_path, reason):
    counted = "no frame" not in reason
    entry = video(tmp_path, frames=9 if counted else None)
    BAD[reason](tmp_path / "v")
    with pytest.raises(VideoError, match=reason):
        FrameFolderReader().probe(entry)


def test_truncated_frame_is_read(tmp_path):
    source, entry = FrameFolderReader(), video(tmp_path)
    films.cut(tmp_path / "v" / "img_00002.jpg", 0.7)
    window = transforms.crop_windows(*films.SIZE, 36, 36, 1)
    got = source.read(
        source.fields(entry), tf.constant([1, 0], tf.int64), window, (36, 36)
    )
    expected = films.pictures(9, seed=1)[1, :8, 8:44]  # the first rows
    difference = got[0, 0, :8].numpy().astype(float) - expected
    assert np.sqrt((difference**2).mean()) < 4  # the best JPEG, decoded fast


def test_fifo_is_not_a_frame(tmp_path):
    folder = tmp_path / "a"
    write_frames(folder, "f{:03}.jpg", 1, 9)
    video = Video(str(folder), frame_name="f{:03}.jpg", frames=9)
    assert FrameFolderReader().probe(video).frames == 9
    (folder / "f005.jpg").unlink()
    os.mkfifo(folder / "f005.jpg")
    with pytest.raises(VideoError, match="f005.jpg of"):
        FrameFolderReader().probe(video)


def test_frame_that_states_too_many_pixels_is_not_decoded(
    tmp_path, monkeypatch
):
    small = Limits(max_pixels=films.SIZE[0] * films.SIZE[1] - 1)
    monkeypatch.setattr(tf.io, "decode_jpeg", None)
    with pytest.raises(VideoError, match="more than max_pixels"):
        FrameFolderReader(small).probe(video(tmp_path))
    with pytest.raises(VideoError, match="more than max_pixels"):
        jpeg_frames.read(video(tmp_path), "frames", 24, 90, small)
