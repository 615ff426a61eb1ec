"""Evaluation of a detector by COCO's metrics."""

import contextlib
import dataclasses
import math
import types

import keras
import numpy as np
import pytest

from nonlocal_tf.detection import Detections, DetectorConfig, MaskRCNN
from tests.training.tasks import small_detector
from training.coco import coco_evaluation
from training.coco.annotations import Category
from training.coco.coco_evaluation import CocoEvaluation, evaluate
from training.coco.trained_detector import TrainedDetector
from training.io import finite
from training.io.user_error import UserError
from training.loop import run_callbacks
from training.tasks.coco_validation import CocoValidation

pytest.importorskip("pycocotools")
OPTIONS = {"short_side_px": 64, "long_side_px": 96}


@pytest.fixture(scope="module")
def annotations(tmp_path_factory):
    return small_detector.data_in(tmp_path_factory.mktemp("set"), count=2)


@pytest.fixture(scope="module")
def detector():
    keras.utils.set_random_seed(0)
    return MaskRCNN(small_detector.CONFIG)


def test_logs_of_an_epoch_get_the_metrics(annotations, detector):
    callback = CocoEvaluation(annotations, every_epochs=2, **OPTIONS)
    callback.set_model(detector)
    first, second = {"loss": 1.0}, {"loss": 2.0}
    callback.on_epoch_end(0, first)
    assert first == {"loss": 1.0}
    callback.on_epoch_end(1, second)
    metrics = evaluate(detector, annotations, **OPTIONS)
    assert "box_AP" in metrics
    # It is not traced again in each epoch.
    assert detector.inference_function().experimental_get_tracing_count() == 1
    assert second == {
        "loss": 2.0,
        **{f"val_{name}": value for name, value in metrics.items()},
    }


def test_zero_epochs_between_evaluations_are_rejected(annotations):
    with pytest.raises(ValueError, match="every_epochs of at least 1"):
        CocoEvaluation(annotations, every_epochs=0)


def test_an_image_of_another_size_is_skipped(annotations, detector, capsys):
    first, second = annotations.images
    wrong = dataclasses.replace(first, height=first.height - 1)
    images = (wrong, second)
    evaluate(
        detector, dataclasses.replace(annotations, images=images), **OPTIONS
    )
    output = capsys.readouterr().out
    assert f"not evaluated: image {first.id}: {first.path} has" in output


def test_a_detector_may_have_more_classes(annotations, monkeypatch):
    """A detector of COCO's classes is evaluated on two of them."""
    config = DetectorConfig(num_classes=4, masks=False)
    network = types.SimpleNamespace(
        config=config, inference_function=lambda: None
    )
    instances = annotations.images[0].instances
    truth = Detections(
        np.array([i.box for i in instances], "float32"),
        np.array([i.label + 1 for i in instances]),
        np.ones(len(instances), "float32"),
    )
    monkeypatch.setattr(coco_evaluation.detection, "detect", lambda *_: truth)
    annotations = dataclasses.replace(
        annotations, images=annotations.images[:1]
    )
    categories = [Category(77, "cup"), *annotations.categories]
    scores = evaluate(network, annotations, categories=categories, **OPTIONS)
    assert scores["box_AP"] == 1


def test_another_number_of_classes_is_an_error(annotations):
    config = dataclasses.replace(small_detector.CONFIG, num_classes=5)
    with pytest.raises(UserError, match="num_classes=3.*num_classes=5"):
        evaluate(MaskRCNN(config), annotations, **OPTIONS)


@contextlib.contextmanager
def filled_kernel(network, index, value):
    """Fill a kernel of a part of a detector with a value."""
    weights = [v for v in network.trainable_weights if v.name == "kernel"]
    before = np.array(weights[index])
    weights[index].assign(np.full_like(before, value))
    yield
    weights[index].assign(before)


@pytest.mark.parametrize(
    ("head", "index", "value"), [("rpn", 0, 3e38), ("box_head", -1, math.nan)]
)
def test_non_finite_outputs_are_an_error(
    annotations, detector, head, index, value
):
    model = TrainedDetector("runs/a", detector, annotations.categories, 64, 96)
    model.check_finite()
    with filled_kernel(getattr(detector, head), index, value):
        with pytest.raises(UserError, match="outputs are not finite for .*png"):
            evaluate(detector, annotations, **OPTIONS)
        with pytest.raises(UserError, match="runs/a: the outputs are not fin"):
            model.check_finite()


def test_non_finite_weights_are_an_error_though_a_relu_hides_them(
    annotations, detector
):
    model = TrainedDetector("runs/a", detector, annotations.categories, 64, 96)
    with filled_kernel(detector.pyramid, 0, math.nan):
        with pytest.raises(UserError, match="runs/a: the outputs .*conv1"):
            model.check_finite()


def test_the_error_of_a_validation_names_its_epoch(
    annotations, detector, monkeypatch
):
    def diverged(*_, **__):
        raise finite.outputs_error("The detector")

    monkeypatch.setattr(coco_evaluation, "evaluate", diverged)
    callback = CocoValidation(annotations, [], **OPTIONS)
    callback.set_model(detector)
    with pytest.raises(UserError, match="after epoch 3: .* are not finite"):
        callback.on_epoch_end(2, {"loss": 1.0})


def test_a_validation_uses_the_averaged_weights(annotations, monkeypatch):
    trainer = small_detector.trainer(keras.optimizers.SGD(), ema_decay=0.5)
    own = [variable.numpy() for variable in trainer.trainable_variables]
    trainer.average.set([weight + 1 for weight in own])
    validated = []

    def record(detector, *_, **__):
        validated.extend(v.numpy() for v in detector.trainable_variables)
        return {}

    monkeypatch.setattr(coco_evaluation, "evaluate", record)
    swapping = run_callbacks.ValidateWithEmaWeights()
    swapping.set_model(trainer)
    validation = CocoValidation(annotations, [swapping], **OPTIONS)
    validation.set_model(trainer)
    validation.on_epoch_end(0, {"loss": 1.0})
    for before, average, after in zip(
        own, validated, trainer.trainable_variables, strict=True
    ):
        np.testing.assert_array_equal(average, before + 1)
        np.testing.assert_array_equal(after, before)
