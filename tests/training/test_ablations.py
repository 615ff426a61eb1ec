"""The command of the ablations, with a runner that trains nothing."""

import argparse
import dataclasses
import json
import shutil

import numpy as np
import pytest

from training import (
    ablations,
    cli,
    jobs,
    model_zoo,
    recipe_text,
    run_model,
    train,
)
from training.recipe import with_seed
from training.recipes import get_recipe
from training.run_folder import RunFolder

COMMIT = "c" * 40


class Runner:
    """Stands for `jobs.run`: makes the folders that training would."""

    def __init__(self):
        self.ran: list[str] = []
        self.broken: set[str] = set()

    def __call__(self, queue, at_once):
        for job in queue:
            if job.prepare is not None:
                job.prepare()
            self.ran.append(job.name)
            if job.name not in self.broken:
                _finish(job.command)
        return sorted(self.broken & set(self.ran))


def _finish(command):
    """Does what is to be seen of a training.train command."""
    assert command[: len(ablations.TRAIN)] == ablations.TRAIN
    parser = argparse.ArgumentParser()
    for option in ("--recipe", "--seed", "--workdir"):
        parser.add_argument(option)
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args(command[len(ablations.TRAIN) :])
    recipe = with_seed(get_recipe(options.recipe), int(options.seed))
    recipe = recipe_text.override(recipe, options.set)
    run = RunFolder(options.workdir)
    stage = RunFolder(run.image_stage).read_result()
    with run.opened(recipe):
        run.write_result(result(recipe.name, recipe.seed, stage))


def result(recipe, seed, stage=None, commit=COMMIT):
    return {
        "recipe": recipe,
        "seed": seed,
        "accuracy": 0.75,
        "image_stage": stage,
        "commits": [commit],
    }


@pytest.fixture(autouse=True)
def published(tmp_path, monkeypatch):
    """The folder of published results, empty."""
    folder = tmp_path / "results"
    folder.mkdir()
    monkeypatch.setattr(model_zoo, "RESULTS", folder)
    return folder


@pytest.fixture
def runner(monkeypatch):
    fake = Runner()
    monkeypatch.setattr(jobs, "run", fake)
    return fake


@pytest.fixture
def workdir(tmp_path):
    return tmp_path / "runs"


def command(workdir, *arguments):
    return ["--table=2d", f"--workdir={workdir}", *arguments]


def test_a_table_is_trained_with_one_image_stage_a_seed(runner, workdir):
    ablations.main(command(workdir, "--seeds=0,5"))
    assert runner.ran[:2] == ["digits_image_seed0", "digits_image_seed5"]
    assert runner.ran[2:] == [
        f"{recipe}_seed{seed}"
        for seed in (0, 5)
        for recipe in (
            "digits_c2d",
            "digits_nl_space",
            "digits_nl_time",
            "digits_nl",
        )
    ]
    stage = RunFolder(workdir / "digits_nl_seed5" / "image_stage")
    assert stage.read_result()["seed"] == 5


def test_recipes_of_several_tables_are_trained_once(workdir):
    runs = ablations.runs_of(["2d", "2f"], [0], workdir)
    names = [run.recipe.name for run in runs]
    assert names[:4] == ablations.ablation_tables.TABLES["2d"].recipes
    assert names[4:] == ["digits_i3d", "digits_i3d_nl"]


def test_the_table_shows_what_was_reached_beside_the_paper(
    runner, workdir, capsys
):
    ablations.main(command(workdir))
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    reached = ["75.0", "%", "75.0", "%", "(0)"]
    paper = ["72.9", "/", "90.8"]
    assert ["space-only", "digits_nl_space", *reached, *paper] in rows


def test_finished_runs_are_not_trained_again(runner, workdir):
    ablations.main(command(workdir))
    (workdir / "digits_nl_seed0" / "result.json").unlink()
    runner.ran.clear()
    ablations.main(command(workdir))
    assert runner.ran == ["digits_nl_seed0"]  # and its image stage is there
    runner.ran.clear()
    ablations.main(command(workdir))
    assert runner.ran == []


def test_published_results_count_as_done(runner, workdir, published):
    path = published / "digits_nl_time_seed0.json"
    path.write_text(json.dumps(result("digits_nl_time", 0)))
    ablations.main(command(workdir))
    assert "digits_nl_time_seed0" not in runner.ran
    assert "digits_nl_space_seed0" in runner.ran


def test_a_failure_is_told_after_the_table(runner, workdir, capsys):
    runner.broken = {"digits_nl_space_seed0"}
    code = cli.run(ablations.main, command(workdir))
    out, error = capsys.readouterr()
    assert code == 2 and error.count("\n") == 1
    assert "Not trained to the end: digits_nl_space_seed0." in error
    assert "digits_nl_space  not run" in out and "75.0 %" in out


def test_a_stop_says_how_to_go_on(workdir, monkeypatch, capsys):
    def interrupted(queue, at_once):
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "run", interrupted)
    assert cli.run(ablations.main, command(workdir)) == cli.INTERRUPTED
    assert "the same command" in capsys.readouterr().out


