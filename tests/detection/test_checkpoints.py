"""Files of torchvision and detectron2: every weight finds its place."""

import dataclasses
import json
import pickle

import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf.detection import checkpoints
from nonlocal_tf.detection.config import DetectorConfig
from nonlocal_tf.detection.detector import MaskRCNN
from tests.detection import golden

NAMES = json.loads((golden.FOLDER / "names.json").read_text())
KINDS = [(source, name) for source, of in NAMES.items() for name in of]
SMALL = {
    "layers": (1, 1, 2, 1),
    "width": 8,
    "fpn_channels": 5,
    "box_units": 7,
    "mask_channels": (3,) * 4,
    "mask_deconv_channels": 4,
    "keypoint_channels": (6,) * 8,
}


def config_of(source, name, **options):
    is_mask = "mask" in name
    with_gaps = 91 if source == "torchvision" else 81
    options = {"keypoint_channels": (512,) * 8, **options}
    masks = options.pop("mask_channels", (256,) * 4)
    return DetectorConfig(
        num_classes=with_gaps if is_mask else 2,
        mask_channels=masks if is_mask else (),
        keypoints=0 if is_mask else 17,
        stride_on="3x3" if source == "torchvision" else "1x1",
        **options,
    )


def made_up(names, seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: rng.uniform(0.5, 1.5, shape).astype("float32")
        for name, shape in names.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize(("source", "name"), KINDS)
def test_full_size_files_leave_nothing_unused_or_unfilled(source, name):
    model = MaskRCNN(config_of(source, name))
    report = checkpoints.load_detector_weights(
        model, made_up(NAMES[source][name])
    )
    assert report.format == source
    used = {one for names in report.loaded.values() for one in names}
    assert used == set(NAMES[source][name])
    assert set(report.loaded) == {v.path for v in model.weights}
    assert report.kept == ()


def small_names(source, name, model):
    """The names of a file, with the shapes of a small model."""
    found = {}
    form = checkpoints.SOURCES[source]
    for variable in model.weights:
        *_, layer, role = variable.path.split("/")
        first = next(checkpoints.names_in(form, layer))
        shape = tuple(variable.shape)
        if role in ("gamma", "beta"):
            for end in ("weight", "bias", "running_mean", "running_var"):
                found[f"{first}.{end}"] = shape
        else:
            end = {"kernel": "weight", "bias": "bias"}[role]
            found[f"{first}.{end}"] = shape[::-1]
    return found


def without_background(arrays):
    """As detectron2 has them: no deltas and masks of the background."""
    rows = {"bbox_pred": 4, "mask_head.predictor": 1}
    return {
        key: value[sum(n for part, n in rows.items() if part in key) :]
        for key, value in arrays.items()
    }


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ("torchvision", "backbone.body.layer3.1.conv2.weight"),
        ("detectron2", "backbone.bottom_up.res4.1.conv2.weight"),
    ],
)
def test_kernels_in_groups_find_their_place(source, key):
    name = "maskrcnn_resnext"
    # Three groups of 4 channels in res2.
    groups = {"width": 6, "groups": 3, "group_width": 4}
    model = MaskRCNN(config_of(source, name, **{**SMALL, **groups}))
    arrays = made_up(small_names(source, name, model))
    given = arrays[key]
    assert given.shape == (48, 16, 3, 3)  # (out, in a group, height, width)
    if source == "detectron2":
        arrays = without_background(arrays)
    checkpoints.load_detector_weights(model, arrays)
    kernel = model.pyramid.get_layer("res4_block1_conv2").kernel.numpy()
    assert kernel.shape == (3, 3, 16, 48)
    assert kernel[0, 2, 5, 47] == given[47, 5, 0, 2]


@pytest.fixture
def small():
    name = "maskrcnn_resnet50_fpn"
    model = MaskRCNN(config_of("torchvision", name, **SMALL))
    return model, made_up(small_names("torchvision", name, model))


def test_blocks_that_no_file_has_stay_the_identity(small):
    _, arrays = small
    config = config_of("torchvision", "maskrcnn_resnet50_fpn", **SMALL)
    model = MaskRCNN(dataclasses.replace(config, nonlocal_block={}))
    report = checkpoints.load_detector_weights(model, arrays)
    assert len(report.kept) == 10
    assert all("res4_block0_nonlocal" in path for path in report.kept)


def test_new_classes_are_left_as_they_start(small):
    _, arrays = small
    config = config_of("torchvision", "maskrcnn_resnet50_fpn", **SMALL)
    model = MaskRCNN(dataclasses.replace(config, num_classes=3))
    before = model.box_head.get_layer("box_logits").kernel.numpy()
    report = checkpoints.load_detector_weights(model, arrays, new_classes=True)
    after = model.box_head.get_layer("box_logits").kernel.numpy()
    np.testing.assert_array_equal(after, before)
    layers = {path.split("/")[-2] for path in report.kept}
    assert layers == {"box_logits", "box_deltas", "mask_logits"}
    assert len(report.unused) == 6
    assert len(report.loaded) == len(model.weights) - 6


