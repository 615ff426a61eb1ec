"""Configurations of detectors and of their training."""

import pytest

from nonlocal_tf.detection.config import (
    X152_32X8D,
    DetectorConfig,
    TargetSamplingConfig,
)


def test_one_group_is_a_resnet():
    config = DetectorConfig(width=8)
    assert (config.groups, config.inner_width, config.expansion) == (1, 8, 4)


@pytest.mark.parametrize(
    ("groups", "group_width", "inner_width", "expansion"),
    [(32, 8, 256, 1), (32, 4, 128, 2), (64, 4, 256, 1), (1, 128, 128, 2)],
)
def test_groups_set_inner_width_and_expansion(
    groups, group_width, inner_width, expansion
):
    config = DetectorConfig(groups=groups, group_width=group_width)
    assert config.inner_width == inner_width
    assert config.expansion == expansion


def test_x152_equals_detectron():
    config = DetectorConfig(**X152_32X8D)
    assert config.layers == (3, 8, 36, 3)
    assert (config.groups, config.group_width) == (32, 8)
    assert config.stride_on == "3x3"


def test_blocks_have_the_channels_and_subsampling_of_the_paper():
    config = DetectorConfig(nonlocal_block={}, keypoint_nonlocal_block={})
    for arguments in (config.block, config.head_block):
        assert arguments["subsample"] == 2
        assert arguments.get("bottleneck") is None  # half of the input's


def test_a_keypoint_head_may_have_blocks_without_subsampling():
    config = DetectorConfig(keypoint_nonlocal_block={"subsample": None})
    assert config.head_block["subsample"] is None


@pytest.mark.parametrize(
    ("options", "has_masks"),
    [
        ({}, True),
        ({"masks": True}, True),
        ({"masks": False}, False),
        ({"mask_channels": ()}, False),
        ({"mask_channels": (), "masks": False}, False),
    ],
)
def test_masks_can_be_switched_off(options, has_masks):
    assert DetectorConfig(**options).has_masks is has_masks


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"masks": True, "mask_channels": ()}, "Expected `mask_channels` of a"),
        ({"score_threshold": 50}, "Expected `score_threshold` from 0 to 1.*50"),
        ({"iou_threshold": -0.5}, "Expected `iou_threshold` from 0 to 1"),
        (
            {"proposal_iou_threshold": float("nan")},
            "Expected `proposal_iou_threshold` from 0 to 1",
        ),
    ],
)
def test_invalid_values_are_rejected(options, message):
    with pytest.raises(ValueError, match=message):
        DetectorConfig(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": 0}, "integers of at least 1. Received: groups=0"),
        ({"width": 0}, "at least 1.*width=0"),
        ({"groups": 2, "group_width": 1.5}, "at least 1.*group_width=1.5"),
        ({"groups": 32}, "Expected `group_width`.*Received: groups=32"),
        (
            {"groups": 3, "group_width": 8},
            "divide 4 . width.*Received: groups=3, group_width=8, width=64",
        ),
    ],
)
def test_invalid_groups_are_rejected(options, message):
    with pytest.raises(ValueError, match=message):
        DetectorConfig(**options)


@pytest.mark.parametrize("field", ["pre_nms_top_n", "post_nms_top_n"])
@pytest.mark.parametrize("value", [0, -5, 1.5, True])
def test_invalid_numbers_of_proposals_are_rejected(field, value):
    with pytest.raises(ValueError, match=f"`{field}` to be an integer"):
        TargetSamplingConfig(**{field: value})
