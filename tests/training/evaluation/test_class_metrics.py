"""Precision, recall and support of each class, against scikit-learn."""

import dataclasses
import json

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from tests.training.evaluation.scored_videos import make_scores
from training.evaluation import class_metrics

RNG = np.random.default_rng(0)


def test_precision_and_recall_are_those_of_scikit_learn():
    labels = RNG.integers(0, 4, 23)
    scores = RNG.random((23, 2, 6))
    scores[..., 4:] = 0  # of two classes that are never predicted
    ok = RNG.random(23) < 0.8
    rows = class_metrics.class_metrics(make_scores(scores, labels, ok=ok))
    predicted = scores[ok].mean(axis=1).argmax(axis=1)
    precision, recall, _, support = (
        sklearn_metrics.precision_recall_fscore_support(
            labels[ok], predicted, labels=range(6), zero_division=np.nan
        )
    )
    for row, *expected in zip(rows, precision, recall, support, strict=True):
        for value, number in zip(
            (row.precision, row.recall, row.support), expected, strict=True
        ):
            if np.isnan(number):
                assert value is None
            else:
                assert value == pytest.approx(number, abs=1e-12)


@pytest.mark.parametrize("skips", [False, True])
def test_classes_of_several_labels_have_average_precisions(skips):
    labels = (RNG.random((31, 3)) < 0.3).astype("uint8")
    labels[:, 2] = 0
    scores = RNG.random((31, 1, 3))
    scored = dataclasses.replace(
        make_scores(scores, labels), skips_unlabelled=skips
    )
    *rows, absent = class_metrics.class_metrics(scored)
    kept = labels.any(axis=1) if skips else np.full(31, True)
    for column, row in enumerate(rows):
        expected = sklearn_metrics.average_precision_score(
            labels[kept, column], scores[kept, 0, column]
        )
        assert row.average_precision == pytest.approx(expected, abs=1e-12)
        assert row.support == labels[:, column].sum()
    assert (absent.support, absent.average_precision) == (0, None)
    assert class_metrics.table([*rows, absent])[0][-1] == "average precision"


def test_undefined_precision_and_recall_are_dashes():
    scores, labels = np.eye(3)[[0, 0]][:, None], np.array([0, 1])
    rows = class_metrics.class_metrics(make_scores(scores, labels))
    _, first, second, third = class_metrics.table(rows)
    assert first[1:] == ("1", "50.0 %", "100.0 %")
    assert second[1:] == ("1", "-", "0.0 %")
    assert third[1:] == ("0", "-", "-")


def test_the_table_is_written_and_printed(tmp_path):
    labels = np.array([0, 0, 1])
    scores = np.eye(2)[[0, 1, 1]][:, None]
    rows = class_metrics.class_metrics(make_scores(scores, labels))
    class_metrics.write(tmp_path, rows)
    first, second = json.loads((tmp_path / "classes.json").read_text())
    assert (first["precision"], first["recall"]) == (1.0, 0.5)
    assert (second["support"], second["precision"]) == (1, 0.5)
    assert "50.0 %" in class_metrics.render(rows)
    assert class_metrics.render(rows * 11) == ""
