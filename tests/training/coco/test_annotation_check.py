"""The command that checks annotations and reads their images."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.training.reproduce import synthetic_coco
from training import check
from training.io import cli


@pytest.fixture
def options(tmp_path):
    path = synthetic_coco.write(tmp_path, 3)
    return [f"--annotations={path}", f"--images={tmp_path}"]


def test_objects_of_each_category_are_counted(options, capsys):
    assert cli.run(check.main, options) == 0
    output = capsys.readouterr().out
    assert "3 images, 5 objects of 2 categories" in output
    assert "No problem found." in output
    head = next(line for line in output.splitlines() if "category id" in line)
    assert head.split("  ")[-1] == "keypoints an object"
    rows = [line.split() for line in output.splitlines() if "wedge" in line]
    assert rows == [["8", "wedge", "3", "2"]] or rows == [
        ["8", "wedge", "2", "2"]
    ]


def test_objects_without_segmentation_are_counted(options, tmp_path, capsys):
    path = tmp_path / "set.json"
    content = json.loads(path.read_text())
    del content["annotations"][0]["segmentation"]
    content["annotations"][1]["segmentation"] = [[]]
    content["annotations"][2] |= {"segmentation": [], "iscrowd": 1}
    path.write_text(json.dumps(content))
    assert cli.run(check.main, options) == 0
    output = capsys.readouterr().out
    assert "2 objects without segmentation" in output
    assert "--set detector.masks=false" in output


def test_a_picture_that_is_nearly_black_is_noted(options, tmp_path, capsys):
    dark = np.full((64, 96, 1), 4095, "uint16")
    (tmp_path / "2.png").write_bytes(tf.io.encode_png(dark).numpy())
    assert cli.run(check.main, options) == 0
    output = capsys.readouterr().out
    assert "note: image 2: " in output and "nearly black" in output
    assert "No problem found, except for the notes above." in output


def test_a_damaged_picture_and_one_of_another_size_are_named(
    options, tmp_path, capsys
):
    path = tmp_path / "set.json"
    content = json.loads(path.read_text())
    content["images"][0]["width"] += 1
    path.write_text(json.dumps(content))
    (tmp_path / "2.png").write_bytes(b"x")
    assert cli.run(check.main, options) == cli.USER_ERROR
    out, err = capsys.readouterr()
    assert "image 1: " in out and "has 96 x 64 pixels, not 97 x 64" in out
    assert "image 2: " in out and "damaged" in out
    assert "2 problems" in err
