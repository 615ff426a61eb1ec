"""The plan of a training."""

from training import train
from training.io import cli


def test_a_plan_has_sizes_and_times_and_leaves_nothing(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    words = [
        "--plan",
        "--recipe=digits_image",
        "--set=batch=8",
        "--set=model.frozen=stage1",
    ]
    assert cli.run(train.main, words) == 0
    printed = capsys.readouterr().out
    for text in (
        "113,",  # thousands of parameters, as in test_exact_resume
        "multiply-adds of an example",
        "of 8 examples",
        "time of all steps",
        "batch that fits",
        "optimizer.base_lr=",
        "chance",
    ):
        assert text in printed
    assert not list(tmp_path.iterdir())
