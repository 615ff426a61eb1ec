"""Comparisons of ways to fine-tune, without training."""

import json

import pytest

from training.io import cli
from training.recipes import get_recipe, overrides
from training.reproduce import finetune_comparisons as comparisons
from training.reproduce import synthetic_videos

VERSIONS = {"machine": "2 x a processor", "commit": "0123456789abcdef"}
ALL = [
    pytest.param(name, way, id=f"{name}: {way.label}")
    for name, comparison in comparisons.COMPARISONS.items()
    for way in comparison.ways
]


@pytest.fixture
def trained(monkeypatch):
    """The settings of each training that would be made."""
    commands = []

    def command(module, *arguments):
        assert module == "training.train"
        words = [str(word) for word in arguments]
        sets = [word for word in words if word.startswith("--set=")]
        commands.append([word.removeprefix("--set=") for word in sets])
        run = arguments[arguments.index("--workdir") + 1]
        run.mkdir(parents=True)
        result = {"examples": 8, "accuracy": 0.75, "versions": VERSIONS}
        (run / "result.json").write_text(json.dumps(result))
        (run / "tests" / "all").mkdir(parents=True)
        classes = [{"name": "left", "recall": 0.5}]
        (run / "tests/all/classes.json").write_text(json.dumps(classes))

    monkeypatch.setattr(comparisons.finetune_tasks, "run_command", command)
    monkeypatch.setattr(
        comparisons, "write_videos", lambda folder, task, counts, seed: None
    )
    return commands


@pytest.mark.parametrize("name, way", ALL)
def test_settings_are_of_the_recipe(name, way):
    recipe = overrides.override(get_recipe("finetune"), way.settings)
    assert not way.settings or recipe != get_recipe("finetune")
    assert not recipe.sampling.flip


def test_labels_of_the_same_videos_differ():
    seen: dict[tuple, comparisons.Way] = {}
    for chosen in comparisons.COMPARISONS.values():
        for way in chosen.ways:
            key = chosen.task, chosen.counts, way.label
            assert seen.setdefault(key, way) == way


def test_each_way_is_trained_once_a_seed(trained, tmp_path, capsys):
    arguments = [str(tmp_path), "--comparisons", "transfer", "--seeds", "4"]
    assert cli.run(comparisons.main, arguments) == 0
    assert cli.run(comparisons.main, arguments) == 0
    out = capsys.readouterr().out
    assert "transfer, linear probe, seed 4: 75.0 % of 8 new videos" in out
    target = f"data.root={tmp_path / 'motion_5_seed4' / 'videos'}"
    short = [target, "steps=600"]
    start = "model.start=made motion"
    assert trained == [
        short,
        [*short, start, "model.frozen=all"],
        [*short, start],
    ]


def test_the_table_has_a_line_a_way(tmp_path):
    rows = [
        {
            "comparison": "imbalance",
            "way": "finetune",
            "counts": [20, 2, 12, 12],
            "seed": seed,
            "new_videos": 200,
            "accuracy": accuracy,
            "recalls": {"left": accuracy / 2, "up": 1.0},
            "versions": VERSIONS,
        }
        for seed, accuracy in ((1, 0.5), (0, 0.75))
    ]
    (tmp_path / comparisons.RESULTS).write_text(json.dumps(rows))
    lines = "\n".join(comparisons.section(tmp_path)).splitlines()
    assert (
        "| imbalance | 20, 2, 12, 12 | finetune | 25.0 % | 75.0 % (0), "
        "50.0 % (1) | 62.5 % [57.7 to 67.1] | 37.5 %, 25.0 % |"
    ) in lines


def test_without_results_there_is_no_table(tmp_path):
    assert comparisons.section(tmp_path) == []


def test_videos_are_in_three_splits_by_class(tmp_path, monkeypatch):
    monkeypatch.setattr(synthetic_videos, "FRAMES", 50)
    monkeypatch.setattr(synthetic_videos, "HEIGHT_PX", 32)
    monkeypatch.setattr(synthetic_videos, "WIDTH_PX", 48)
    monkeypatch.setattr(comparisons, "TEST_VIDEOS", 4)
    folder = tmp_path / "order" / "videos"
    comparisons.write_videos(folder, "order", (3, 1), seed=0)
    written = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.mp4"))
    assert written == [
        "test/blue_then_red/2000.mp4",
        "test/blue_then_red/2001.mp4",
        "test/red_then_blue/2000.mp4",
        "test/red_then_blue/2001.mp4",
        "train/blue_then_red/000.mp4",
        "train/red_then_blue/000.mp4",
        "train/red_then_blue/001.mp4",
        "train/red_then_blue/002.mp4",
        "validation/blue_then_red/1000.mp4",
        "validation/blue_then_red/1001.mp4",
        "validation/red_then_blue/1000.mp4",
        "validation/red_then_blue/1001.mp4",
    ]
    comparisons.write_videos(folder, "order", 5, seed=0)  # there already
    assert len(list(folder.rglob("*.mp4"))) == 12
