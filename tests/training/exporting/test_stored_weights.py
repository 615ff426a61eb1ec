"""Weights in less space, and how far off they then are."""

import keras
import numpy as np
import pytest

from training import export
from training.exporting import stored_weights
from training.exporting.saved_model import SavedModel
from training.io.user_error import UserError
from training.runs.run_folder import RunFolder


def variable(*shape, seed=0):
    values = np.random.default_rng(seed).normal(size=shape) * [1, 9, 0.01]
    return keras.Variable(values.astype("float32"))


def test_float32_is_kept_as_it_is():
    given = variable(2, 5, 3)
    (stored,) = stored_weights.keep([given], "float32")
    np.testing.assert_array_equal(stored.value(), given)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_a_kernel_is_within_half_a_step_of_its_dtype(dtype):
    given = variable(7, 5, 3)
    (stored,) = stored_weights.keep([given], dtype)
    value = np.asarray(given)
    # bfloat16 has 8 bits of a number; a byte 254 steps for each channel.
    steps = {
        "bfloat16": np.abs(value) * 2.0**-8,
        "int8": np.abs(value).max((0, 1)) / 127 / 2,
    }
    error = np.abs(stored.value().numpy() - value)
    assert (error <= steps[dtype] * 1.001).all() and error.max() > 0
    assert stored.kept.dtype == dtype


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_biases_are_kept_in_full(dtype):
    given = variable(3)
    (stored,) = stored_weights.keep([given], dtype)
    np.testing.assert_array_equal(stored.value(), given)


def test_a_channel_of_zeros_stays_zero():
    given = keras.Variable(np.zeros((2, 3), "float32"))
    (stored,) = stored_weights.keep([given], "int8")
    np.testing.assert_array_equal(stored.value(), np.zeros((2, 3)))


def test_an_unknown_dtype_names_the_nearest():
    with pytest.raises(UserError, match="Did you mean 'bfloat16'"):
        stored_weights.keep([], "bfloat61")


def test_a_function_uses_the_values_that_are_kept():
    given = variable(7, 5, 3)
    kept = stored_weights.keep([given], "int8")
    got = stored_weights.using(kept, lambda: given + 0.0)()
    np.testing.assert_array_equal(got, kept[0].value())


@pytest.mark.parametrize(
    ("dtype", "share"),
    [pytest.param("bfloat16", 0.55, marks=pytest.mark.slow), ("int8", 0.3)],
)
def test_an_export_takes_less_space_and_answers_nearly_the_same(
    tiny, tmp_path, dtype, share
):
    path = export.export_run(RunFolder(tiny[0]), tmp_path, dtype)
    whole, less = (_bytes_of_weights(v) for v in (tiny[1], path))
    assert less < share * whole
    clips = np.random.default_rng(0).integers(
        0, 256, (2, 8, 32, 32, 3), "uint8"
    )
    of_whole, of_less = (
        SavedModel(v).ask("serving_default", clips=clips)["logits"]
        for v in (tiny[1], path)
    )
    difference = np.abs(of_whole - of_less).max()
    assert 0 < difference < 0.1 * np.ptp(of_whole)


def _bytes_of_weights(version):
    (data,) = (version / "variables").glob("*.data*")
    return data.stat().st_size