def test_a_missing_weight_is_named(small):
    model, arrays = small
    del arrays["rpn.head.cls_logits.weight"]
    with pytest.raises(nl.CheckpointError, match="rpn.head.cls_logits.weight"):
        checkpoints.load_detector_weights(model, arrays)


def test_a_weight_too_many_is_named_and_nothing_changed(small):
    model, arrays = small
    before = model.pyramid.weights[0].numpy()
    arrays["roi_heads.more.weight"] = np.zeros(3)
    with pytest.raises(nl.CheckpointError, match="roi_heads.more.weight"):
        checkpoints.load_detector_weights(model, arrays)
    np.testing.assert_array_equal(model.pyramid.weights[0].numpy(), before)


def test_a_wrong_shape_is_named(small):
    model, arrays = small
    arrays["roi_heads.box_head.fc7.weight"] = np.zeros((7, 6), "float32")
    with pytest.raises(nl.CheckpointError, match="box_head.fc7.weight"):
        checkpoints.load_detector_weights(model, arrays)


def test_other_weights_are_told_apart(small):
    with pytest.raises(nl.CheckpointError, match="torchvision or detectron2"):
        checkpoints.load_detector_weights(small[0], {"x": np.zeros(2)})


def test_older_names_of_torchvision_are_known(small):
    model, arrays = small
    for end in ("weight", "bias"):
        value = arrays.pop(f"rpn.head.conv.0.0.{end}")
        arrays[f"rpn.head.conv.{end}"] = value
    report = checkpoints.load_detector_weights(model, arrays)
    assert ("rpn.head.conv.weight",) in report.loaded.values()


def test_the_background_of_detectron2_becomes_class_0():
    name = "mask_rcnn_R_50_FPN"
    config = config_of("detectron2", name, **SMALL)
    model = MaskRCNN(config)
    arrays = made_up(small_names("detectron2", name, model))
    box, mask = "roi_heads.box_predictor", "roi_heads.mask_head.predictor"
    arrays[f"{box}.cls_score.bias"] = np.arange(81, dtype="float32")
    for key in (f"{box}.bbox_pred.weight", f"{box}.bbox_pred.bias"):
        arrays[key] = arrays[key][4:]
    for key in (f"{mask}.weight", f"{mask}.bias"):
        arrays[key] = arrays[key][1:]
    checkpoints.load_detector_weights(model, arrays)
    logits = model.box_head.get_layer("box_logits").bias.numpy()
    np.testing.assert_array_equal(logits, [80, *range(80)])
    deltas = model.box_head.get_layer("box_deltas").bias.numpy()
    np.testing.assert_array_equal(deltas[:4], 0)
    np.testing.assert_array_equal(deltas[4:], arrays[f"{box}.bbox_pred.bias"])
    masks = model.mask_head.get_layer("mask_logits").bias.numpy()
    assert masks[0] == 0
    np.testing.assert_array_equal(masks[1:], arrays[f"{mask}.bias"])


def test_a_file_of_pytorch_is_read(small, tmp_path):
    torch = pytest.importorskip("torch")
    model, arrays = small
    path = tmp_path / "detector.pth"
    torch.save({k: torch.from_numpy(v) for k, v in arrays.items()}, path)
    report = checkpoints.load_detector_weights(model, path)
    assert report.path == str(path) and report.format == "torchvision"
    logits = model.box_head.get_layer("box_logits").bias.numpy()
    expected = arrays["roi_heads.box_predictor.cls_score.bias"]
    np.testing.assert_array_equal(logits, expected)


def test_a_pickle_of_detectron2_is_read(tmp_path):
    name = "mask_rcnn_R_50_FPN"
    model = MaskRCNN(config_of("detectron2", name, **SMALL))
    arrays = without_background(made_up(small_names("detectron2", name, model)))
    path = tmp_path / "model_final.pkl"
    path.write_bytes(pickle.dumps({"model": arrays, "__author__": "x"}))
    report = checkpoints.load_detector_weights(model, path)
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
def test_numbers_that_are_not_finite_are_refused(small, name, value, message):
    model, arrays = small
    before = [np.asarray(variable) for variable in model.weights]
    arrays[name].flat[2] = value
    with pytest.raises(nl.CheckpointError, match=f"arrays: .*{message}"):
        checkpoints.load_detector_weights(model, arrays)
    for variable, array in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(np.asarray(variable), array)


@pytest.mark.parametrize("key", ["model_state_dict", "teacher"])
def test_weights_are_found_under_any_key(small, key, tmp_path):
    model, arrays = small
    arrays = {f"_orig_mod.{name}": array for name, array in arrays.items()}
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({key: arrays, "epoch": 3}))
    report = checkpoints.load_detector_weights(model, path)
    averaged = f"'{key}' (averaged weights)" if key == "teacher" else ""
    assert report.selected == averaged and report.path == str(path)


def test_an_error_names_the_file_and_its_keys(small, tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"net": {"a": np.zeros(3)}, "epoch": 3}))
    with pytest.raises(nl.CheckpointError, match="a.pkl.*'net', 'epoch'"):
        checkpoints.load_detector_weights(small[0], path)
