"""COCO's numbers of a detector, and in the logs of its training."""

import dataclasses

import pytest

from nonlocal_tf.detection import MaskRCNN
from tests.training.detection import small_detector
from training.detection.coco_evaluation import CocoEvaluation, evaluate
from training.errors import UserError

pytest.importorskip("pycocotools")
OPTIONS = {"short_side_px": 64, "long_side_px": 96}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return small_detector.data_in(tmp_path_factory.mktemp("set"), count=2)


@pytest.fixture(scope="module")
def detector():
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
    assert detector.in_graph().experimental_get_tracing_count() == 1
    assert second == {
        "loss": 2.0,
        **{f"val_{name}": value for name, value in wanted.items()},
    }


def test_an_evaluation_after_no_epoch_is_an_error(found):
    with pytest.raises(ValueError, match="every_epochs of 1 at least"):
        CocoEvaluation(found, every_epochs=0)


def test_a_detector_of_other_classes_is_an_error(found):
    config = dataclasses.replace(small_detector.CONFIG, num_classes=5)
    with pytest.raises(UserError, match="num_classes=3.*num_classes=5"):
        evaluate(MaskRCNN(config), found, **OPTIONS)
