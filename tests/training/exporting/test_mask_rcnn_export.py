"""Requirements of the export of a detector."""

import keras
import pytest

from tests.detection import tiny_detectors
from training.exporting import mask_rcnn_export
from training.io.user_error import UserError


@pytest.fixture(scope="module")
def model():
    return tiny_detectors.detector("tiny_mask_rcnn")


@pytest.mark.parametrize("classes", [None, ["dog"]])
def test_class_names_are_needed(model, tmp_path, classes):
    with pytest.raises(ValueError, match="`classes`"):
        mask_rcnn_export.detector(model, tmp_path / "out", classes=classes)


def test_a_path_is_no_data_set(model, tmp_path):
    with pytest.raises(TypeError, match="data.load_coco. Received: a str"):
        mask_rcnn_export.detector(model, tmp_path / "out", "train.json")


def test_a_classifier_is_no_detector(tmp_path):
    with pytest.raises(TypeError, match="Received: a Sequential.*saved_model"):
        mask_rcnn_export.detector(
            keras.Sequential(), tmp_path / "out", classes=["dog"]
        )


def test_versions_of_a_classifier_stay_alone(model, tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").touch()
    with pytest.raises(UserError, match="no detectors"):
        mask_rcnn_export.detector(model, tmp_path)
