"""Detections and attention maps drawn by the visualize command."""

import dataclasses
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf

from nonlocal_tf.detection import Detections, MaskRCNN
from tests.training.tasks import small_detector
from training import visualize
from training.coco import coco_names, drawing, trained_detector
from training.io import cli
from training.tasks import (
    detector_prediction,
    detector_setup,
    detector_visualization,
)

Image = pytest.importorskip("PIL.Image")
HEIGHT, WIDTH = 50, 90  # resized to 53 x 96 and padded to 64 x 96


@pytest.fixture(scope="module")
def trained():
    keras.utils.set_random_seed(1)
    return trained_detector.TrainedDetector(
        "x.pth",
        MaskRCNN(small_detector.CONFIG),
        coco_names.categories_of(3, 2),
        short_side_px=64,
        long_side_px=96,
    )


@pytest.fixture
def model(trained, monkeypatch):
    """A small detector with a non-local block, run eagerly."""
    monkeypatch.setattr(MaskRCNN, "inference_function", lambda self: self)
    monkeypatch.setattr(detector_setup, "load_detector", lambda path: trained)
    return trained


@pytest.fixture
def no_objects(monkeypatch):
    """Let the detector find nothing, in no time."""
    nothing = Detections(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))
    detector = trained_detector.TrainedDetector
    monkeypatch.setattr(detector, "detect", lambda self, image: nothing)


@pytest.fixture
def image(tmp_path):
    """The path and the pixels of an image."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    path = tmp_path / "a.png"
    path.write_bytes(tf.io.encode_png(pixels).numpy())
    return path, pixels


def test_detections_of_images_are_below_each_other(
    model, image, tmp_path, capsys
):
    path, pixels = image
    (tmp_path / "b.png").write_bytes(path.read_bytes())
    out = tmp_path / "new" / "x.png"
    options = ["--weights=x.pth", f"--out={out}", "--score-threshold=0.4"]
    visualize.main([str(path), str(tmp_path / "b.png"), *options])
    printed = capsys.readouterr().out
    assert f"{path}: " in printed and f"Image written to {out}" in printed
    detections = model.detect(pixels)
    expected = drawing.draw_detections(
        pixels, detections, model.categories, 0.4
    )
    with Image.open(out) as drawn:
        drawn = np.asarray(drawn)
    assert (drawn != np.concatenate([pixels, pixels])).any()
    np.testing.assert_array_equal(drawn, np.concatenate([expected, expected]))


def test_attention_maps_are_below_the_detections(
    model, no_objects, image, tmp_path, capsys
):
    path, _ = image
    out = tmp_path / "x.png"
    options = ["--weights=x.pth", f"--out={out}", "--arrows=3"]
    queries = ["--query=strongest", "--query=20,70"]
    visualize.main([str(path), *options, *queries])
    printed = capsys.readouterr().out
    assert "res4_block0_nonlocal: query (" in printed
    assert printed.count("(the most concentrated) attends to") == 1
    assert "center (y, x) in pixels" in printed
    with Image.open(out) as drawn:
        assert drawn.height > 2 * HEIGHT


def test_a_query_has_the_weights_of_the_block(model, image):
    _, pixels = image
    (attention,) = detector_visualization.attention_maps(
        model, pixels, [(20, 70)]
    )
    pyramid = model.detector.pyramid
    block = pyramid.get_layer("res4_block0_nonlocal")
    x, size = detector_visualization.preprocessing.preprocess(pixels, 64, 96)
    assert size == (53, 96) and x.shape == (1, 64, 96, 3)
    features = keras.Model(pyramid.input, block.input)(x)
    affinity = keras.ops.convert_to_numpy(block.affinity(features))[0]
    _, y, x = attention.query
    # Of 4 x 6 cells, each 2 x 2 are pooled into one key.
    keys = affinity[6 * y + x].reshape(1, 2, 3)
    weights = keys.repeat(2, axis=1).repeat(2, axis=2) / 4
    rows = attention.weights.shape[1]
    # Exponentials of scores: small ones keep few digits.
    np.testing.assert_allclose(
        attention.weights, weights[:, :rows], rtol=1e-5, atol=1e-6
    )
    # The query is in the cell of the pixel, and all cells are on the image.
    _, center_y, center_x = attention.center(attention.query)
    assert abs(center_y - 20) <= 8 * HEIGHT / 53 + 1
    assert abs(center_x - 70) <= 8 * WIDTH / 96 + 1
    _, last, _ = attention.center((0, rows - 1, 0))
    assert last < HEIGHT <= last + attention.stride[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--query=50,3"], "inside an image of size (50, 90)"),
        (["--query=0,3,3"], "Expected --query Y,X"),
        (["--block=res5"], "Unknown non-local block"),
        (["--out=a.gif"], "Expected --out to end in .png"),
        (["--sample=3"], "--sample is an option of video classification"),
        (["--model=y"], "Give --workdir DIR"),
    ],
)
def test_errors_are_one_line(
    model, no_objects, image, options, message, tmp_path, capsys
):
    out = tmp_path / "x.png"
    arguments = [str(image[0]), "--weights=x.pth", f"--out={out}", *options]
    assert cli.run(visualize.main, arguments) == cli.USER_ERROR
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not out.exists()


def test_a_backbone_without_a_block_has_no_attention(
    trained, image, tmp_path, monkeypatch, capsys
):
    config = dataclasses.replace(small_detector.CONFIG, nonlocal_block=None)
    plain = dataclasses.replace(trained, detector=MaskRCNN(config))
    monkeypatch.setattr(detector_setup, "load_detector", lambda path: plain)
    options = ["--weights=x.pth", "--query=1,1", f"--out={tmp_path / 'x.png'}"]
    assert cli.run(visualize.main, [str(image[0]), *options]) == 2
    assert "has no non-local block" in capsys.readouterr().err


def test_a_saved_model_has_no_attention(image, tmp_path, monkeypatch, capsys):
    saved = mock.Mock(origin="model/1")
    monkeypatch.setattr(detector_prediction, "load", lambda *_: saved)
    options = ["--model=model", "--query=1,1", f"--out={tmp_path / 'x.png'}"]
    assert cli.run(visualize.main, [str(image[0]), *options]) == 2
    assert "give --workdir DIR" in capsys.readouterr().err
