"""Networks on a clip and on its reordered frames."""

import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf.models.frame_order import depends_on_frame_order
from tests.harness import array, normal
from tests.layers.blocks import tensorflow_only
from tests.models.tiny import shallow

pytestmark = tensorflow_only
CLIP = (8, 24, 20, 3)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("c2d_nl1_small", {}, False),
        ("c2d_nl1_small", {"position": "sine"}, True),
        ("c2d_nl1_small", {"position": "learned"}, True),
        ("c2d_nl1_small", {"causal": True}, True),
        ("i3d_small", {}, True),
        ("c2d", {}, False),
        ("i3d", {}, True),
    ],
)
def test_reversed_clips_differ_if_a_network_depends_on_order(
    name, options, expected
):
    if "_nl" in name:
        block = {"gamma_init": 1.0, **options}
        model = nl.create_model(name, clip_shape=CLIP, nonlocal_block=block)
    elif name.endswith("small"):
        model = nl.create_model(name, clip_shape=CLIP)
    else:
        model = shallow(name, clip_shape=CLIP)
    clip = normal((2, *CLIP))
    forward, backward = (
        array(model(frames)) for frames in (clip, clip[:, ::-1])
    )
    differs = np.abs(forward - backward).max() > 1e-4 * np.abs(forward).max()
    assert differs == expected == depends_on_frame_order(model)


def test_image_networks_have_no_frame_order():
    assert not depends_on_frame_order(nl.create_model("image_small"))
