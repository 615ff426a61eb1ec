"""COCO's numbers of a detector, and in the logs of its training."""

import contextlib
import dataclasses
import math
import types

import keras
import numpy as np
import pytest

from nonlocal_tf.detection import Detections, DetectorConfig, MaskRCNN
from tests.training.detection import small_detector
from training.coco import coco_evaluation
from training.coco.annotations import Category
from training.coco.coco_evaluation import CocoEvaluation, evaluate
from training.coco.trained_detector import TrainedDetector
from training.io.user_error import UserError
from training.loop import finite
from training.tasks.coco_validation import CocoValidation

pytest.importorskip("pycocotools")
OPTIONS = {"short_side_px": 64, "long_side_px": 96}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return small_detector.data_in(tmp_path_factory.mktemp("set"), count=2)


@pytest.fixture(scope="module")
def detector():
    keras.utils.set_random_seed(0)
    return MaskRCNN(small_detector.CONFIG)


def test_logs_get_the_numbers(found, detector):
    scored = CocoEvaluation(found, every_epochs=2, **OPTIONS)
    scored.set_model(detector)
    first, second = {"loss": 1.0}, {"loss": 2.0}
    scored.on_epoch_end(0, first)
    assert first == {"loss": 1.0}
    scored.on_epoch_end(1, second)
    wanted = evaluate(detector, found, **OPTIONS)
    assert "box_AP" in wanted
    # Not once an epoch.
    assert detector.inference_function().experimental_get_tracing_count() == 1
    assert second == {
        "loss": 2.0,
        **{f"val_{name}": value for name, value in wanted.items()},
    }


def test_an_evaluation_after_no_epoch_is_an_error(found):
    with pytest.raises(ValueError, match="every_epochs of 1 at least"):
        CocoEvaluation(found, every_epochs=0)


def test_an_image_of_another_size_is_left_out(found, detector, capsys):
    first, second = found.pictures
    cut = dataclasses.replace(first, height=first.height - 1)
    some = dataclasses.replace(found, pictures=(cut, second))
    evaluate(detector, some, **OPTIONS)
    said = capsys.readouterr().out
    assert f"left out of the test: image {first.id}: {first.path} has" in said


def test_a_detector_may_know_more_classes(found, monkeypatch):
    """As one of COCO's 90 classes does, for a set of two of them."""
    config = DetectorConfig(num_classes=4, masks=False)
    network = types.SimpleNamespace(
        config=config, inference_function=lambda: None
    )
    instances = found.pictures[0].instances
    truth = Detections(
        np.array([one.box for one in instances], "float32"),
        np.array([one.label + 1 for one in instances]),
        np.ones(len(instances), "float32"),
    )
    monkeypatch.setattr(coco_evaluation.detection, "detect", lambda *_: truth)
    some = dataclasses.replace(found, pictures=found.pictures[:1])
    names = [Category(77, "cup"), *found.categories]
    scores = evaluate(network, some, categories=names, **OPTIONS)
    assert scores["box_AP"] == 1


def test_a_detector_of_other_classes_is_an_error(found):
    config = dataclasses.replace(small_detector.CONFIG, num_classes=5)
    with pytest.raises(UserError, match="num_classes=3.*num_classes=5"):
        evaluate(MaskRCNN(config), found, **OPTIONS)


@contextlib.contextmanager
def filled_kernel(network, index, value):
    """Fills a kernel of a part of a detector."""
    weights = [v for v in network.trainable_weights if v.name == "kernel"]
    before = np.array(weights[index])
    weights[index].assign(np.full_like(before, value))
    yield
    weights[index].assign(before)


@pytest.mark.parametrize(
    ("head", "index", "value"), [("rpn", 0, 3e38), ("box_head", -1, math.nan)]
)
def test_outputs_that_are_not_finite_are_an_error(
    found, detector, head, index, value
):
    model = TrainedDetector("runs/a", detector, found.categories, 64, 96)
    model.check_finite()
    with filled_kernel(getattr(detector, head), index, value):
        with pytest.raises(UserError, match="outputs are not finite for .*png"):
            evaluate(detector, found, **OPTIONS)
        with pytest.raises(UserError, match="runs/a: the outputs are not fin"):
            model.check_finite()


def test_weights_are_not_finite_though_a_relu_hides_it(found, detector):
    model = TrainedDetector("runs/a", detector, found.categories, 64, 96)
    with filled_kernel(detector.pyramid, 0, math.nan):
        with pytest.raises(UserError, match="runs/a: the outputs .*conv1"):
            model.check_finite()


def test_the_error_of_a_validation_names_its_epoch(
    found, detector, monkeypatch
):
    def diverged(*_, **__):
        raise finite.outputs_error("The detector")

    monkeypatch.setattr(coco_evaluation, "evaluate", diverged)
    callback = CocoValidation(found, [], **OPTIONS)
    callback.set_model(detector)
    with pytest.raises(UserError, match="after epoch 3: .* are not finite"):
        callback.on_epoch_end(2, {"loss": 1.0})
