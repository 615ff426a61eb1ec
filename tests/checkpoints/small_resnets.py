"""Narrow networks with made-up weights, and files of them."""

import numpy as np

from nonlocal_tf.checkpoints.write import to_arrays
from tests import harness
from tests.checkpoints import checkpoint_files
from tests.models.tiny import CLIP, tiny

OPTIONS = {"sampling": "8x8", "clip_shape": CLIP}


def random(name, **options):
    model = tiny(name, **options)
    harness.randomise(model, 0.2)
    return model


def arrays_of(name, form="caffe2", **options):
    return to_arrays(random(name, **options), form)


def file_of(tmp_path, name, form="caffe2", **options):
    return checkpoint_files.write(
        tmp_path / "weights", form, arrays_of(name, form, **options)
    )


def equal(model, other):
    x = harness.normal((2, *model.input_shape[1:]))
    y, expected = (np.asarray(one(x, training=False)) for one in (model, other))
    # The same float32 products; affine forms scale before they shift.
    bound = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(y, expected, atol=bound)


def zeros(*shape, dtype="float32"):
    return np.zeros(shape, dtype)
