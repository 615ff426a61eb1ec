"""Start weights of both tasks are read from URLs, with their provenance."""

import dataclasses

import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf.detection import MaskRCNN
from tests.detection import detector_files
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
