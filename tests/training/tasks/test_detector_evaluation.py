"""Evaluation of a detector from a weights file by the command."""

import pytest

from tests.detection import detector_files
from tests.training.reproduce import synthetic_coco
from training import evaluate
from training.io import cli

pytest.importorskip("pycocotools")


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    path = synthetic_coco.write(folder, 2)
    weights, _ = detector_files.write(
        folder, "torchvision", "keypointrcnn_resnet50_fpn"
    )
    return [
        f"--weights={weights}",
        f"--annotations={path}",
        f"--images={folder}",
    ]


def test_categories_unknown_to_the_detector_are_named(options, capsys):
    assert cli.run(evaluate.main, options) == cli.USER_ERROR
    assert "does not know category 3, 'box'" in capsys.readouterr().err


def test_annotations_are_required(options, capsys):
    assert cli.run(evaluate.main, options[:1]) == cli.USER_ERROR
    assert "--annotations" in capsys.readouterr().err


def test_an_existing_file_of_the_user_is_not_overwritten(
    options, tmp_path, capsys
):
    out = tmp_path / "x.json"
    out.write_text("theirs")
    assert cli.run(evaluate.main, [*options, f"--out={out}"]) == 2
    assert "x.json exists" in capsys.readouterr().err
    assert out.read_text() == "theirs"
