"""Recipes start from published weights by name."""

import dataclasses

import pytest

from nonlocal_tf import pretrained
from nonlocal_tf.pretrained import create
from tests.pretrained.file_server import serving
from training.io.user_error import UserError
from training.recipes import get_recipe
from training.runs import named_weights
from training.runs.provenance import WeightSource

SLOWFAST = "k400_8x8_slowfast", "i3d_r50"
AUTHORS = "k400_8x8_authors", "i3d_r50"


@pytest.fixture(autouse=True)
def mirror(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(create, "_accepted", set())
    files = {
        f"/{row.file}": row.name.encode() for row in pretrained.list_weights()
    }
    with serving(files) as address:
        monkeypatch.setenv(create.MIRROR, address)
        yield files


def test_a_name_is_the_path_of_the_downloaded_file():
    path = named_weights.path_for_model(*SLOWFAST)
    assert path.read_bytes() == b"k400_8x8_slowfast"


def test_a_file_or_folder_of_that_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "k400_8x8_slowfast").mkdir()
    path = named_weights.path_for_model(*SLOWFAST)
    assert str(path) == "k400_8x8_slowfast"


@pytest.mark.parametrize("text", ["missing.pkl", "runs/x", "memory://a/b"])
def test_other_paths_are_left_as_they_are(text):
    assert str(named_weights.path_for_model(text, "i3d_r50")) == text


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(UserError, match="model.weights: .*k400_8x8_slowfast"):
        named_weights.path_for_model("k400_8x8_slowfas", "i3d_r50")


def test_a_network_without_published_weights():
    with pytest.raises(UserError, match=r"No such file\. Received: k400"):
        named_weights.path_for_model("k400", "i3d_nl1_small")


def test_a_license_is_accepted_by_an_option():
    with pytest.raises(UserError, match="--accept-license"):
        named_weights.path_for_model(*AUTHORS)
    pretrained.accept_licenses()
    assert named_weights.path_for_model(*AUTHORS).read_bytes()


def test_a_failed_download_is_a_line_on_the_setting(mirror):
    mirror.clear()
    with pytest.raises(UserError, match=r"^model.weights: .* 404 Not Found"):
        named_weights.path_for_model(*SLOWFAST)


@pytest.mark.parametrize(
    ("name", "layers", "keypoints", "network"),
    [
        ("imagenet_torchvision_v1", (3, 4, 6, 3), 0, "image_r50"),
        ("imagenet_torchvision_v1", (3, 4, 23, 3), 0, "image_r101"),
        ("coco_torchvision", (3, 4, 6, 3), 0, "mask_rcnn_r50"),
        ("coco_torchvision", (3, 4, 6, 3), 17, "keypoint_rcnn_r50"),
    ],
)
def test_a_detector_takes_those_of_its_depth_and_heads(
    name, layers, keypoints, network, monkeypatch
):
    taken = []

    def record(row):
        taken.append(row)
        return row.file

    monkeypatch.setattr(
        named_weights,
        "download_weights",
        record,
    )
    recipe = get_recipe("small")
    detector = dataclasses.replace(
        recipe.detector, layers=layers, num_keypoints=keypoints
    )
    recipe = dataclasses.replace(recipe, detector=detector)
    named_weights.path_for_detector(name, recipe)
    assert [(row.network, row.name) for row in taken] == [(network, name)]


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("i3d_baseline_8x8_IN_pretrain_400k.pkl", "CC-BY-NC 4.0"),
        ("I3D_8x8_R50.pkl", "Apache-2.0"),
    ],
)
def test_the_license_of_a_published_file_is_told(file, words):
    text = WeightSource(file, "caffe2").licence
    assert words in text
    assert ("commercially" in text) == (words == "CC-BY-NC 4.0")
