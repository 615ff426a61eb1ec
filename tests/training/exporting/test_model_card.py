"""Model cards, against run and SavedModel."""

import dataclasses
import re
import shutil

import pytest

from training.data.data_config import DataConfig
from training.exporting import model_card
from training.exporting.saved_model import SavedModel
from training.recipes import RECIPES
from training.recipes.schema import ModelConfig
from training.runs import model_description, report_sections
from training.runs.provenance import WeightSource
from training.runs.run_folder import RunFolder
from training.tasks import video_export


@pytest.fixture(scope="module")
def card(tiny):
    return (tiny[1] / model_card.CARD).read_text("utf-8")


def test_card_has_all_signatures_and_their_tensors(tiny, card):
    for name, inputs in {
        "serving_default": "`clips` uint8 (?, ?, ?, ?, 3)",
        "serve_frames": "`frames_bytes` string (?, ?)",
        "features": "`clips` uint8 (?, ?, ?, ?, 3)",
        "attention": "`query` int32 (?, 3)",
    }.items():
        (row,) = (line for line in card.splitlines() if f"| `{name}` |" in line)
        assert inputs in row
    assert "`stage2_nonlocal`" in card


def test_card_has_the_result_of_the_run(tiny, card):
    result = RunFolder(tiny[0]).read_result()
    assert f"| accuracy | {100 * result['accuracy']:.1f} % |" in card


def test_card_has_difference_from_keras_and_latency(card):
    pattern = r"of 8 validation examples \| (\S+) \|"
    (error,) = re.findall(pattern, card)
    assert float(error) < 1e-5
    (seconds,) = re.findall(r"median of 5 \| (\S+) \|", card)
    assert float(seconds) > 0


def test_card_has_classes_and_license(tiny, card):
    classes = ", ".join(SavedModel(tiny[1]).classes)
    assert f"10 classes and nothing else: {classes}." in card
    assert "random numbers" in card


def test_card_has_no_path_of_the_machine(tiny, card):
    assert str(tiny[0].parent.parent) not in card


def test_paths_are_shortened_to_names():
    data = DataConfig(root="/home/me/films", train="s3://mine/a.csv?key=1")
    model = ModelConfig("c2d_r50", weights="/home/me/i3d.pkl")
    recipe = dataclasses.replace(RECIPES["finetune"](), data=data, model=model)
    published = model_description.without_folders(recipe)
    assert (published.data.root, published.data.train) == ("films", "a.csv")
    assert published.data.test is None and published.model.weights == "i3d.pkl"
    assert "/home/me" not in report_sections.repeat(published)


def test_card_has_the_license_of_the_authors_weights(tiny, tmp_path):
    run = RunFolder(shutil.copytree(tiny[0] / "image_stage", tmp_path / "run"))
    run.write_provenance([WeightSource("i3d.pkl", "caffe2")])
    path = video_export.export_run(run, tmp_path / "models")
    text = (path / model_card.CARD).read_text("utf-8")
    assert "**The authors' weights are CC-BY-NC 4.0: so is this model" in text


def test_card_of_an_image_network_names_images(tiny, tmp_path):
    path = video_export.export_run(RunFolder(tiny[0] / "image_stage"), tmp_path)
    text = (path / model_card.CARD).read_text("utf-8")
    assert "`images` uint8 (?, ?, ?, 3)" in text
    assert "serve_frames" not in text and "classes of images" in text
