"""The block with a scalar gate: z = x + gamma W_z y."""

import keras
import numpy as np
import pytest

from nonlocal_tf.layers import NonLocalBlock
from nonlocal_tf.layers.scalar_gate import ScalarGate
from tests import harness
from tests.harness import normal
from tests.layers.blocks import array

SHAPE = (2, 7, 6)


def gated(**options):
    return NonLocalBlock(gate="scalar", norm="none", **options)


def test_gamma_multiplies_the_residual():
    x = normal(SHAPE)
    block = gated(gamma_init=1.0)
    residual = array(block(x)) - x
    assert np.abs(residual).max() > 0.1
    block.scalar_gate.gamma.assign(-0.5)
    np.testing.assert_allclose(
        array(block(x)) - x, -0.5 * residual, rtol=1e-5, atol=1e-6
    )


def test_block_with_a_gate_starts_as_the_identity_and_learns(tmp_path):
    x = normal(SHAPE)
    inputs = keras.Input(SHAPE[1:])
    block = gated(name="block")
    model = keras.Model(inputs, block(inputs))
    np.testing.assert_array_equal(array(model(x)), x)
    # W_z is not zero, so that gamma has a gradient from the first step.
    before = array(block.scalar_gate.gamma)
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
    model.train_on_batch(x, normal(SHAPE, seed=3))
    assert array(block.scalar_gate.gamma) != before == 0.0
    harness.check_saving(model, x, tmp_path)


def test_gate_as_a_layer():
    harness.check_layer(lambda **options: ScalarGate(**options), SHAPE)
    harness.check_layer(lambda **options: gated(**options), SHAPE)


def test_gate_is_folded_into_w_z():
    x = normal(SHAPE)
    block = gated(gamma_init=1.0, name="block")
    block.build(SHAPE)
    harness.randomise(block)
    folded = block.fold()
    assert {w.path for w in folded.weights} == {
        w.path for w in block.weights if "/gate/" not in w.path
    }
    # The same float32 products, scaled before instead of after.
    np.testing.assert_allclose(
        array(folded(x)), array(block(x)), rtol=1e-5, atol=2e-6
    )


def test_gate_path_is_an_interface():
    block = gated(name="block")
    block.build(SHAPE)
    assert [w.path for w in block.scalar_gate.weights] == ["block/gate/gamma"]
    assert block.scalar_gate.gamma.shape == ()


def test_frozen_block_has_a_frozen_gate():
    block = gated(trainable=False)
    block.build(SHAPE)
    assert not block.trainable_weights


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gate": "scalar"}, "takes the place of the normalization"),
        ({"gate": "scaler", "norm": "none"}, "Did you mean 'scalar'"),
        ({"gate": "scalar", "norm": "affine"}, "takes the place"),
        (
            {"gate": "scalar", "norm": "none", "freeze_norm": True},
            "need a normalization",
        ),
    ],
)
def test_gates_that_do_not_fit_are_errors(options, message):
    with pytest.raises(ValueError, match=message):
        NonLocalBlock(**options)
