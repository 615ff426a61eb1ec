"""Shallow residual networks with random weights, and files of them.

One residual block per stage and four channels: a tenth of the time of a
ResNet-50, with every kind of weight that the paper's networks have.
"""

import numpy as np

from nonlocal_tf.checkpoints.write import to_arrays
from nonlocal_tf.models import backbones, image_resnet, video_resnet
from tests import harness
from tests.checkpoints import checkpoint_files

CLIP = (8, 32, 32, 3)
IMAGE = (32, 32, 3)
# Arguments of `from_checkpoint`.
OPTIONS = {"sampling": "8x8", "clip_shape": CLIP}
PLACES = {"nl1": {"res4": (0,)}, "nl2": {"res3": (0,), "res4": (0,)}}


def build(name, **options):
    """Build "c2d", "i3d" or "image", with non-local blocks if "_nl1"."""
    kind, _, blocks = name.partition("_")
    options = {"name": f"{name}_r14", "num_classes": 7, "width": 4, **options}
    if kind == "image":
        config = backbones.resnet_config("c2d", (1, 1, 1, 1))
        return image_resnet.image_resnet(
            config, **{"image_shape": IMAGE, **options}
        )
    config = backbones.resnet_config(kind, (1, 1, 1, 1), PLACES.get(blocks))
    return video_resnet.video_resnet(config, **{**OPTIONS, **options})


def random(name, **options):
    model = build(name, **options)
    harness.randomise(model, 0.2)
    return model


_ARRAYS: dict[tuple, dict] = {}  # computed once, never changed


def arrays_of(name, file_format="caffe2", **options):
    """Return random weights by their names in a format."""
    key = name, file_format, repr(options)
    if key not in _ARRAYS:
        _ARRAYS[key] = to_arrays(random(name, **options), file_format)
    return dict(_ARRAYS[key])


def file_of(tmp_path, name, file_format="caffe2", **options):
    """Write random weights; return the path."""
    arrays = arrays_of(name, file_format, **options)
    return checkpoint_files.write(tmp_path / "weights", file_format, arrays)


def assert_equal_outputs(model, expected):
    x = harness.normal((2, *model.input_shape[1:]))
    y, y_expected = (
        harness.array(network(x, training=False))
        for network in (model, expected)
    )
    # Rounding of float32: affine networks scale before they shift.
    bound = 1e-5 * np.abs(y_expected).max()
    np.testing.assert_allclose(y, y_expected, atol=bound)


def zeros(*shape, dtype="float32"):
    return np.zeros(shape, dtype)
