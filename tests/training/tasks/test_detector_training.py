"""Detector training by the train command."""

import contextlib
import dataclasses
import io
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from nonlocal_tf import detection
from tests.detection import detector_files
from tests.training.tasks import preempted_runs, small_run
from training import evaluate, export, predict, train
from training.coco import annotation_reader
from training.data import CocoDataset
from training.evaluation import evaluate_detector
from training.io import cli
from training.io.user_error import UserError
from training.loop import checkpointing
from training.loop.detector_trainer import DetectorTrainer
from training.recipes import get_recipe, overrides
from training.runs.provenance import WeightSource
from training.runs.run_folder import RunFolder
from training.tasks import (
    Detection,
    category_file,
    detector_evaluation,
    detector_setup,
)

ROOT = pathlib.Path(__file__).parents[3]


@pytest.fixture(scope="module")
def run(detector):
    """The folder of a finished run."""
    return detector / "run"


def test_an_epoch_is_a_short_line(detector):
    printed = (detector / "printed.txt").read_text()
    assert "/set/set.json and building the network.\n" in printed
    assert "All metrics of each epoch: " in printed
    lines = printed.splitlines()
    epochs = [line for line in lines if line.startswith("Epoch 2/2, ")]
    assert len(epochs) == 1 and len(epochs[0]) < 80
    assert "val_box_AP " in epochs[0] and "AP50" not in epochs[0]
    assert not any("rpn_boxes" in line for line in lines)


def test_the_result_is_that_of_the_last_validation(run):
    result = json.loads((run / "result.json").read_text())
    rows = (run / "metrics.csv").read_text().splitlines()
    assert len(rows) == 3  # the names, and two epochs
    last = dict(zip(rows[0].split(","), rows[2].split(","), strict=True))
    assert result["scores"]["box_AP"] == float(last["val_box_AP"])
    assert {"mask_AP50", "keypoint_AP"} <= set(result["scores"])
    assert float(last["validation_seconds"]) > 0


def test_a_run_keeps_its_classes(run):
    categories = category_file.read_categories(run)
    assert [category.name for category in categories] == ["box", "wedge"]
    assert categories[0].keypoints == ("left", "right")


def test_a_finished_run_has_nothing_to_do(run, capsys):
    train.main([f"--workdir={run}"])
    assert "nothing to do" in capsys.readouterr().out


@pytest.fixture
def stopped(run, tmp_path):
    """A copy of the run after its first epoch, and its images elsewhere."""
    workdir, images = tmp_path / "run", tmp_path / "elsewhere"
    shutil.copytree(run, workdir)
    shutil.copytree(run.parent / "set", images)
    (workdir / "result.json").unlink()
    shutil.rmtree(workdir / "checkpoints" / "epoch_0002")
    return workdir, images


def resumed(workdir, images):
    """Return arguments that resume a run whose images have moved."""
    return [
        f"--workdir={workdir}",
        f"--set=data.train={images / 'set.json'}",
        f"--set=data.validation={images / 'set.json'}",
        f"--set=data.images={images}",
        "--verbose=0",
    ]


def test_a_run_resumes_after_its_images_moved(stopped, monkeypatch):
    workdir, images = stopped
    monkeypatch.setattr(  # to resume is enough
        DetectorTrainer, "train_step", lambda self, _: self.get_metrics_result()
    )
    train.main(resumed(workdir, images))
    folder = RunFolder(workdir)
    assert folder.read_result() is not None
    assert folder.read_recipe().data.images == str(images)


def test_resuming_says_which_images_differ(stopped, capsys):
    workdir, images = stopped
    content = json.loads((images / "set.json").read_text())
    content["annotations"][0]["category_id"] = 3
    content["images"][2]["file_name"] = "new.png"
    (images / "3.png").rename(images / "new.png")
    (images / "set.json").write_text(json.dumps(content))
    arguments = resumed(workdir, images)
    assert cli.run(train.main, arguments) == cli.USER_ERROR
    error = capsys.readouterr().err
    for text in (
        "added: 1 (new.png)",
        "gone: 1 (3.png)",
        "label changed: 1 (1.png: ",
    ):
        assert text in error
    assert error.count("\n") == 1


