"""Notes of the train command on frame order and horizontal flips."""

import dataclasses
import types

import nonlocal_tf as nl
from training.recipes import get_recipe
from training.tasks import video_classification

RECIPE = get_recipe("finetune")
SHAPE = (3, 24, 20, 3)


def notes(classes, network=RECIPE.model.name, flip=False):
    recipe = dataclasses.replace(
        RECIPE,
        model=dataclasses.replace(RECIPE.model, name=network),
        sampling=dataclasses.replace(RECIPE.sampling, flip=flip),
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
