"""Networks on a clip and on its frames in another order."""

import keras
import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf.models.frame_order import depends_on_frame_order
from tests.harness import normal
from tests.models.tiny import tiny

SHAPE = (7, 24, 20, 3)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("c2d_small", False),
        ("c2d_nl1_small", False),
        ("i3d_small", True),
        ("i3d_strided_nl1_small", True),
    ],
)
def test_reversed_clips_differ_where_a_network_sees_order(name, expected):
    options = {"nonlocal_block": {"gamma_init": 1.0}} if "_nl" in name else {}
    model = nl.create_model(name, num_classes=5, clip_shape=SHAPE, **options)
    clip = normal((2, *SHAPE))
    forward, backward = (
        keras.ops.convert_to_numpy(model(frames))
        for frames in (clip, clip[:, ::-1])
    )
    differs = np.abs(forward - backward).max() > 1e-4 * np.abs(forward).max()
    assert differs == expected == depends_on_frame_order(model)


@pytest.mark.parametrize(
    ("name", "expected"), [("c2d_nl1_r50", False), ("i3d_r50", True)]
)
def test_the_papers_networks_are_told_apart(name, expected):
    assert depends_on_frame_order(tiny(name, sampling="32x2")) == expected


def test_images_have_no_order():
    assert not depends_on_frame_order(nl.create_model("image_small"))
