"""Runs of the recipe for one's own videos on tasks, without training."""

import json

import pytest

from training.io import cli
from training.reproduce import finetune_tasks

MACHINE = {"machine": "2 x a processor", "commit": "0123456789abcdef"}


def row(task="order", seed=0, accuracy=0.75, videos=24):
    return {
        "task": task,
        "seed": seed,
        "videos": videos,
        "classes": 2,
        "new_videos": 100,
        "accuracy": accuracy,
        "loss": 0.5,
        "val_loss": 0.625,
        "command_seconds": 90.0 + seed,
        "command_cpu_seconds": 150.0,
        "views": "1 clip",
        "versions": MACHINE,
    }


@pytest.fixture
def measured(monkeypatch):
    """The (task, seed, count) of each run that would be made."""
    calls = []

    def measure(workdir, task, seed, count):
        calls.append((task, seed, count))
        return row(task, seed, videos=count)

    monkeypatch.setattr(finetune_tasks, "measure", measure)
    return calls


def test_each_task_is_run_with_each_seed_once(measured, tmp_path, capsys):
    arguments = [str(tmp_path), "--tasks", "order", "motion", "--seeds", "0"]
    assert cli.run(finetune_tasks.main, arguments) == 0
    assert "order, seed 0: 75.0 % of 100 new videos" in capsys.readouterr().out
    assert cli.run(finetune_tasks.main, [*arguments, "3"]) == 0
    assert measured == [
        ("order", 0, 24),
        ("motion", 0, 24),
        ("order", 3, 24),
        ("motion", 3, 24),
    ]
    stored = json.loads((tmp_path / finetune_tasks.RESULTS).read_text())
    assert [(r["task"], r["seed"]) for r in stored] == [
        call[:2] for call in measured
    ]


def test_a_table_has_a_line_a_task(tmp_path):
    rows = [row(seed=1, accuracy=0.5), row(seed=0), row(videos=100)]
    (tmp_path / finetune_tasks.RESULTS).write_text(json.dumps(rows))
    lines = "\n".join(finetune_tasks.section(tmp_path)).splitlines()
    assert (
        "| order | 2 | 50.0 % | 75.0 % (0), 50.0 % (1) | 62.5 % [55.6 to 68.9] "
        "| 0.50, 0.62 | 1.5 to 1.5 min | 2.5 to 2.5 min |"
    ) in lines
    assert any("| order, 100 videos a class | 2 |" in line for line in lines)
    assert "Run on 2 x a processor; commit 0123456789." in lines


def test_without_results_there_is_no_table(tmp_path):
    assert finetune_tasks.section(tmp_path) == []
