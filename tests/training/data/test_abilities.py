import collections
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import nonlocal_tf as nl
from nonlocal_tf.attention import receptive_field
from training.data import DATASETS, abilities, data_config, datasets, loading
from training.data.ability_config import ABILITIES, ANSWERS, AbilityConfig
from training.data.ability_scenes import SCENES, Scene
from training.data.data_config import DataConfig
from training.data.generated import Draws
from training.data.sampling_config import SamplingConfig
from training.io.user_error import UserError

CLASSES = 4


class OrbitDraws(Draws):
    """Draws of clips that are alike but for what the cue names.

    Of n classes: clip n i + k has the cue for the i-th of the digits of clip k,
    whose classes are those of clip 0 plus k modulo n.
    """

    def __init__(self, seed, config):
        items, classes = config.digit_count, config.classes
        super().__init__((seed, 0), items * classes)
        self.items = items
        self.chains, self.shifts = np.divmod(np.arange(self.count), classes)

    def uniform(self, size):
        return tf.repeat(super().uniform(size)[:1], self.count, 0)

    def integers(self, shape, high):
        return tf.repeat(super().integers(shape, high)[:1], self.count, 0)

    def permutation(self, size):
        order = super().permutation(size).numpy()
        if size == ANSWERS:  # of frames, not of what belongs to the digits
            return tf.constant(order)
        for row, chain in enumerate(self.chains):
            own = slice(self.items)
            order[row, own] = np.roll(order[row, own], -chain)
        return tf.constant(order)


class OrbitScene(Scene):
    def class_order(self):
        shifts = self.draw.shifts[:, None]
        return (super().class_order() + shifts) % self.classes


class OneWriter:
    """Handwriting with one image per class."""

    def __init__(self, size=8):
        images = np.random.default_rng(0).uniform(0.1, 1, (CLASSES, size, size))
        self.images = tf.constant(images, tf.float32)

    def pick(self, digits, uniform):
        return tf.gather(self.images, digits)


def orbit(ability, seed, classes=CLASSES, digits=None):
    """Draw clips in all of whose classes each view should be as frequent."""
    config = AbilityConfig(ability, classes=classes, digits=digits)
    scene = OrbitScene(config, OneWriter(), OrbitDraws(seed, config))
    clips, labels = SCENES[ability](scene)
    return np.round(clips.numpy()).astype("uint8"), np.asarray(labels)


def view_counts(clips, labels, view):
    """Count the labels of clips with each content of a window.

    Args:
        clips: `(b, t, h, w, 3)`.
        labels: `(b,)`.
        view: frames, height and width of windows.

    Returns:
        The counts by class, `(4,)`, by place and content of the window.
    """
    counts = collections.defaultdict(lambda: np.zeros(CLASSES, int))
    windows = np.lib.stride_tricks.sliding_window_view(clips, view, (1, 2, 3))
    for place in np.ndindex(windows.shape[1:4]):
        for window, label in zip(windows[:, *place], labels, strict=True):
            counts[place, window.tobytes()][label] += 1
    return counts


def local_view():
    """Return the receptive field of I3D's last features: frames and pixels."""
    model = nl.create_model("i3d_local_small", clip_shape=(8, 16, 40, 3))
    features = model.get_layer("head_conv_relu").output
    axes = receptive_field.feature_axes(features, model.inputs[0], (8, 16, 40))
    return tuple(axis.field_px for axis in axes)


def test_receptive_fields_are_those_of_the_bounds():
    assert local_view() == (5, 15, 15)


# Larger views than those of receptive fields: whole frames, or all frames.
@pytest.mark.parametrize(
    ("ability", "view"),
    [
        ("far_space", (8, 16, 15)),
        ("far_time", (5, 16, 40)),
        ("far_both", (8, 16, 15)),
        ("far_both", (5, 16, 40)),
        ("two_hops", (8, 16, 15)),
        ("two_hops", (5, 16, 40)),
        ("long", (100, 8, 8)),
    ],
)
def test_views_without_the_cue_or_its_answer_are_as_frequent_in_each_class(
    ability, view
):
    for seed, (classes, digits) in enumerate([(4, 4), (2, 2), (2, 4)]):
        clips, labels = orbit(ability, seed, classes, digits)
        assert set(np.bincount(labels)) == {digits}
        counts = view_counts(clips, labels, view).values()
        assert all(len(set(count[:classes])) == 1 for count in counts)


@pytest.mark.parametrize("ability", ["far_space", "far_time", "long"])
def test_larger_views_tell_the_class(ability):
    clips, labels = orbit(ability, 0)
    counts = view_counts(clips, labels, clips.shape[1:4]).values()
    assert all(np.count_nonzero(count) == 1 for count in counts)


def test_moving_patterns_have_the_same_frames_whatever_the_velocity():
    dataset = abilities.Abilities(AbilityConfig("motion", classes=4, noise=0.0))
    examples = dataset._eval_block("test", 0)
    assert set(examples["label"].numpy()) == set(range(CLASSES))
    for clip in examples["pixels"].numpy()[:16]:
        phases = [np.roll(clip[0], shift, axis=1) for shift in range(8)]
        expected = sorted(frame.tobytes() for frame in phases)
        assert sorted(frame.tobytes() for frame in clip) == expected


