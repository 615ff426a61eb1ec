"""Weights of torchvision's and detectron2's files in detectors."""

import dataclasses
import json
import pickle

import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf.checkpoints.readers import safetensors
from nonlocal_tf.detection.detector_checkpoints import load_detector_weights
from nonlocal_tf.detection.model import MaskRCNN
from tests.detection import golden
from tests.detection.detector_files import (
    SMALL,
    config_of,
    random_arrays,
    shapes_of,
    without_background,
)

SHAPES = json.loads((golden.FOLDER / "names.json").read_text())
FILES = [(source, name) for source in SHAPES for name in SHAPES[source]]
TORCHVISION_NAME = "maskrcnn_resnet50_fpn"
DETECTRON2_NAME = "mask_rcnn_R_50_FPN"


# In CI, a network with masks of one source and with keypoints of the other.
IN_CI = [FILES[0], FILES[-1]]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        pytest.param(
            *file, marks=pytest.mark.slow if file in IN_CI else pytest.mark.full
        )
        for file in FILES
    ],
)
def test_full_size_files_match_all_weights(source, name):
    model = MaskRCNN(config_of(source, name))
    report = load_detector_weights(model, random_arrays(SHAPES[source][name]))
    assert report.format == source
    loaded = {name for names in report.loaded.values() for name in names}
    assert loaded == set(SHAPES[source][name])
    assert set(report.loaded) == {v.path for v in model.weights}
    assert report.kept == ()


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ("torchvision", "backbone.body.layer3.1.conv2.weight"),
        ("detectron2", "backbone.bottom_up.res4.1.conv2.weight"),
    ],
)
def test_grouped_kernels_are_transposed(source, key):
    name = "maskrcnn_resnext"
    # Three groups of 4 channels in res2.
    groups = {"width": 6, "groups": 3, "group_width": 4}
    model = MaskRCNN(config_of(source, name, **{**SMALL, **groups}))
    arrays = random_arrays(shapes_of(source, model))
    stored = arrays[key]
    assert stored.shape == (48, 16, 3, 3)  # (out, in a group, height, width)
    if source == "detectron2":
        arrays = without_background(arrays)
    load_detector_weights(model, arrays)
    kernel = model.pyramid.get_layer("res4_block1_conv2").kernel.numpy()
    assert kernel.shape == (3, 3, 16, 48)
    assert kernel[0, 2, 5, 47] == stored[47, 5, 0, 2]


@pytest.fixture
def small():
    model = MaskRCNN(config_of("torchvision", TORCHVISION_NAME, **SMALL))
    return model, random_arrays(shapes_of("torchvision", model))


def test_non_local_blocks_keep_their_initial_weights(small):
    _, arrays = small
    config = config_of("torchvision", TORCHVISION_NAME, **SMALL)
    model = MaskRCNN(dataclasses.replace(config, nonlocal_block={}))
    report = load_detector_weights(model, arrays)
    assert len(report.kept) == 10
    assert all("res4_block0_nonlocal" in path for path in report.kept)


def test_new_classes_keep_their_initial_weights(small):
    _, arrays = small
    config = config_of("torchvision", TORCHVISION_NAME, **SMALL)
    model = MaskRCNN(dataclasses.replace(config, num_classes=3))
    before = model.box_head.get_layer("box_logits").kernel.numpy()
    report = load_detector_weights(model, arrays, new_classes=True)
    after = model.box_head.get_layer("box_logits").kernel.numpy()
    np.testing.assert_array_equal(after, before)
    layers = {path.split("/")[-2] for path in report.kept}
    assert layers == {"box_logits", "box_deltas", "mask_logits"}
    assert len(report.unused) == 6
    assert len(report.loaded) == len(model.weights) - 6


def test_an_error_names_a_missing_weight(small):
    model, arrays = small
    del arrays["rpn.head.cls_logits.weight"]
    with pytest.raises(nl.CheckpointError, match="rpn.head.cls_logits.weight"):
        load_detector_weights(model, arrays)


def test_an_error_names_an_unmatched_weight_and_changes_nothing(small):
    model, arrays = small
    before = model.pyramid.weights[0].numpy()
    arrays["roi_heads.more.weight"] = np.zeros(3)
    with pytest.raises(nl.CheckpointError, match="roi_heads.more.weight"):
        load_detector_weights(model, arrays)
    np.testing.assert_array_equal(model.pyramid.weights[0].numpy(), before)


def test_an_error_names_a_weight_of_wrong_shape(small):
    model, arrays = small
    arrays["roi_heads.box_head.fc7.weight"] = np.zeros((7, 6), "float32")
    with pytest.raises(nl.CheckpointError, match="box_head.fc7.weight"):
        load_detector_weights(model, arrays)