def test_a_short_try_does_not_meet_whole_runs(runner, workdir, published):
    path = published / "digits_c2d_seed0.json"
    path.write_text(json.dumps(result("digits_c2d", 0)))
    ablations.main(command(workdir, "--steps=7"))
    assert runner.ran[:2] == [
        "digits_image_seed0_steps7",
        "digits_c2d_seed0_steps7",
    ]
    recipe = RunFolder(workdir / "digits_c2d_seed0_steps7").read_recipe()
    assert (recipe.steps, recipe.image_stage.steps) == (7, 7)


def test_a_stage_of_other_settings_is_not_shared(workdir):
    run = ablations.make_run(get_recipe("digits_nl"), 3, workdir, None)
    assert ablations.shared_stage(run, workdir).name == "digits_image_seed3"
    stage = dataclasses.replace(run.recipe.image_stage, batch=7)
    recipe = dataclasses.replace(run.recipe, image_stage=stage)
    other = dataclasses.replace(run, recipe=recipe)
    assert ablations.shared_stage(other, workdir) is None


def test_a_stage_that_a_run_began_itself_stays(runner, workdir):
    own = workdir / "digits_nl_seed0" / "image_stage"
    run = ablations.make_run(get_recipe("digits_nl"), 0, workdir, None)
    with run.folder.opened(run.recipe):
        own.mkdir()
    assert ablations.shared_stage(run, workdir) is None


def test_a_copy_that_was_cut_off_leaves_nothing(runner, workdir, monkeypatch):
    run = ablations.make_run(get_recipe("digits_nl"), 0, workdir, None)
    stage = ablations.shared_stage(run, workdir)
    runner([ablations._job(stage, workdir)], 1)

    def cut_off(source, target, **options):
        (target / "result.json").write_text("half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "copytree", cut_off)
        ablations.copy_stage(stage, run)
    assert not run.folder.image_stage.exists()
    ablations.copy_stage(stage, run)
    copied = RunFolder(run.folder.image_stage).read_result()
    assert copied == stage.folder.read_result()


def test_one_command_at_a_time_is_at_work_in_a_folder(workdir, capsys):
    workdir.mkdir()
    with ablations.files.locked(workdir):
        code = cli.run(ablations.main, command(workdir))
    assert code == 2 and "Another process" in capsys.readouterr().err


def test_publishing_copies_results_for_the_model_zoo(
    runner, workdir, published, monkeypatch
):
    monkeypatch.setattr(ablations, "versions", lambda: {"commit": COMMIT})
    ablations.main(command(workdir, "--publish"))
    results = model_zoo.read_results(published)
    assert results["digits_nl_space"][0]["accuracy"] == 0.75
    assert len(list(published.iterdir())) == 4


def test_publishing_alone_takes_what_is_finished(runner, workdir, published):
    ablations.main(command(workdir))
    (workdir / "digits_nl_seed0" / "result.json").unlink()
    runner.ran.clear()
    ablations.main(command(workdir, "--publish", "--no-train"))
    assert runner.ran == []
    assert len(list(published.iterdir())) == 3


@pytest.mark.parametrize("commit", [COMMIT + "+changes", ""])
def test_results_of_changed_code_are_not_published(commit, workdir, published):
    run = ablations.make_run(get_recipe("digits_nl"), 0, workdir, None)
    stage = result("digits_image", 0, commit=commit)
    with run.folder.opened(run.recipe):
        run.folder.write_result(result("digits_nl", 0, stage))
    with pytest.raises(ablations.UserError, match="not from committed code"):
        ablations.publish(run, published)
    assert not list(published.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--publish"], "commit first"),
        (["--publish", "--steps=3"], "leave --steps out"),
    ],
)
def test_what_cannot_be_published_is_not_trained(
    arguments, message, runner, workdir, monkeypatch, capsys
):
    dirty = COMMIT + "+changes"
    monkeypatch.setattr(ablations, "versions", lambda: {"commit": dirty})
    assert cli.run(ablations.main, command(workdir, *arguments)) == 2
    assert message in capsys.readouterr().err
    assert runner.ran == []


def test_without_arguments_it_prints_the_tables_and_an_example(capsys):
    ablations.main([])
    printed = capsys.readouterr().out
    for name in ablations.ablation_tables.TABLES:
        assert f"Table {name}: " in printed
    assert "not run" in printed and ablations.EXAMPLE in printed


@pytest.mark.parametrize("text", ["", "0,", "a", "-1"])
def test_seeds_that_are_none_are_refused(text, capsys):
    with pytest.raises(SystemExit):
        ablations.main([f"--seeds={text}"])
    assert "expected seeds such as 0,1,2" in capsys.readouterr().err


@pytest.mark.slow
def test_a_copied_image_stage_gives_the_weights_of_one_trained_there(tmp_path):
    """Real runs of four steps a stage, one in processes and one in this."""
    recipe = get_recipe("digits_nl")
    run = ablations.make_run(recipe, 1, tmp_path / "shared", 4)
    assert ablations.train([run], tmp_path / "shared", at_once=1) == []
    assert (tmp_path / "shared" / "digits_image_seed1_steps4").is_dir()
    alone = RunFolder(tmp_path / "alone")
    train.train(run.recipe, alone, verbose=0)
    pairs = zip(weights(run.folder), weights(alone), strict=True)
    assert all(np.array_equal(first, second) for first, second in pairs)


def weights(run):
    return run_model.load_trained(run)[0].get_weights()
