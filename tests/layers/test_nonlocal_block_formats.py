"""The block: folded, saved, exported, converted and compiled."""

import keras
import numpy as np
import pytest

from nonlocal_tf.layers import PAIRWISE, NonLocalBlock, Pairwise
from tests import harness
from tests.harness import normal
from tests.layers.blocks import (
    CLIPS,
    active_block,
    array,
    on_layouts,
    tensorflow_only,
)


class Uniform(Pairwise):
    """Looks everywhere alike; not registered for saving."""

    def call(self, theta, phi, g):
        return 0.0 * theta[..., :1] + keras.ops.mean(g, 1, keepdims=True)


@on_layouts
@pytest.mark.parametrize("norm", ["batch", "affine", "none"])
@pytest.mark.parametrize("out_bias", [True, False])
def test_a_folded_block_has_no_norm_and_equal_outputs(pairwise, norm, out_bias):
    x = normal(CLIPS)
    block = NonLocalBlock(
        pairwise, norm=norm, out_bias=out_bias, subsample=2, name="block"
    )
    block.build(x.shape)
    harness.randomise(block)
    folded = block.fold()
    paths = {weight.path for weight in folded.weights}
    kept = {w.path for w in block.weights if "/bn/" not in w.path}
    kept = {path for path in kept if "/affine/" not in path}
    if norm != "none":
        kept.add("block/out/bias")
    assert paths == kept
    expected = array(block(x))
    # The same float32 products, scaled before instead of after.
    np.testing.assert_allclose(array(folded(x)), expected, rtol=1e-5, atol=2e-6)
    assert np.abs(expected - x).max() > 0.1


def test_folding_leaves_the_block_as_it_was():
    x = normal((2, 7, 6))
    block = NonLocalBlock(gamma_init=1.0)
    before = array(block(x))
    block.fold()
    np.testing.assert_array_equal(array(block(x)), before)


def test_a_block_without_weights_cannot_be_folded():
    with pytest.raises(ValueError, match="before `fold`"):
        NonLocalBlock().fold()


def test_a_block_with_a_function_that_is_not_registered_can_be_folded():
    x = normal((2, 7, 6))
    block = NonLocalBlock(Uniform(), gamma_init=1.0)
    expected = array(block(x))
    np.testing.assert_allclose(
        array(block.fold()(x)), expected, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("name", "method"),
    [
        (name, method)
        for name, cls in PAIRWISE.items()
        for method in cls.methods
        if method != "flash"
    ],
)
def test_every_method_can_be_asked_for_and_is_saved(name, method, tmp_path):
    inputs = keras.Input((7, 6))
    block = active_block(PAIRWISE[name](method=method))
    model = keras.Model(inputs, block(inputs))
    harness.check_saving(model, normal((2, 7, 6)), tmp_path)
    again = NonLocalBlock.from_config(block.get_config())
    assert again.pairwise.method == method


def exported(pairwise, **options):
    """A model on clips of unknown batch, time and space, random weights."""
    inputs = keras.Input((None, None, None, 6))
    block = active_block(pairwise, subsample=2, **options)
    model = keras.Model(inputs, block(inputs))
    harness.randomise(block)
    return model


def test_a_model_on_unknown_sizes_is_saved(pairwise, tmp_path):
    harness.check_saving(exported(pairwise), normal(CLIPS), tmp_path)


@tensorflow_only
def test_saved_model_takes_unknown_sizes(pairwise, tmp_path, monkeypatch):
    harness.small_chunks(monkeypatch)
    import tensorflow as tf

    model = exported(pairwise)
    model.export(tmp_path / "saved", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "saved")
    for shape in (CLIPS, (1, 2, 9, 7, 6)):
        x = normal(shape)
        np.testing.assert_allclose(
            array(loaded.serve(x)), array(model(x)), rtol=1e-5, atol=1e-5
        )


@tensorflow_only
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
def test_tflite_takes_unknown_sizes_with_builtin_operators(
    pairwise, tmp_path, monkeypatch
):
    harness.small_chunks(monkeypatch)
    import tensorflow as tf

    model = exported(pairwise)
    model.export(tmp_path / "saved", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(tmp_path / "saved")
    )
    assert converter.target_spec.supported_ops == {
        tf.lite.OpsSet.TFLITE_BUILTINS
    }
    lite = tf.lite.Interpreter(model_content=converter.convert())
    (given,), (result,) = lite.get_input_details(), lite.get_output_details()
    for shape in (CLIPS, (1, 2, 9, 7, 6)):
        x = normal(shape)
        lite.resize_tensor_input(given["index"], shape)
        lite.allocate_tensors()
        lite.set_tensor(given["index"], x)
        lite.invoke()
        np.testing.assert_allclose(
            lite.get_tensor(result["index"]),
            array(model(x)),
            rtol=1e-5,
            atol=1e-5,
        )


@tensorflow_only
def test_a_block_trains_under_xla_and_mixed_precision(pairwise):
    inputs = keras.Input((4, 5, 3, 6))
    block = NonLocalBlock(
        pairwise, subsample=2, gamma_init=1.0, dtype="mixed_bfloat16"
    )
    model = keras.Model(inputs, keras.layers.Flatten()(block(inputs)))
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=True)
    x = normal(CLIPS)
    losses = [model.train_on_batch(x, 0.0 * x.reshape(2, -1)) for _ in range(3)]
    assert losses[0] > losses[1] > losses[2]