def test_weights_of_other_networks_are_rejected(small):
    with pytest.raises(nl.CheckpointError, match="torchvision or detectron2"):
        load_detector_weights(small[0], {"x": np.zeros(2)})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("roi_heads.box_head.0.0.weight", r"torchvision's second .*_fpn_v2"),
        ("head.classification_head.cls_logits.weight", "RetinaNet"),
        ("roi_heads.box_head.0.fc1.weight", "Cascade R-CNN"),
        ("backbone.stem.conv1.weight", "without a feature pyramid"),
        ("sem_seg_head.predictor.weight", "Panoptic FPN"),
        ("backbone.bottom_up.res4.0.conv2_offset.weight", "deformable"),
        ("backbone.fpn_lateral2.norm.weight", "normalizations in its FPN"),
    ],
)
def test_other_detectors_are_refused_by_name(name, message, small):
    model, arrays = small
    arrays[name] = np.zeros(2, "float32")
    with pytest.raises(nl.CheckpointError, match=message):
        load_detector_weights(model, arrays)


def test_a_safetensors_file_is_loaded(small, tmp_path):
    model, arrays = small
    with open(tmp_path / "a.safetensors", "wb") as file:
        safetensors.write(file, arrays, {})
    report = load_detector_weights(model, tmp_path / "a.safetensors")
    assert report.format == "torchvision"
    assert len(report.loaded) == len(model.weights)


def test_older_names_of_torchvision_are_loaded(small):
    model, arrays = small
    for role in ("weight", "bias"):
        value = arrays.pop(f"rpn.head.conv.0.0.{role}")
        arrays[f"rpn.head.conv.{role}"] = value
    report = load_detector_weights(model, arrays)
    assert ("rpn.head.conv.weight",) in report.loaded.values()


def test_the_background_of_detectron2_becomes_class_0():
    model = MaskRCNN(config_of("detectron2", DETECTRON2_NAME, **SMALL))
    arrays = random_arrays(shapes_of("detectron2", model))
    box, mask = "roi_heads.box_predictor", "roi_heads.mask_head.predictor"
    arrays[f"{box}.cls_score.bias"] = np.arange(81, dtype="float32")
    for key in (f"{box}.bbox_pred.weight", f"{box}.bbox_pred.bias"):
        arrays[key] = arrays[key][4:]
    for key in (f"{mask}.weight", f"{mask}.bias"):
        arrays[key] = arrays[key][1:]
    load_detector_weights(model, arrays)
    logits = model.box_head.get_layer("box_logits").bias.numpy()
    np.testing.assert_array_equal(logits, [80, *range(80)])
    deltas = model.box_head.get_layer("box_deltas").bias.numpy()
    np.testing.assert_array_equal(deltas[:4], 0)
    np.testing.assert_array_equal(deltas[4:], arrays[f"{box}.bbox_pred.bias"])
    masks = model.mask_head.get_layer("mask_logits").bias.numpy()
    assert masks[0] == 0
    np.testing.assert_array_equal(masks[1:], arrays[f"{mask}.bias"])


def test_a_pytorch_file_is_loaded(small, tmp_path):
    torch = pytest.importorskip("torch")
    model, arrays = small
    path = tmp_path / "detector.pth"
    torch.save({k: torch.from_numpy(v) for k, v in arrays.items()}, path)
    report = load_detector_weights(model, path)
    assert report.path == str(path) and report.format == "torchvision"
    logits = model.box_head.get_layer("box_logits").bias.numpy()
    expected = arrays["roi_heads.box_predictor.cls_score.bias"]
    np.testing.assert_array_equal(logits, expected)


def test_a_detectron2_pickle_is_loaded(tmp_path):
    model = MaskRCNN(config_of("detectron2", DETECTRON2_NAME, **SMALL))
    arrays = random_arrays(shapes_of("detectron2", model))
    arrays = without_background(arrays)
    path = tmp_path / "model_final.pkl"
    path.write_bytes(pickle.dumps({"model": arrays, "__author__": "x"}))
    report = load_detector_weights(model, path)
    assert report.format == "detectron2"


BATCH_NORM = "backbone.body.bn1.running_var"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("roi_heads.box_head.fc6.weight", np.nan, "not finite"),
        ("rpn.head.cls_logits.bias", np.inf, "not finite"),
        (BATCH_NORM, -1.0, "negative or zero"),
        (BATCH_NORM, 0.0, "negative or zero"),
    ],
)
def test_non_finite_weights_are_rejected(small, name, value, message):
    model, arrays = small
    before = [np.asarray(variable) for variable in model.weights]
    arrays[name].flat[2] = value
    with pytest.raises(nl.CheckpointError, match=f"arrays: .*{message}"):
        load_detector_weights(model, arrays)
    for variable, array in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(np.asarray(variable), array)


@pytest.mark.parametrize("key", ["model_state_dict", "teacher"])
def test_weights_below_any_key_are_loaded(small, key, tmp_path):
    model, arrays = small
    arrays = {f"_orig_mod.{name}": array for name, array in arrays.items()}
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({key: arrays, "epoch": 3}))
    report = load_detector_weights(model, path)
    averaged = f"'{key}' (averaged weights)" if key == "teacher" else ""
    assert report.selected == averaged and report.path == str(path)


def test_an_error_names_the_file_and_its_keys(small, tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"net": {"a": np.zeros(3)}, "epoch": 3}))
    with pytest.raises(nl.CheckpointError, match="a.pkl.*'net', 'epoch'"):
        load_detector_weights(small[0], path)
