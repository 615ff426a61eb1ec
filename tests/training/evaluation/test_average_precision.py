"""Average precision of a detector, and its table."""

import pytest

from training.evaluation import AveragePrecision, evaluate_detector


def test_a_path_is_no_data_set():
    with pytest.raises(TypeError, match="data.load_coco. Received: a str"):
        evaluate_detector(None, "val.json")


def test_metrics_are_rendered_as_a_table():
    metrics = {"box_AP": 0.5, "box_AP50": 0.75, "box_AP75": -1.0}
    text = str(AveragePrecision(metrics))
    assert "0.500" in text and "0.750" in text and "-1" not in text
    assert "mask" not in text