def test_velocities_are_those_of_the_classes():
    dataset = abilities.Abilities(AbilityConfig("motion", classes=4, noise=0.0))
    examples = dataset._eval_block("validation", 1)
    pairs = zip(examples["pixels"].numpy(), examples["label"], strict=True)
    for clip, label in list(pairs)[:16]:
        velocity = int(dataset.classes[label].split()[0])
        for frame, following in zip(clip[:-1], clip[1:], strict=True):
            moved = np.roll(frame, velocity, axis=1)
            np.testing.assert_array_equal(following, moved)


@pytest.mark.parametrize("ability", ABILITIES)
def test_clips_have_the_stated_shape_and_are_of_all_classes(ability):
    dataset = abilities.Abilities(AbilityConfig(ability))
    examples = dataset._eval_block("test", 0)
    pixels, labels = examples["pixels"], examples["label"]
    assert pixels.dtype == tf.uint8
    assert pixels.shape == (64, *dataset.element_shape)
    # Of 64: expected 32, with a standard deviation of 4.
    counts = np.bincount(labels, minlength=len(dataset.classes))
    assert len(counts) == 2 and counts.min() > 15


def test_a_batch_is_a_function_of_seed_and_number():
    dataset = abilities.Abilities(AbilityConfig("far_both", distractors=2))
    before, batch = dataset.train_batches(3, 7, 1, 3)
    (resumed,) = dataset.train_batches(3, 7, 2, 3)
    eager = dataset.make(dataset._handwriting["train"], 3, (8, 2))
    np.testing.assert_array_equal(batch[0], resumed[0])
    np.testing.assert_array_equal(batch[1], resumed[1])
    assert (resumed[0] != before[0]).numpy().any()
    assert (resumed[0] != eager["pixels"]).numpy().any()


def test_distractors_cover_neither_cue_nor_digit():
    config = AbilityConfig("far_time", noise=0.0)
    alone, more = (
        abilities.Abilities(dataclasses.replace(config, distractors=count))
        ._eval_block("test", 0)["pixels"]
        .numpy()
        for count in (0, 30)
    )
    assert (more != alone).any()
    changed = (more != alone).any(-1)
    assert not alone[changed].any()


def test_short_clips_of_long_end_as_the_whole_video_and_lack_the_cue():
    whole, short = (
        abilities.Abilities(AbilityConfig("long", frames=frames, noise=0.0))
        ._eval_block("test", 0)["pixels"]
        .numpy()
        for frames in (128, 32)
    )
    np.testing.assert_array_equal(whole[:, -32:], short)
    assert whole[:, :13].any((1, 2, 3, 4)).all()  # the cue
    assert not whole[:, 13:-16].any()


def test_larger_cells_and_distances_make_larger_frames():
    config = AbilityConfig("far_both", size=10, distance=23)
    dataset = abilities.Abilities(config)
    assert dataset.element_shape == (8, 20, 53, 3)
    pixels = dataset._eval_block("test", 0)["pixels"]
    assert pixels.shape[1:] == dataset.element_shape


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ability": "motions"}, "Did you mean 'motion'"),
        ({"classes": 5}, "Expected classes from 2 to 4"),
        ({"digits": 3}, "a multiple of classes=2, up to 4"),
        ({"frames": 0}, "Expected frames as an integer above 0"),
        ({"size": 7}, "Expected size as 8 pixels or more"),
        ({"classes": 2.0}, "Expected classes from 2 to 4"),
        ({"noise": -1.0}, "Expected noise as a number from 0"),
        ({"noise": float("inf")}, "Expected noise as a number from 0"),
        ({"noise": None}, "Expected noise as a number from 0"),
        ({"distractors": 1.5}, "Expected distractors as an integer from 0"),
        ({"distance": 10**6}, "8 frames of 16x1000024 pixels"),
        ({"frames": 10**5}, "at most 4194304 numbers"),
        ({"ability": "motion", "frames": 12}, "a multiple of size"),
        ({"ability": "far_time", "frames": 7}, "at least 8 frames"),
        ({"ability": "two_hops", "frame_distance": 6}, "at least 9 frames"),
        ({"distractors": 81}, "at most 80 distractors"),
        ({"ability": "long", "frames": 15}, "at least 16 frames"),
    ],
)
def test_invalid_settings_raise(settings, message):
    with pytest.raises(UserError, match=message):
        AbilityConfig(**settings)


def test_the_ability_is_a_setting_of_the_data():
    config = AbilityConfig("long", frames=16)
    dataset = datasets.load("abilities", DataConfig(clips=config))
    assert dataset.config == config
    assert loading.load(dataset="abilities", clips=config).config == config
    assert datasets.load("abilities").config == AbilityConfig()


def test_settings_of_videos_raise():
    for data, sampling, given in (
        (DataConfig(root="videos", split=2), None, "data.root, data.split"),
        (None, SamplingConfig(), "sampling"),
    ):
        with pytest.raises(UserError, match=f"data.clips.* Received: {given}$"):
            datasets.load("abilities", data, sampling)


def test_the_name_of_an_ability_is_no_config():
    with pytest.raises(UserError, match="AbilityConfig.* Received: 'far_both'"):
        loading.load(dataset="abilities", clips="far_both")


def test_videos_refuse_settings_of_generated_clips():
    config = DataConfig(root="videos", clips=AbilityConfig())
    with pytest.raises(UserError, match="data.clips goes with generated"):
        data_config.check_fields(config, "root")
    assert "abilities" in DATASETS
