"""The plan of a training."""

from training import train
from training.io import cli
from training.recipes import get_recipe
from training.tasks import train_plan


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


def test_a_batch_has_no_more_than_all_training_examples():
    recipe, step_bytes = get_recipe("finetune"), 800  # 100 an example
    (drawn,) = train_plan._suggested_batch(recipe, step_bytes, None)
    (listed,) = train_plan._suggested_batch(recipe, step_bytes, 24)
    assert int(drawn[1].split(", with")[0].replace(",", "")) > 24
    assert listed[1].startswith("24, all training examples, with")
