import numpy as np

from nonlocal_tf.layers import Affine
from tests import harness
from tests.harness import normal


def test_harness():
    harness.check_layer(Affine, (2, 5, 3))


def test_scales_and_shifts_each_channel():
    x = normal((2, 5, 3))
    layer = Affine()
    layer.build(x.shape)
    layer.set_weights([np.array([2.0, 3.0, 5.0]), np.array([7.0, 11.0, 13.0])])
    np.testing.assert_allclose(
        layer(x), x * [2.0, 3.0, 5.0] + [7.0, 11.0, 13.0], rtol=1e-6
    )


def test_starts_as_the_identity():
    x = normal((2, 5, 3))
    np.testing.assert_array_equal(Affine()(x), x)
