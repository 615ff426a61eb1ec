"""The block folded, saved, exported, converted and compiled."""

import json
import warnings
import zipfile

import keras
import numpy as np
import pytest

from nonlocal_tf.layers import PAIRWISE, NonLocalBlock, Pairwise
from tests import harness
from tests.harness import normal
from tests.layers.blocks import CLIPS, active_block, array, tensorflow_only


class Uniform(Pairwise):
    """Uniform attention; not registered for saving."""

    def call(self, theta, phi, g):
        return 0.0 * theta[..., :1] + keras.ops.mean(g, 1, keepdims=True)


@pytest.mark.parametrize(
    ("pairwise", "norm", "out_bias"),
    [
        ("embedded_gaussian", "batch", True),
        ("embedded_gaussian", "affine", False),
        ("embedded_gaussian", "none", False),
        pytest.param("concatenation", "batch", False, marks=tensorflow_only),
    ],
)
def test_folded_block_has_no_norm_and_equal_outputs(pairwise, norm, out_bias):
    x = normal(CLIPS)
    block = NonLocalBlock(
        pairwise, norm=norm, out_bias=out_bias, subsample=2, name="block"
    )
    block.build(x.shape)
    harness.randomise(block)
    folded = block.fold()
    expected = {
        w.path
        for w in block.weights
        if "/bn/" not in w.path and "/affine/" not in w.path
    }
    if norm != "none":
        expected.add("block/out/bias")
    assert {w.path for w in folded.weights} == expected
    y = array(block(x))
    # The same float32 products, scaled before instead of after.
    np.testing.assert_allclose(array(folded(x)), y, rtol=1e-5, atol=2e-6)
    assert np.abs(y - x).max() > 0.1


def test_fold_does_not_change_the_block():
    x = normal((2, 7, 6))
    block = NonLocalBlock(gamma_init=1.0)
    before = array(block(x))
    block.fold()
    np.testing.assert_array_equal(array(block(x)), before)


def test_fold_of_a_block_that_is_not_built_is_an_error():
    with pytest.raises(ValueError, match="before `fold`"):
        NonLocalBlock().fold()


@tensorflow_only
@pytest.mark.parametrize("change", ["lora", "int8"])
def test_fold_of_changed_kernels_is_an_error(change):
    block = NonLocalBlock()
    model = keras.Sequential([keras.Input((5, 4)), block])
    if change == "lora":
        block.out.enable_lora(2)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the block has no such method
            model.quantize("int8")
    with pytest.raises(ValueError, match="quantized nor have LoRA"):
        block.fold()


def test_fold_with_a_pairwise_layer_that_is_not_registered():
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
    ],
)
def test_config_keeps_the_method(name, method):
    block = NonLocalBlock(PAIRWISE[name](method=method))
    restored = NonLocalBlock.from_config(block.get_config())
    assert restored.pairwise.method == method


# Arguments that files of earlier versions do not have.
NEW_ARGUMENTS = ("value_channels", "heads", "position", "causal", "gate")


def test_files_without_the_new_arguments_are_loaded(tmp_path):
    inputs = keras.Input(CLIPS[1:])
    block = NonLocalBlock("concatenation", gamma_init=1.0, name="block")
    model = keras.Model(inputs, block(inputs))
    model.save(tmp_path / "new.keras")
    with (
        zipfile.ZipFile(tmp_path / "new.keras") as new,
        zipfile.ZipFile(tmp_path / "old.keras", "w") as old,
    ):
        for name in new.namelist():
            content = new.read(name)
            if name == "config.json":
                config = json.loads(content)
                saved = config["config"]["layers"][1]
                assert saved["build_config"] == {
                    "input_shape": [None, *CLIPS[1:]]
                }
                for argument in NEW_ARGUMENTS:
                    del saved["config"][argument]
                content = json.dumps(config)
            old.writestr(name, content)
    loaded = keras.models.load_model(tmp_path / "old.keras")
    x = normal(CLIPS)
    np.testing.assert_array_equal(array(loaded(x)), array(model(x)))


def model_of_unknown_sizes(pairwise):
    """Build a model on clips of unknown sizes with random weights."""
    inputs = keras.Input((None, None, None, 6))
    block = active_block(pairwise, subsample=2)
    model = keras.Model(inputs, block(inputs))
    harness.randomise(block)
    return model


def test_model_of_unknown_sizes_is_saved(tmp_path):
    model = model_of_unknown_sizes("embedded_gaussian")
    harness.check_saving(model, normal(CLIPS), tmp_path)


