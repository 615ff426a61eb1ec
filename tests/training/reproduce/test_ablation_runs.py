"""Runs of the ablations: shared image stages and publishing."""

import dataclasses
import shutil

import numpy as np
import pytest

from tests.training.fake_training import COMMIT, Runner, result
from training import train
from training.io.user_error import UserError
from training.recipes import get_recipe, overrides
from training.reproduce import ablation_runs, ablations
from training.reproduce.ablation_tables import TABLES
from training.runs import run_model
from training.runs.run_folder import RunFolder


@pytest.fixture
def workdir(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def main_run(workdir):
    """The main example, with nothing in its folder yet."""
    return ablation_runs.make_run(get_recipe("digits_nl"), 0, workdir, None)


@pytest.fixture
def stage(main_run, workdir):
    """Its image stage, trained."""
    stage = ablation_runs.shared_stage(main_run, workdir)
    job, *_ = ablation_runs.jobs_of([main_run], workdir)
    assert job.name == stage.name
    Runner()([job], at_once=1)
    return stage


def test_recipes_of_several_tables_are_trained_once(workdir):
    runs = ablation_runs.runs_of(["2d", "2f"], [0], workdir)
    names = [run.recipe.name for run in runs]
    assert names[:4] == TABLES["2d"].recipes
    assert names[4:] == ["digits_i3d", "digits_i3d_nl"]


def test_runs_of_a_seed_share_its_image_stage(workdir):
    runs = ablation_runs.runs_of(["2f"], [0, 7], workdir)
    stages = [ablation_runs.shared_stage(run, workdir) for run in runs]
    names = [stage.name for stage in stages]
    assert names == ["digits_image_seed0"] * 3 + ["digits_image_seed7"] * 3


def test_a_stage_of_other_settings_is_not_shared(main_run, workdir):
    stage = dataclasses.replace(main_run.recipe.image_stage, batch=7)
    recipe = dataclasses.replace(main_run.recipe, image_stage=stage)
    run = dataclasses.replace(main_run, recipe=recipe)
    assert ablation_runs.shared_stage(run, workdir) is None


def test_a_stage_that_a_run_began_itself_stays(main_run, workdir):
    with main_run.folder.opened(main_run.recipe):
        main_run.folder.image_stage.mkdir()
    assert ablation_runs.shared_stage(main_run, workdir) is None


def test_a_copied_stage_is_the_one_that_training_goes_on_from(main_run, stage):
    (stage.path / "checkpoints" / "epoch_0003").mkdir()
    ablation_runs.copy_stage(stage, main_run)
    copied = RunFolder(main_run.folder.image_stage)
    copied.check(main_run.recipe.image_stage)
    assert copied.read_result() == stage.folder.read_result()
    assert (copied.checkpoints / "epoch_0003").is_dir()
    main_run.folder.check(main_run.recipe)  # as training.train does first


def test_a_stage_of_another_recipe_is_not_copied(main_run, stage):
    recipe = dataclasses.replace(stage.recipe, batch=7)
    stage.folder.recipe_path.write_text(overrides.to_json(recipe))
    with pytest.raises(UserError, match="batch: 7, 128"):
        ablation_runs.copy_stage(stage, main_run)
    assert not main_run.path.exists()


def test_a_copy_that_was_cut_off_leaves_nothing(main_run, stage, monkeypatch):
    def cut_off(source, target, **options):
        (target / "result.json").write_text("half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "copytree", cut_off)
        ablation_runs.copy_stage(stage, main_run)
    copied = RunFolder(main_run.folder.image_stage)
    assert not copied.path.exists()
    ablation_runs.copy_stage(stage, main_run)
    assert copied.read_result() == stage.folder.read_result()


@pytest.mark.parametrize("commit", [COMMIT + "+changes", ""])
def test_results_of_changed_code_are_not_published(commit, main_run, tmp_path):
    stage = result("digits_image", 0, commit=commit)
    with main_run.folder.opened(main_run.recipe):
        main_run.folder.write_result(result("digits_nl", 0, stage))
    with pytest.raises(UserError, match="not from committed code"):
        ablation_runs.publish(main_run, tmp_path)
    assert not list(tmp_path.glob("*.json"))


def test_a_published_result_stays(main_run, tmp_path):
    path = tmp_path / "digits_nl_seed0.json"
    path.write_text("published before")
    with main_run.folder.opened(main_run.recipe):
        main_run.folder.write_result(result("digits_nl", 0))
    ablation_runs.publish(main_run, tmp_path)
    assert path.read_text() == "published before"


@pytest.mark.full
def test_a_copied_image_stage_gives_the_weights_of_one_trained_there(tmp_path):
    """Real runs of four steps a stage, one in processes and one in this."""
    recipe = get_recipe("digits_nl")
    run = ablation_runs.make_run(recipe, 1, tmp_path / "shared", 4)
    assert ablations.train([run], tmp_path / "shared", at_once=1) == []
    assert (tmp_path / "shared" / "digits_image_seed1_steps4").is_dir()
    alone = tmp_path / "alone"
    settings = [f"--set={setting}" for setting in run.settings]
    options = [f"--workdir={alone}", "--seed=1", "--verbose=0"]
    train.main(["--recipe=digits_nl", *options, *settings])
    pairs = zip(weights(run.path), weights(alone), strict=True)
    assert all(np.array_equal(first, second) for first, second in pairs)


def weights(folder):
    return run_model.load_trained(RunFolder(folder))[0].get_weights()