def test_evaluation_takes_moved_images(stopped, monkeypatch, capsys):
    workdir, images = stopped
    shutil.rmtree(workdir / "checkpoints")
    tested = []
    monkeypatch.setattr(
        detector_evaluation.coco_evaluation,
        "evaluate",
        lambda _, annotations, *rest: tested.append(annotations) or {},
    )
    model = mock.Mock(categories=())
    monkeypatch.setattr(detector_setup, "load", lambda *_: model)
    settings = resumed(workdir, images)[2:4]
    evaluate.main([f"--workdir={workdir}", *settings])
    assert tested[0].path == images / "set.json"
    other = ["--set=batch=3"]
    assert cli.run(evaluate.main, [f"--workdir={workdir}", *other]) == 2
    assert "data.FIELD=VALUE" in capsys.readouterr().err


def test_undefined_precision_is_a_dash(tmp_path):
    scores = {"box_AP": 0.5, "box_AP50": 0.75, "box_AP75": -1.0}
    chosen = get_recipe("small")
    result = {"scores": scores}
    text = train.summary(chosen, RunFolder(tmp_path), result, None)
    assert "AP 0.500, AP50 0.750, AP75 -\n" in text
    assert Detection().metric_text("val_keypoint_AP", -1.0) == "-"
    assert Detection().metric_text("loss", 12.345678) == "12.35"


@pytest.fixture(scope="module")
def boxes(tmp_path_factory):
    """Options of a detector of boxes, its run, and what training printed."""
    folder = tmp_path_factory.mktemp("boxes")
    options = small_run.options(
        folder / "set",
        "detector.masks=false",
        "detector.num_keypoints=0",
        "training.ema_decay=0.5",
        validation=True,
    )
    path = folder / "set" / "set.json"
    content = json.loads(path.read_text())
    for annotation in content["annotations"]:
        del annotation["segmentation"]
    path.write_text(json.dumps(content))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        train.main([*options, f"--workdir={folder / 'run'}"])
    return options, folder / "run", printed.getvalue()


@pytest.mark.slow
def test_a_box_detector_is_trained_used_and_exported(boxes, tmp_path, capsys):
    _, run, printed = boxes
    picture = run.parent / "set" / "1.png"
    predict.main([str(picture), f"--model={run}", f"--out={tmp_path / 'out'}"])
    export.main([f"--workdir={run}", f"--out={tmp_path / 'saved'}"])
    result = json.loads((run / "result.json").read_text())
    assert {name.split("_")[0] for name in result["scores"]} == {"box"}
    served = tf.saved_model.load(str(tmp_path / "saved" / "1"))
    image = tf.constant([picture.read_bytes()])
    outputs = served.signatures["serving_default"](image_bytes=image)
    assert "boxes" in outputs and "masks" not in outputs
    assert "ignored: --set detector.num_keypoints=2 trains a head" in printed
    assert "mask" not in printed.split("Try next")[1]
    assert "mask" not in capsys.readouterr().out
    assert "keypoint" not in (run / "metrics.csv").read_text()


# With all heads: tasks/test_capabilities.py, in make test-full.
@pytest.mark.slow
def test_a_preempted_run_ends_like_an_uninterrupted_one(
    boxes, tmp_path, monkeypatch, capsys
):
    options, straight, _ = boxes
    workdir = f"--workdir={tmp_path / 'run'}"
    preempted_runs.train_until_preempted([*options, workdir], monkeypatch)
    assert "Stopped by SIGTERM. To resume: " in capsys.readouterr().out
    train.main([workdir])
    preempted_runs.assert_same_end(tmp_path / "run", straight)


def test_training_starts_from_a_detector_of_other_classes(tmp_path):
    path, source_detector = detector_files.write(
        tmp_path, "torchvision", "maskrcnn_resnet50_fpn"
    )
    chosen = overrides.override(
        get_recipe("small"),
        [f"start.weights={path}"],
    )
    config = dataclasses.replace(source_detector.config, num_classes=3)
    detector = detection.MaskRCNN(config)
    report, (source,) = detector_setup.start_from_weights(detector, chosen)
    assert source == WeightSource(path.name, "torchvision")
    assert "box_logits" in report
    np.testing.assert_array_equal(
        detector.pyramid.weights[0].numpy(),
        source_detector.pyramid.weights[0].numpy(),
    )


