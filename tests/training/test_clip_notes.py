"""Notes of the train command on frame order and horizontal flips."""

import dataclasses
import types

import pytest

import nonlocal_tf as nl
from training.recipes import get_recipe
from training.tasks import video_classification

RECIPE = get_recipe("finetune")
SHAPE = (3, 24, 20, 3)


def notes(classes, network=RECIPE.model.name, **sampling):
    recipe = dataclasses.replace(
        RECIPE,
        model=dataclasses.replace(RECIPE.model, name=network),
        sampling=dataclasses.replace(RECIPE.sampling, **sampling),
    )
    model = nl.create_model(network, num_classes=2, clip_shape=SHAPE)
    dataset = types.SimpleNamespace(classes=classes)
    return list(
        filter(None, video_classification.clip_notes(recipe, model, dataset))
    )


def test_the_default_video_network_depends_on_frame_order():
    assert notes(["turn left", "turn right"]) == []


def test_a_network_without_frame_order_is_noted():
    (note,) = notes(["jump", "walk"], "c2d_nl1_small")
    assert note.startswith("c2d_nl1_small is invariant to the order of frames")
    assert "i3d" in note


def test_flips_of_class_names_with_left_or_right_are_noted():
    (note,) = notes(["turn left", "turn right"], flip=True)
    assert "(turn left, turn right)" in note and "sampling.flip=false" in note
    assert notes(["jump", "walk"], flip=True) == []


def test_flips_that_exchange_the_sides_need_no_note():
    classes = ["jump", "turn left", "turn right"]
    pairs = "turn left:turn right"
    assert notes(classes, flip=True, flip_pairs=pairs) == []
    (note,) = notes(["kick left", *classes], flip=True, flip_pairs=pairs)
    assert "(kick left)" in note


def test_reversals_of_opposite_classes_are_noted():
    (note,) = notes(["open a door", "close a door"], reversal=0.5)
    assert "(open a door, close a door)" in note and "reversal=0" in note
    assert notes(["jump", "walk"], reversal=0.5) == []


@pytest.mark.parametrize("weights", [None, "net.pkl"])
def test_random_weights_that_are_frozen_are_noted(weights):
    network = dataclasses.replace(RECIPE.model, frozen="all", weights=weights)
    recipe = dataclasses.replace(RECIPE, model=network)
    model = nl.create_model(network.name, num_classes=2, clip_shape=SHAPE)
    dataset = types.SimpleNamespace(classes=["jump", "walk"], notes=list)
    task = video_classification.VideoClassification()
    assert len(task.notes(recipe, model, dataset)) == (weights is None)
