"""Start weights of both tasks, and their provenance."""

import dataclasses
import types

import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf.detection import MaskRCNN
from tests.detection import detector_files
from training.io.user_error import UserError
from training.recipes import get_recipe, overrides
from training.runs import run_model
from training.runs.provenance import WeightSource
from training.tasks import detector_setup


def uploaded(path):
    """Copy a file to a store in memory and return its URL."""
    fsspec = pytest.importorskip("fsspec")
    url = f"memory://weights/{path.name}"
    with fsspec.open(url, "wb") as file:
        file.write(path.read_bytes())
    return url


def test_a_detector_starts_from_a_url(tmp_path):
    path, model = detector_files.write(
        tmp_path, "torchvision", "maskrcnn_resnet50_fpn"
    )
    setting = f"start.weights={uploaded(path)}"
    recipe = overrides.override(get_recipe("small"), [setting])
    detector = MaskRCNN(dataclasses.replace(model.config))
    report, sources = detector_setup.start_from_weights(detector, recipe)
    assert sources == [WeightSource(path.name, "torchvision")] and report
    np.testing.assert_array_equal(
        detector.weights[0].numpy(), model.weights[0].numpy()
    )


def test_a_network_of_videos_starts_from_a_url(tmp_path):
    options = {"num_classes": 5, "image_shape": (16, 16, 3)}
    model = nl.create_model("image_small", **options)
    path = tmp_path / "image.keras"
    model.save(path)
    setting = f"model.weights={uploaded(path)}"
    recipe = overrides.override(get_recipe("digits_image"), [setting])
    new = nl.create_model("image_small", **options)
    _, (source,) = run_model.start_from_weights(new, recipe)
    assert source.file == "image.keras"
    np.testing.assert_array_equal(new.weights[0], model.weights[0])


FINETUNE = overrides.override(
    get_recipe("finetune"), ["model.start=made motion"]
)


def of_finetune(settings=()):
    """Return a network of three classes and its recipe, not yet started."""
    recipe = overrides.override(FINETUNE, settings)
    shape = {"num_classes": 3, "clip_shape": (4, 16, 16, 3)}
    return nl.create_model(recipe.model.name, **shape), recipe


def test_a_recipe_starts_from_the_weights_of_the_package():
    model, recipe = of_finetune()
    classifier = model.get_layer("logits").kernel.numpy()
    _, (source,) = run_model.start_from_weights(model, recipe)
    named = nl.create_model(recipe.model.name, weights="made_motion")
    for layer in named.layers[:-1]:
        for one, other in zip(
            layer.weights, model.get_layer(layer.name).weights, strict=True
        ):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(model.get_layer("logits").kernel, classifier)
    assert "comes with nonlocal_tf under Apache-2.0" in source.licence


def test_the_classifier_is_new_also_with_as_many_classes():
    recipe = FINETUNE
    model = nl.create_model(
        recipe.model.name, num_classes=63, clip_shape=(4, 16, 16, 3)
    )
    classifier = model.get_layer("logits").kernel.numpy()
    run_model.start_from_weights(model, recipe)
    np.testing.assert_array_equal(model.get_layer("logits").kernel, classifier)


def test_it_starts_from_random_weights_if_told():
    model, recipe = of_finetune(["model.start=scratch"])
    before = model.weights[0].numpy()
    assert run_model.start_from_weights(model, recipe) == ("", [])
    np.testing.assert_array_equal(model.weights[0], before)


@pytest.mark.parametrize(
    "setting",
    ["model.name=c2d_small", "model.nonlocal_block.pairwise=gaussian"],
)
def test_a_network_without_weights_in_the_package_is_told_what_to_do(setting):
    recipe = overrides.override(FINETUNE, [setting])
    dataset = types.SimpleNamespace(
        classes=("a", "b"), element_shape=(4, 16, 16, 3), multi_label=False
    )
    model = run_model.build_model(recipe, dataset)
    with pytest.raises(UserError, match=r"--set model\.start=scratch"):
        run_model.start_from_weights(model, recipe)
