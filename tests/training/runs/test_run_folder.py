import contextlib
import csv
import dataclasses
import json
import os

import pytest

from training.data import BadVideo
from training.io import atomic_files
from training.io.user_error import UserError
from training.recipes import get_recipe, overrides
from training.runs import run_report
from training.runs.run_folder import RunFolder

RECIPE = get_recipe("digits_nl")


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path / "run")


def open_and_close(run, recipe=RECIPE):
    with run.opened(recipe):
        pass


def test_a_new_folder_holds_the_resolved_recipe(run):
    open_and_close(run)
    assert run.read_recipe() == RECIPE


def test_the_same_recipe_opens_it_again(run):
    open_and_close(run)
    open_and_close(run)


def test_a_folder_of_another_recipe_is_refused(run):
    open_and_close(run)
    with pytest.raises(UserError, match="recipe 'digits_nl', not 'digits_c2d'"):
        open_and_close(run, get_recipe("digits_c2d"))


def test_other_settings_are_refused_and_named(run):
    open_and_close(run)
    changed = overrides.override(RECIPE, ["batch=16"])
    with pytest.raises(UserError, match="batch: 32, 16"):
        open_and_close(run, changed)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("digits_nl", "model"),
        ("digits_nl", "optimizer"),
        ("small", "detector"),
        ("small", "start"),
    ],
)
def test_a_run_of_another_version_is_refused_in_one_line(run, name, field):
    values = json.loads(overrides.to_json(get_recipe(name)))
    values[field]["depths"] = 3
    run.path.mkdir()
    run.recipe_path.write_text(json.dumps(values))
    with pytest.raises(UserError, match="Another version began") as caught:
        run.read_recipe()
    (line,) = str(caught.value).splitlines()
    assert str(run.recipe_path) in line and "new --workdir" in line
    assert f"unknown field '{field}.depths'" in line


def test_reworded_descriptions_are_the_same_run(run):
    open_and_close(run)
    stage = dataclasses.replace(RECIPE.image_stage, description="other words")
    open_and_close(run, dataclasses.replace(RECIPE, image_stage=stage))


def test_a_folder_of_other_things_is_refused_untouched(run):
    run.path.mkdir()
    (run.path / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match="neither empty nor a run folder"):
        open_and_close(run)
    assert [p.name for p in run.path.iterdir()] == ["thesis.tex"]


def test_a_file_is_refused(run):
    run.path.write_text("x")
    with pytest.raises(UserError, match="is a file"):
        open_and_close(run)


def test_a_recipe_that_came_before_the_lock_is_seen(run, monkeypatch):
    lock = atomic_files.locked

    @contextlib.contextmanager
    def locked_after_another(folder):
        monkeypatch.setattr(atomic_files, "locked", lock)
        open_and_close(RunFolder(folder), get_recipe("digits_c2d"))
        with lock(folder):
            yield

    monkeypatch.setattr(atomic_files, "locked", locked_after_another)
    with pytest.raises(UserError, match="recipe 'digits_c2d', not 'digits_nl'"):
        open_and_close(run)


def test_two_processes_cannot_share_a_folder(run):
    with run.opened(RECIPE):
        with pytest.raises(UserError, match="Another process is writing"):
            open_and_close(RunFolder(run.path))


def test_reading_a_folder_that_is_no_run_says_so(run):
    with pytest.raises(UserError, match="not a run folder"):
        run.read_recipe()


def test_a_damaged_recipe_is_named(run):
    open_and_close(run)
    run.recipe_path.write_text("{")
    with pytest.raises(UserError, match="recipe.json"):
        run.read_recipe()


def test_each_start_is_recorded(run):
    open_and_close(run)
    run.record_versions()
    run.record_versions()
    starts = json.loads(run.versions_path.read_text())
    assert len(starts) == 2
    assert starts[0]["packages"]["keras"]
    assert starts[0]["commit"] is None or len(starts[0]["commit"]) >= 40


def test_metrics_are_the_rows_of_the_history(run):
    open_and_close(run)
    rows = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}]
    run.write_metrics(rows)
    with open(run.metrics_path, newline="") as file:
        read = list(csv.DictReader(file))
    assert read == [{k: str(v) for k, v in row.items()} for row in rows]


