"""Errors of data, packages and settings before a detector is trained."""

import json
import sys

import pytest

from tests.training.tasks import small_run
from training import train
from training.io import cli


def test_annotation_problems_are_printed_before_training(tmp_path, capsys):
    # Without problems, it would stop at the missing weights.
    options = small_run.options(tmp_path / "set", "start.scratch=False")
    path = tmp_path / "set" / "set.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["bbox"][2] = 0
    content["images"][2]["file_name"] = "gone.png"
    path.write_text(json.dumps(content))
    cli.run(train.main, [*options, f"--workdir={tmp_path / 'run'}"])
    printed = capsys.readouterr().out
    assert f"{path}: annotation 1: its bbox is 0 x" in printed
    assert f"{path}: image 3: there is no file" in printed


def test_annotations_are_required(tmp_path, capsys):
    options = ["--recipe=small", f"--workdir={tmp_path / 'run'}"]
    assert cli.run(train.main, options) == cli.USER_ERROR
    assert "data.train=" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def validation_option(folder, change):
    """Write a changed copy of a folder's annotations; return its option."""
    content = json.loads((folder / "set.json").read_text())
    change(content)
    (folder / "validation.json").write_text(json.dumps(content))
    return f"--set=data.validation={folder / 'validation.json'}"


def remove_annotations(content):
    content["annotations"] = []


def make_crowds(content):
    for annotation in content["annotations"]:
        annotation["iscrowd"] = 1


def remove_segmentation(content):
    del content["annotations"][1]["segmentation"]


def rename_a_class(content):
    content["categories"][1]["name"] = "other"


def remove_a_keypoint(content):
    for category in content["categories"]:
        category["keypoints"] = ["left"]
    for annotation in content["annotations"]:
        annotation["keypoints"] = annotation["keypoints"][:3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            remove_annotations,
            "expected objects in its images. Received: none",
        ),
        (make_crowds, "Received: crowds alone"),
        (remove_segmentation, "annotation 2 has no segmentation"),
        (rename_a_class, "does not know category 8, 'other'"),
        (remove_a_keypoint, "with the 2 keypoints of the detector"),
    ],
)
def test_invalid_validation_data_is_an_error_before_training(
    change, message, tmp_path, capsys
):
    options = small_run.options(tmp_path / "set")
    options.append(validation_option(tmp_path / "set", change))
    code = cli.run(train.main, [*options, f"--workdir={tmp_path / 'run'}"])
    assert code == cli.USER_ERROR
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        (False, "there is none"),
        (True, "val_box_AP, val_box_AP50"),
    ],
)
def test_epochs_are_compared_by_a_metric_that_there_is(
    validation, message, tmp_path, capsys
):
    settings = ("training.patience=2", "training.metric=val_accuracy")
    options = small_run.options(
        tmp_path / "set", *settings, validation=validation
    )
    code = cli.run(train.main, [*options, f"--workdir={tmp_path / 'run'}"])
    assert code == cli.USER_ERROR
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_parts_with_other_rates_are_checked_before_training(tmp_path, capsys):
    rates = "optimizer.part_rates=logits=2"
    options = small_run.options(tmp_path / "set", rates)
    code = cli.run(train.main, [*options, f"--workdir={tmp_path / 'run'}"])
    assert code == cli.USER_ERROR
    assert "Received: 'logits'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("count", [1, 5])
def test_objects_without_masks_are_an_error_before_training(
    count, tmp_path, capsys
):
    options = small_run.options(tmp_path / "set")
    path = tmp_path / "set" / "set.json"
    content = json.loads(path.read_text())
    for annotation in content["annotations"][:count]:
        del annotation["segmentation"]
    path.write_text(json.dumps(content))
    code = cli.run(train.main, [*options, f"--workdir={tmp_path / 'run'}"])
    assert code == cli.USER_ERROR
    error = capsys.readouterr().err
    assert "no segmentation, which masks are trained on" in error
    assert "--set detector.masks=false" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("validation", [False, True])
def test_a_missing_package_is_an_error_before_training(
    validation, tmp_path, monkeypatch, capsys
):
    packages = ("pycocotools", "faster_coco_eval")
    for name in [*packages, *sys.modules]:
        if name.split(".")[0] in packages:
            monkeypatch.setitem(sys.modules, name, None)
    keypoints = [] if validation else ["detector.num_keypoints=0"]
    masks = ["detector.mask_channels=()"] if validation else []
    options = small_run.options(
        tmp_path / "set", *keypoints, *masks, validation=validation
    )
    code = cli.run(train.main, [*options, f"--workdir={tmp_path / 'run'}"])
    assert code == cli.USER_ERROR
    assert "'pycocotools', which is not installed" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_recipe_with_start_weights_requires_them(tmp_path, capsys):
    options = small_run.options(tmp_path / "set", "start.scratch=False")
    workdir = tmp_path / "run"
    code = cli.run(train.main, [*options, f"--workdir={workdir}"])
    assert code == cli.USER_ERROR
    assert "start.weights=FILE" in capsys.readouterr().err
    assert not workdir.exists()