def test_bad_images_stay_listed_across_resumes(run, tmp_path, capsys):
    folder = RunFolder(tmp_path)
    images = annotation_reader.read(
        str(run.parent / "set" / "set.json"), str(run.parent / "set")
    )
    (image, *_) = images.images
    many = dataclasses.replace(images, images=(image,) * 100)
    other = dataclasses.replace(image, path=image.path.with_name("b.png"))
    first = CocoDataset(many)
    first.add_bad(image, "it is damaged")
    folder.add_bad_inputs(first.bad, "images")
    later = CocoDataset(many)  # after a resume
    Detection().begin_run(folder, later)
    for _ in range(2):
        later.add_bad(other, "it is gone")
        folder.add_bad_inputs(later.bad, "images")
    rows = folder.bad_inputs_path("images").read_text().splitlines()
    assert rows[1:] == [
        f"train,{image.path},it is damaged",
        f"train,{other.path},it is gone",
    ]
    assert capsys.readouterr().out.count("is left out") == 2
    later.check_bad()  # 2 % of the images
    few = dataclasses.replace(images, images=(image,) * 30)
    with pytest.raises(UserError, match="2 of 30 images are bad"):
        CocoDataset(few, bad=later.bad).check_bad()


def test_evaluation_reproduces_the_scores_of_the_run(run, tmp_path):
    out = tmp_path / "new" / "scores.json"
    evaluate.main([f"--workdir={run}", f"--out={out}"])
    result = json.loads((run / "result.json").read_text())
    scores = json.loads(out.read_text())
    assert scores.keys() == result["scores"].keys()
    for name, value in result["scores"].items():
        assert scores[name] == pytest.approx(value, abs=1e-6), name


def test_a_script_reproduces_the_scores_of_the_run(run):
    recipe = RunFolder(run).read_recipe()
    coco = CocoDataset(
        annotation_reader.read(recipe.data.train, recipe.data.images),
        annotation_reader.read(
            recipe.data.validation,
            recipe.data.validation_images or recipe.data.images,
        ),
        settings=recipe.images,
    )
    model = detector_setup.load_run(run).detector
    metrics = evaluate_detector(model, coco).metrics
    scores = json.loads((run / "result.json").read_text())["scores"]
    assert metrics == pytest.approx(scores, abs=1e-6)


@pytest.mark.full
def test_a_recipe_of_the_paper_trains(tmp_path):
    """Small, from random weights, with Detectron's SGD and all blocks."""
    name = "coco_keypoints_r101_nl4head_nl"
    options = small_run.options(
        tmp_path / "set",
        "detector.layers=1,1,2,1",
        "detector.width=8",
        "detector.fpn_channels=5",
        "detector.box_units=7",
        "detector.mask_channels=()",
        "detector.keypoint_channels=6,6,6,6,6,6,6,6",
        "optimizer.drops_at_steps=2,3",
        "batch=2",
        "start.scratch=True",
        "optimizer.base_lr=0.008",
    )
    options[0] = f"--recipe={name}"
    train.main([*options, f"--workdir={tmp_path / 'run'}"])
    rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    columns = [row.split(",") for row in rows]
    rates = [
        float(row[columns[0].index("learning_rate")]) for row in columns[1:]
    ]
    assert rates == pytest.approx([1e-4, 1e-5])


@pytest.mark.full
def test_a_killed_run_resumes_bit_by_bit(tmp_path):
    options = small_run.options(
        tmp_path / "set",
        "training.deterministic=True",
        "steps=40",
        "epoch_steps=20",
    )
    folders = [tmp_path / "whole", tmp_path / "killed"]
    commands = [
        [
            *(sys.executable, "-m", "training.train", *options),
            *(f"--workdir={folder}", "--checkpoint-minutes=0.01"),
        ]
        for folder in folders
    ]
    subprocess.run(commands[0], cwd=ROOT, check=True, capture_output=True)
    process = subprocess.Popen(commands[1], cwd=ROOT, stdout=subprocess.DEVNULL)
    run = RunFolder(folders[1])
    until = time.monotonic() + 300
    while not list(run.checkpoints.glob("epoch_*/state.json")):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert run.read_result() is None
    printed = subprocess.run(
        commands[1], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert "Resuming" in printed
    whole, killed = (
        checkpointing.latest(RunFolder(folder).checkpoints)
        for folder in folders
    )
    assert whole is not None and killed is not None
    arrays = [
        np.load(checkpoint.path / checkpointing.VARIABLES)
        for checkpoint in (whole, killed)
    ]
    assert set(arrays[0]) == set(arrays[1])
    for name in arrays[0]:
        np.testing.assert_array_equal(arrays[0][name], arrays[1][name], name)
