"""Synthetic videos differ in the property of their task alone."""

import numpy as np
import pytest

from tests.training.data import films
from training.io import cli
from training.reproduce import synthetic_videos
from training.reproduce.synthetic_videos import TASKS


@pytest.fixture
def short(monkeypatch):
    """A few frames of a few pixels."""
    monkeypatch.setattr(synthetic_videos, "FRAMES", 7)
    monkeypatch.setattr(synthetic_videos, "HEIGHT_PX", 48)
    monkeypatch.setattr(synthetic_videos, "WIDTH_PX", 64)


def scenes(task, name, count=40):
    random = np.random.default_rng(5)
    return [TASKS[task].scene(random, name) for _ in range(count)]


def test_a_folder_of_classes_is_written(short, tmp_path, capsys):
    out = tmp_path / "new" / "videos"
    arguments = ["speed", f"--out={out}", "--count=2", "--first=3"]
    assert cli.run(synthetic_videos.main, arguments) == 0
    assert "6 videos" in capsys.readouterr().out
    written = sorted(str(p.relative_to(out)) for p in out.glob("*/*"))
    assert written == [
        f"{name}/{number}.mp4"
        for name in ("fast", "medium", "slow")
        for number in ("003", "004")
    ]
    decoded = films.decode_all(out / written[0])
    drawn = synthetic_videos.frames("speed", "fast", 0, 3)
    assert decoded.shape == drawn.shape == (7, 48, 64, 3)
    assert np.abs(decoded.astype(int) - drawn).mean() < 12


def test_a_folder_with_files_is_refused(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    arguments = ["motion", f"--out={tmp_path}"]
    assert cli.run(synthetic_videos.main, arguments) == 2
    assert "new or empty folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_video_depends_on_its_seed_class_and_number(short):
    first = synthetic_videos.frames("motion", "left", 0, 1)
    again = synthetic_videos.frames("motion", "left", 0, 1)
    np.testing.assert_array_equal(first, again)
    for other in (("left", 1, 1), ("left", 0, 2), ("up", 0, 1)):
        drawn = synthetic_videos.frames("motion", *other)
        assert (drawn != first).any()


def test_motion_goes_left_up_and_around():
    for scene in scenes("motion", "left"):
        steps = np.diff(scene.centers, axis=0)
        assert (steps[:, 0] < 0).all() and not steps[:, 1].any()
    for scene in scenes("motion", "up"):
        steps = np.diff(scene.centers, axis=0)
        assert (steps[:, 1] < 0).all() and not steps[:, 0].any()
    turns = set()
    for scene in scenes("motion", "circling"):
        steps = np.diff(scene.centers, axis=0) @ [1, 1j]
        assert np.ptp(np.abs(steps)) == pytest.approx(0, abs=1e-6)
        turns.add(bool(np.angle(steps[1] / steps[0]) > 0))
    assert turns == {True, False}


@pytest.mark.parametrize("name", list(synthetic_videos.SPEEDS_PX_S))
def test_speeds_are_those_of_their_class(name):
    usual = synthetic_videos.SPEEDS_PX_S[name]
    for scene in scenes("speed", name):
        steps = np.linalg.norm(np.diff(scene.centers, axis=0), axis=-1)
        assert 0.8 * usual - 1e-6 <= 25 * steps.min()
        assert 25 * steps.max() <= 1.25 * usual + 1e-6


def test_events_are_a_second_apart_and_in_the_video():
    for name, colors in (
        ("red_then_blue", ("RED", "BLUE")),
        ("blue_then_red", ("BLUE", "RED")),
    ):
        for scene in scenes("order", name):
            first, second = (
                np.flatnonzero(
                    (scene.colors == getattr(synthetic_videos, c)).all(-1)
                )
                for c in colors
            )
            assert len(first) >= 7 and len(second) >= 7
            assert abs(second[0] - first[0] - 25) <= 1


@pytest.mark.parametrize("shape", synthetic_videos.SHAPES)
def test_shapes_have_the_area_of_a_disc(shape):
    scene = synthetic_videos.Scene(
        shape, 15, 0.2, np.array([[40.0, 31.0]]), np.full((1, 3), 255.0)
    )
    drawn = synthetic_videos.draw(scene, np.zeros((90, 110, 3)))
    area = drawn[0, :, :, 0].sum() / 255
    assert area == pytest.approx(np.pi * 15**2, rel=0.03)
    rows, columns = np.nonzero(drawn[0, :, :, 0] > 127)
    assert np.mean(columns) == pytest.approx(40, abs=1)
    assert np.mean(rows) == pytest.approx(31, abs=1)


def _turns_red_first(scene):
    red, blue = (
        np.flatnonzero((scene.colors == color).all(-1))[0]
        for color in (synthetic_videos.RED, synthetic_videos.BLUE)
    )
    return bool(red < blue)


def _moves_left(scene):
    return bool(np.diff(scene.centers, axis=0)[0, 0] < 0)


@pytest.mark.parametrize(
    "name, radii_px, lefts, red_firsts",
    [
        ("small_left", (8, 11), {True}, {True, False}),
        ("small_up", (8, 11), {False}, {True, False}),
        ("large_red_then_blue", (17, 22), {True, False}, {True}),
        ("large_blue_then_red", (17, 22), {True, False}, {False}),
    ],
)
def test_mixed_classes_are_told_by_size_then_path_or_colors(
    name, radii_px, lefts, red_firsts
):
    drawn = scenes("mixed", name)
    low, high = radii_px
    assert all(low <= scene.radius_px <= high for scene in drawn)
    assert set(map(_moves_left, drawn)) == lefts
    assert set(map(_turns_red_first, drawn)) == red_firsts
