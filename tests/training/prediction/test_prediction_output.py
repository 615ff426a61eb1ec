"""Prediction files, read back."""

import csv
import io
import json
import pathlib

import numpy as np
import pytest

from training.io.user_error import UserError
from training.prediction import prediction_output as output
from training.prediction.predictions import Prediction
from training.prediction.timeline import Timeline

CLASSES = ("jump", 'walk, "slöwly"', "日本")
SCORES = np.array([0.25, 1 / 3, 5 / 12])
ALONG = Timeline(
    step_s=0.5,
    times_s=np.array([0.0, 0.5]),
    starts_s=np.array([0.0, 0.12]),
    ends_s=np.array([0.4, 0.52]),
    scores=np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]),
    length_s=0.6,
)
BAD = Prediction("b\n.mp4", reason="the file is empty")


def rows(predictions, top):
    text = output.as_csv(predictions, CLASSES, top)
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_json_has_all_scores_in_float32_precision():
    predictions = [Prediction("ä.mp4", SCORES), BAD]
    text = output.as_json(predictions, CLASSES, 2, {"model": "m"})
    read = json.loads(text)
    assert read["model"] == "m" and read["classes"] == list(CLASSES)
    good, bad = read["videos"]
    assert (np.float32(good["scores"]) == np.float32(SCORES)).all()
    assert [row["class"] for row in good["top"]] == ["日本", CLASSES[1]]
    assert bad == {"path": BAD.path, "error": BAD.reason}
    assert "ä.mp4" in text  # not as \u00e4


def test_json_has_the_rows_of_a_timeline():
    predictions = [Prediction("a", SCORES, timeline=ALONG)]
    (video,) = json.loads(output.as_json(predictions, CLASSES, 1, {}))["videos"]
    assert video["timeline"]["step_s"] == 0.5
    assert video["timeline"]["rows"][1] == {
        "time_s": 0.5,
        "start_s": 0.12,
        "end_s": 0.52,
        "class": "日本",
        "score": 0.8,
        "scores": [0.1, 0.1, 0.8],
    }


def test_csv_has_a_row_per_video():
    good, bad = rows([Prediction("ä.mp4", SCORES), BAD], top=2)
    assert list(good) == [
        "path",
        *("class_1", "score_1", "class_2", "score_2"),
        "error",
    ]
    assert (good["class_2"], bad["path"]) == (CLASSES[1], BAD.path)
    assert np.float32(good["score_2"]) == np.float32(1 / 3)
    assert (bad["class_1"], bad["error"]) == ("", BAD.reason)


def test_csv_has_a_row_per_timeline_step():
    predictions = rows([Prediction("a", SCORES, timeline=ALONG), BAD], top=9)
    times = [(r["path"], r["time_s"], r["end_s"]) for r in predictions]
    assert times == [
        ("a", "0.0", "0.4"),
        ("a", "0.5", "0.52"),
        (BAD.path, "", ""),
    ]
    assert [r["class_1"] for r in predictions] == [CLASSES[1], "日本", ""]
    assert "class_3" in predictions[0] and "class_4" not in predictions[0]


def test_ties_are_in_class_order():
    assert output.top_classes(np.array([0.1, 0.4, 0.1, 0.4]), 3).tolist() == [
        1,
        3,
        0,
    ]


@pytest.mark.parametrize("name", ["a.JSON", "a.csv"])
def test_suffix_decides_the_format_and_folders_are_created(tmp_path, name):
    path = output.path_of(str(tmp_path / "deep" / name))
    output.write(path, [Prediction("a", SCORES)], CLASSES, 1, {})
    text = pathlib.Path(path).read_text("utf-8")
    assert text.startswith("{" if "J" in name else "path,class_1")


def test_unknown_suffix_is_an_error():
    with pytest.raises(UserError, match=r"end in .json or .csv, not a.xml"):
        output.path_of("a.xml")
