"""Detectors by name."""

import re

import pytest

from nonlocal_tf import detection
from nonlocal_tf.models import backbones


def test_a_detector_has_an_output_for_each_class_and_the_background():
    images = detection.ImagePreprocessing(64, 96)
    created = detection.create_detector(
        "small",
        ("dog", "cat", "cup"),
        image_preprocessing=images,
        fpn_channels=5,
        masks=False,
        nonlocal_block={},
    )
    logits, _ = created.box_head.outputs
    assert logits.shape[-1] == 4
    assert created.config.fpn_channels == 5 and created.config.width == 16
    assert created.mask_head is None
    assert created.classes == ("dog", "cat", "cup")
    assert created.image_preprocessing == images


def test_unknown_names_are_rejected():
    with pytest.raises(ValueError, match="'r18'.*small"):
        detection.create_detector("r18", ["dog"])
    with pytest.raises(TypeError, match="mask"):
        detection.create_detector("small", ["dog"], mask=False)


@pytest.mark.parametrize("classes", [2, "dog", ["dog", 2]])
def test_classes_are_names(classes):
    with pytest.raises(TypeError, match="sequence of names.*Received: classes"):
        detection.create_detector("small", classes)


def test_frozen_stages_are_not_trained():
    detector = detection.create_detector("small", ["dog"], masks=False)
    before = {variable.path for variable in detector.trainable_variables}
    detection.freeze(detector)
    after = {variable.path for variable in detector.trainable_variables}
    frozen = before - after
    assert len(frozen) == 5  # conv1, three of a block, and its shortcut
    assert all(path.startswith(("conv1", "res2")) for path in frozen)
    with pytest.raises(ValueError, match="rpn, box or all.*'res7'"):
        detection.freeze(detector, ("res7",))


@pytest.mark.parametrize(
    ("parts", "trained"),
    [
        ("conv1,res2,res3,res4", {"res4", "res5", "fpn", "rpn", "box"}),
        ("nonlocal", {"conv1", *backbones.STAGES, "fpn", "rpn", "box"}),
        ("all", {"box"}),
    ],
)
def test_blocks_are_frozen_by_their_own_name_or_with_all(parts, trained):
    detector = detection.create_detector(
        "small", ["dog"], masks=False, nonlocal_block={}
    )
    detection.freeze(detector, parts)
    paths = [variable.path for variable in detector.trainable_variables]
    assert {re.split("[_/]", path)[0] for path in paths} == trained
    blocks = [path for path in paths if "_nonlocal/" in path]
    assert bool(blocks) == ("res2" in parts)
