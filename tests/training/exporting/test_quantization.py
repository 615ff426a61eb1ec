"""Quantized weights and their errors."""

import keras
import numpy as np
import pytest

from training.exporting import quantization
from training.exporting.saved_model import SavedModel
from training.io.user_error import UserError
from training.runs.run_folder import RunFolder
from training.tasks import video_export


def variable(*shape, seed=0):
    values = np.random.default_rng(seed).normal(size=shape) * [1, 9, 0.01]
    return keras.Variable(values.astype("float32"))


def test_float32_is_unchanged():
    original = variable(2, 5, 3)
    (stored,) = quantization.quantize([original], "float32")
    np.testing.assert_array_equal(stored.value(), original)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_kernel_error_is_at_most_half_a_quantization_step(dtype):
    original = variable(7, 5, 3)
    (stored,) = quantization.quantize([original], dtype)
    value = np.asarray(original)
    # bfloat16 has 8 significant bits; int8 has 254 steps per channel.
    steps = {
        "bfloat16": np.abs(value) * 2.0**-8,
        "int8": np.abs(value).max((0, 1)) / 127 / 2,
    }
    error = np.abs(stored.value().numpy() - value)
    assert (error <= steps[dtype] * 1.001).all() and error.max() > 0
    assert stored.kept.dtype == dtype


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_biases_stay_float32(dtype):
    original = variable(3)
    (stored,) = quantization.quantize([original], dtype)
    np.testing.assert_array_equal(stored.value(), original)


def test_zero_channel_stays_zero():
    original = keras.Variable(np.zeros((2, 3), "float32"))
    (stored,) = quantization.quantize([original], "int8")
    np.testing.assert_array_equal(stored.value(), np.zeros((2, 3)))


def test_unknown_dtype_suggests_the_nearest():
    with pytest.raises(UserError, match="Did you mean 'bfloat16'"):
        quantization.quantize([], "bfloat61")


def test_function_uses_the_stored_values():
    original = variable(7, 5, 3)
    kept = quantization.quantize([original], "int8")
    got = quantization.with_stored_values(kept, lambda: original + 0.0)()
    np.testing.assert_array_equal(got, kept[0].value())


@pytest.mark.parametrize(
    ("dtype", "share"),
    [pytest.param("bfloat16", 0.55, marks=pytest.mark.full), ("int8", 0.3)],
)
def test_quantized_export_is_smaller_with_similar_outputs(
    tiny, tmp_path, dtype, share
):
    path = video_export.export_run(RunFolder(tiny[0]), tmp_path, dtype)
    whole, less = (_bytes_of_weights(v) for v in (tiny[1], path))
    assert less < share * whole
    clips = np.random.default_rng(0).integers(
        0, 256, (2, 8, 32, 32, 3), "uint8"
    )
    of_whole, of_less = (
        SavedModel(v).run("serving_default", clips=clips)["logits"]
        for v in (tiny[1], path)
    )
    difference = np.abs(of_whole - of_less).max()
    assert 0 < difference < 0.1 * np.ptp(of_whole)


def _bytes_of_weights(version):
    (data,) = (version / "variables").glob("*.data*")
    return data.stat().st_size