def test_result_round_trip(run):
    open_and_close(run)
    assert run.read_result() is None
    run.write_result({"accuracy": 0.5})
    assert run.read_result() == {"accuracy": 0.5}


def test_a_damaged_result_is_named(run):
    open_and_close(run)
    run.result_path.write_text("{")
    with pytest.raises(UserError, match="result.json cannot be read"):
        run.read_result()


def test_bad_videos_that_an_earlier_start_found_stay_listed(tmp_path):
    run = RunFolder(tmp_path)
    run.add_bad_inputs([BadVideo("train", "a, b.mp4", "cut off")])
    run.add_bad_inputs([BadVideo("test", "ü.mp4", 'says "no"')])
    run.add_bad_inputs([], worker=1)
    rows = run.bad_inputs_path().read_text("utf-8").splitlines()
    assert rows[1:] == [
        'train,"a, b.mp4",cut off',
        'test,ü.mp4,"says ""no"""',
    ]
    assert not (tmp_path / "bad_videos_worker1.csv").exists()


@pytest.mark.parametrize("name", ["checkpoints", "image_stage", "tests"])
def test_a_folder_that_is_a_link_out_of_the_run_is_refused(run, tmp_path, name):
    open_and_close(run)
    (tmp_path / "else").mkdir()
    if name == "checkpoints":
        run.checkpoints.rmdir()
    (run.path / name).symlink_to(tmp_path / "else")
    message = f"{name} is a link.*outside.*{run.path} itself may be a link"
    with pytest.raises(UserError, match=message):
        open_and_close(run)
    assert not list((tmp_path / "else").iterdir())


def test_a_run_folder_that_is_itself_a_link_is_opened(run, tmp_path):
    other_disk = tmp_path / "disk"
    other_disk.mkdir()
    run.path.symlink_to(other_disk)
    open_and_close(run)
    assert (other_disk / "checkpoints").is_dir()


def test_a_reopened_run_has_no_scratch_of_killed_checkpoints(run):
    open_and_close(run)
    (run.checkpoints / ".unfinished-epoch_0001").mkdir()
    open_and_close(run)
    assert not list(run.checkpoints.iterdir())


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def with_cache(run, path):
    """Write the recipe of a run that names a cache; return the name read."""
    recipe = get_recipe("finetune")
    recipe = overrides.override(recipe, [f"data.cache={path}"])
    run.path.mkdir()
    run.recipe_path.write_text(overrides.to_json(recipe))
    return run.read_recipe().data.cache


@pytest.mark.parametrize(
    "place",
    [
        *("{tmp}/else.sqlite", "{home}/.config/x.db", "{home}/../y.db"),
        *("{home}", "{home}/.cache", "{home}/videos/.."),
    ],
)
def test_the_cache_of_a_run_is_ignored_outside_of_the_user_s_folders(
    run, home, tmp_path, capsys, place
):
    path = place.format(tmp=tmp_path, home=home)
    assert with_cache(run, path) is None
    assert f"note: ignoring data.cache={path}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "place", ["{home}/videos/c.sqlite", "{home}/.cache/else/c.sqlite"]
)
def test_the_cache_of_a_run_is_used_in_the_user_s_folders(
    run, home, capsys, place
):
    path = place.format(home=home)
    assert with_cache(run, path) == path
    assert not capsys.readouterr().out


def test_a_cache_through_a_link_out_of_the_user_s_folders_is_ignored(
    run, home, tmp_path
):
    home.mkdir()
    (home / "videos").symlink_to(tmp_path)
    assert with_cache(run, home / "videos" / "c.sqlite") is None


@pytest.mark.parametrize(
    "name",
    ["data.json", "versions.json", "metrics.csv", "tests/middle/metrics.json"],
)
def test_a_fifo_in_a_run_is_not_waited_for(run, name):
    open_and_close(run)
    (run.path / name).parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(run.path / name)
    with pytest.raises(UserError, match=f"{name}.*FIFO"):
        run_report.write(run)
