"""Generated clips of a moving shape, and what their labels say."""

import numpy as np
import pytest

from training.data import load, made_motion
from training.data.generated import Draws
from training.data.made_motion import SPEEDS, MadeMotion

CLASSES = MadeMotion.classes


@pytest.fixture(scope="module")
def clips():
    """Return 96 clips, and the names of the labels of each."""
    values = load(dataset="made_motion").make(None, 96, (3, 5))
    names = [
        {name for name, value in zip(CLASSES, row, strict=True) if value}
        for row in values["label"].numpy()
    ]
    return values["pixels"].numpy(), names


def has_event(names):
    return any(name.startswith("first ") for name in names)


def differing(clip):
    """Tell the pixels of each frame that are not of the background."""
    frames = clip.astype(float)
    background = np.median(frames, axis=0)
    return abs(frames - background).mean(-1) > 20


def steps_of(clip):
    """Return the median move of the shape from frame to frame, in pixels.

    Angles of places around the frame, as a shape that leaves comes back.
    """
    angles = 2 * np.pi * np.arange(clip.shape[1]) / clip.shape[1]
    places = []
    for mask in differing(clip):
        sums = [(mask.sum(axis) * np.exp(1j * angles)).sum() for axis in (0, 1)]
        places.append(np.angle(sums))
    moves = np.angle(np.exp(1j * np.diff(places, axis=0)))
    return np.median(moves, axis=0) * clip.shape[1] / (2 * np.pi)


def test_a_shape_moves_where_its_label_says(clips):
    seen = set()
    for clip, names in zip(*clips, strict=True):
        # Slower ones cover their own background; faster ones are gone soon.
        is_clear = (
            "faster than 0.5" in names and "faster than 1.25" not in names
        )
        for index, direction in enumerate(made_motion.DIRECTIONS):
            if f"moving {direction}" in names and is_clear:
                if has_event(names):
                    continue
                x, y = steps_of(clip)
                error = np.arctan2(y, x) - index * np.pi / 4
                # A direction is up to 22.5 degrees from that of its label.
                assert abs(np.angle(np.exp(1j * error))) < np.radians(35), names
                seen.add(direction)
    assert len(seen) >= 3


def test_lengths_are_those_of_the_paths():
    centers, lengths, motions = made_motion._paths(Draws((1, 2), 300), 16)
    moves = np.diff(centers.numpy(), axis=1)
    measured = np.hypot(*np.moveaxis(moves, -1, 0)).sum(1)
    lengths = lengths.numpy()
    # Chords of an arc are shorter, at 16 frames for 2.4 turns by 4 %. A swing
    # of less than a turn is longer or shorter, by where it begins.
    is_swing = motions[:, 10].numpy() == 1
    ratios = measured[~is_swing] / np.maximum(lengths[~is_swing, 0], 1e-9)
    is_moving = ratios > 0
    assert is_moving.sum() > 200
    assert ratios[is_moving].min() > 0.95
    assert ratios.max() < 1.0001
    swings = measured[is_swing] / lengths[is_swing, 0]
    assert 0.8 < swings.mean() < 1.05


def test_faster_than_is_of_the_length_of_the_path():
    lengths = np.array([[0.0], [0.25], [2.0]])
    expected = [[length > speed for speed in SPEEDS] for (length,) in lengths]
    above = made_motion._above(lengths.astype("float32"), SPEEDS)
    np.testing.assert_array_equal(above, expected)


def test_a_frame_darkens_and_lightens_in_the_order_of_the_labels(clips):
    seen = 0
    for clip, names in zip(*clips, strict=True):
        brightness = clip.mean((1, 2, 3))
        change = brightness / np.median(brightness)
        for order in ("first", "second"):
            if f"{order} the frame darkens" in names:
                assert change.min() < 0.6
                seen += 1
            if f"{order} the frame lightens" in names:
                assert change.max() > 1.1
                seen += 1
        both = {"first the frame darkens", "second the frame lightens"}
        if both <= names:
            assert change.argmin() < change.argmax()
    assert seen > 5


def test_a_second_event_is_another_one_after_a_first(clips):
    for names in clips[1]:
        events = [
            [n.removeprefix(f"{order} ") for n in names if n.startswith(order)]
            for order in ("first", "second")
        ]
        assert len(events[0]) <= 1
        assert len(events[1]) <= len(events[0])
        assert not events[0] or events[0] != events[1]


@pytest.mark.parametrize("clip_frames", [16, 8])
def test_events_come_in_the_order_of_their_labels(clip_frames):
    labels, envelopes = made_motion._events(Draws((4, 4), 200), clip_frames)
    for first, second, envelope in zip(
        *labels, np.asarray(envelopes), strict=True
    ):
        frames = [
            np.flatnonzero(envelope[np.argmax(kind)])
            for kind in (first, second)
            if np.max(kind)
        ]
        assert all(1 <= len(event) <= 4 for event in frames)
        if len(frames) == 2:
            assert frames[0][-1] < frames[1][0]


def test_every_clip_has_one_motion_shape_and_colour(clips):
    motions = set(CLASSES[:12])
    shapes = set(made_motion.made_shapes.SHAPES)
    for names in clips[1]:
        for kind in (motions, shapes, set(made_motion.COLORS)):
            assert len(names & kind) == 1


def test_an_example_is_that_of_the_batches():
    videos = load(dataset="made_motion")
    pixels, labels = next(iter(videos.eval_batches("test")))
    example = videos.example("test", 7)
    # Compiled or not, sums are rounded differently: by 1 of 255.
    difference = example.pixels.astype(int) - pixels[7].numpy()
    assert abs(difference).max() <= 1
    assert (difference != 0).mean() < 1e-3
    assert example.label == np.flatnonzero(labels[7])[0]  # the first of several
    assert videos.examples("test") == 512
