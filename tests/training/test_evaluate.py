import json

import numpy as np
import pytest

from nonlocal_tf import preprocess
from training import cli, evaluate, run_model
from training.run_folder import RunFolder


@pytest.mark.parametrize("split", ["validation", "test"])
def test_accuracy_is_counted_by_hand(tiny, split):
    scores = evaluate.evaluate_run(RunFolder(tiny[0]), split)
    model, _, dataset = run_model.load_trained(RunFolder(tiny[0]))
    examples = [dataset.example(split, i) for i in range(64)]
    clips = preprocess.normalize(np.stack([e.pixels for e in examples]))
    best = np.argmax(model(clips, training=False), axis=-1)
    right = sum(int(b == e.label) for b, e in zip(best, examples, strict=True))
    assert scores.accuracy == pytest.approx(right / 64)
    assert scores.examples == 64


def test_the_test_split_is_what_training_reported(tiny, capsys):
    evaluate.main([f"--workdir={tiny[0]}"])
    result = json.loads((tiny[0] / "result.json").read_text())
    printed = capsys.readouterr().out
    assert f"{100 * result['accuracy']:.1f} %" in printed
    assert f"{result['loss']:.4f}" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workdir=/nowhere"], "not a run folder"),
        (["--split=test"], "Give --workdir"),
        (["--workdir={run}", "--split=train"], "Unknown split 'train'"),
    ],
)
def test_errors_are_one_line(tiny, arguments, message, capsys):
    given = [text.format(run=tiny[0]) for text in arguments]
    assert cli.run(evaluate.main, given) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_without_arguments_it_lists_the_runs(tiny, capsys, monkeypatch):
    monkeypatch.chdir(tiny[0].parent.parent)
    evaluate.main([])
    printed = capsys.readouterr().out
    assert "runs/digits_nl" in printed and evaluate.EXAMPLE in printed
