import keras
import numpy as np

from nonlocal_tf.layers import Affine
from nonlocal_tf.layers.affine import gain_and_shift
from tests import harness
from tests.harness import normal, randomise


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


def test_float16_gradients_of_many_positions_do_not_saturate():
    # Sums of ones stop at 2048 in float16.
    inputs = keras.Input((7000, 2))
    layer = Affine(dtype="mixed_float16")
    model = keras.Model(inputs, layer(inputs))
    sgd = keras.optimizers.SGD(1.0)
    model.compile(sgd, "mean_absolute_error", jit_compile=False)
    # |0 x 1 + 0 - (-1)|: the gradient of the mean is one of beta's 7000 x 2.
    layer.set_weights([np.zeros(2), np.zeros(2)])
    x = np.ones((1, 7000, 2), "float16")
    model.train_on_batch(x, -x)
    moved = [keras.ops.convert_to_numpy(w) for w in layer.weights]
    np.testing.assert_allclose(moved, -0.5 * np.ones((2, 2)), rtol=1e-2)


def test_a_frozen_one_is_never_trained():
    layer = Affine(frozen=True)
    layer.build((None, 5))
    layer.trainable = True
    assert layer.trainable_weights == []
    assert len(layer.weights) == 2
    assert Affine.from_config(layer.get_config()).frozen


def test_gain_and_shift_are_what_a_normalisation_does():
    x = normal((3, 7, 5))
    for layer in (
        Affine(),
        keras.layers.BatchNormalization(),
        keras.layers.BatchNormalization(scale=False, center=False),
    ):
        layer.build(x.shape)
        randomise(layer)
        gain, shift = gain_and_shift(layer)
        np.testing.assert_allclose(
            gain * x + shift, np.asarray(layer(x)), rtol=1e-5, atol=1e-6
        )