@tensorflow_only
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
@pytest.mark.parametrize("pairwise", sorted(set(PAIRWISE) - {"gaussian"}))
def test_saved_model_and_litert_take_unknown_sizes(
    pairwise, tmp_path, monkeypatch
):
    harness.small_chunks(monkeypatch)
    import tensorflow as tf

    model = model_of_unknown_sizes(pairwise)
    model.export(tmp_path / "saved", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "saved")
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(tmp_path / "saved")
    )
    # No operations beyond the built-in ones.
    assert converter.target_spec.supported_ops == {
        tf.lite.OpsSet.TFLITE_BUILTINS
    }
    lite = tf.lite.Interpreter(model_content=converter.convert())
    (inputs,), (outputs,) = lite.get_input_details(), lite.get_output_details()
    for shape in (CLIPS, (1, 2, 9, 7, 6)):
        x = normal(shape)
        expected = array(model(x))
        np.testing.assert_allclose(
            array(loaded.serve(x)), expected, rtol=1e-5, atol=1e-5
        )
        lite.resize_tensor_input(inputs["index"], shape)
        lite.allocate_tensors()
        lite.set_tensor(inputs["index"], x)
        lite.invoke()
        np.testing.assert_allclose(
            lite.get_tensor(outputs["index"]), expected, rtol=1e-5, atol=1e-5
        )


OPTIONS = {
    "heads": {"heads": 3, "value_channels": 9, "position": "sine"},
    "learned": {"position": "learned", "subsample": 2},
    "gate": {"gate": "scalar"},
    "causal": {"causal": True, "subsample": (1, 2, 2)},
}


@tensorflow_only
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
@pytest.mark.parametrize("second", [None, "mask", "context"])
@pytest.mark.parametrize("options", sorted(OPTIONS))
def test_litert_takes_options_masks_and_contexts(options, second, tmp_path):
    if (options, second) == ("causal", "context"):
        pytest.skip("a block refuses both")
    import tensorflow as tf

    arrays = {"x": normal((1, *CLIPS[1:]))}
    if second == "mask":
        arrays["mask"] = normal((1, *CLIPS[1:-1]), 1) > -0.5
    if second == "context":
        arrays["context"] = normal((1, 4, 3, 5, 8), 2)
    inputs = {
        name: keras.Input(x.shape[1:], dtype=x.dtype.name, name=name)
        for name, x in arrays.items()
    }
    block = active_block("embedded_gaussian", **OPTIONS[options])
    model = keras.Model(inputs, block(**inputs))
    harness.randomise(block)
    model.export(tmp_path / "saved", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(tmp_path / "saved")
    )
    lite = tf.lite.Interpreter(model_content=converter.convert())
    outputs = lite.get_signature_runner()(**arrays)
    (y,) = outputs.values()
    expected = array(model(arrays))
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    assert np.abs(expected - arrays["x"]).max() > 0.1


@tensorflow_only
def test_training_with_xla_and_mixed_precision():
    inputs = keras.Input((4, 5, 3, 6))
    block = NonLocalBlock(subsample=2, gamma_init=1.0, dtype="mixed_bfloat16")
    model = keras.Model(inputs, keras.layers.Flatten()(block(inputs)))
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=True)
    x = normal(CLIPS)
    losses = [model.train_on_batch(x, 0.0 * x.reshape(2, -1)) for _ in range(3)]
    assert losses[0] > losses[1] > losses[2]


@keras.saving.register_keras_serializable("tests")
class MaskedNet(keras.Model):
    """Layers before and after a block, and a mask that is an input."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = keras.layers.Dense(6)
        self.block = NonLocalBlock(gamma_init=1.0)
        self.head = keras.layers.Dense(3)

    def call(self, inputs):
        x, mask = inputs
        return self.head(self.block(self.conv(x), mask=mask))


def test_subclassed_model_with_a_mask_is_saved_and_loaded(tmp_path):
    # Keras builds the loaded model for inputs of float32, the mask too.
    x, mask = normal((2, 5, 4)), np.arange(5) < np.array([[5], [3]])
    model = MaskedNet()
    expected = array(model([x, mask]))
    model.save(tmp_path / "net.keras")
    loaded = keras.models.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(array(loaded([x, mask])), expected)


@tensorflow_only
def test_subclassed_model_with_a_mask_is_exported(tmp_path):
    x, mask = normal((2, 5, 4)), np.arange(5) < np.array([[5], [3]])
    model = MaskedNet()
    expected = array(model([x, mask]))
    model.export(tmp_path / "served", verbose=False)
    served = keras.layers.TFSMLayer(tmp_path / "served", "serve")
    y = served([x, mask.astype("float32")])
    # The same float32 products in a graph.
    np.testing.assert_allclose(array(y), expected, rtol=1e-5, atol=1e-5)
