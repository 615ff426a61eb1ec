"""Heads of detectors."""

from nonlocal_tf.detection import heads
from tests.detection import tiny_detectors


def test_blocks_follow_every_second_convolution_of_the_keypoint_head():
    config = tiny_detectors.config_of(
        "tiny_keypoint_rcnn", keypoint_nonlocal_block={}
    )
    head = heads.build_keypoint_head(config)
    names = [layer.name for layer in head.layers]
    for number in (2, 4, 6, 8):
        index = names.index(f"keypoint_nonlocal{number}")
        assert names[index - 1] == f"keypoint_conv{number}"
        assert head.layers[index].pool_size == (2, 2)
    assert sum("nonlocal" in name for name in names) == 4
