"""The three ROIAligns, compared with torchvision's C++ operator."""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from nonlocal_tf.detection import roi_align
from tests.detection import golden, roi_align_cases

CASES = roi_align_cases.CASES
FUNCTIONS = {
    "gathered": roi_align.roi_align,
    "fused": roi_align.roi_align_fused,
}
# Of maps up to 4: sums of eight products in another order; the fused one also
# scales corners to the map and back.
TOLERANCES = {
    "gathered": {"rtol": 0, "atol": 4e-5},
    "fused": {"rtol": 0, "atol": 1.2e-4},
}
# Sums of up to 200 terms in another order; gradients are up to 20.
GRADIENT_TOLERANCE = {"rtol": 0, "atol": 1e-4}


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_values_equal_torchvision(name, aligned, function):
    case, maps, boxes, index = roi_align_cases.single_map(name)
    scale = [float(case["spatial_scale"])]
    y = FUNCTIONS[function]([maps], boxes, scale, 7, aligned=aligned)
    expected = golden.channels_last(case[f"out_aligned{aligned:d}_s2_7"])
    np.testing.assert_allclose(
        np.asarray(y)[index], expected, **TOLERANCES[function]
    )


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_gradients_equal_torchvision(name, aligned, function):
    case, maps, boxes, index = roi_align_cases.single_map(name)
    maps = tf.constant(maps)
    scale = [float(case["spatial_scale"])]
    with tf.GradientTape() as tape:
        tape.watch(maps)
        y = FUNCTIONS[function]([maps], boxes, scale, 7, aligned=aligned)
        y = tf.gather_nd(y, np.stack(index, -1))
        total = tf.reduce_sum(y * golden.channels_last(case["grad_seed_7"]))
    gradient = np.moveaxis(tape.gradient(total, maps), -1, 1)
    expected = case[f"grad_features_aligned{aligned:d}_s2_7"]
    np.testing.assert_allclose(gradient, expected, **GRADIENT_TOLERANCE)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("name", ["case0", "case1"])
def test_dense_values_equal_torchvisions_adaptive_ones(name, aligned):
    case = golden.group("roi_align", name)
    maps = golden.channels_last(case["features"])[case["batch_index"]]
    boxes = case["boxes"] * case["spatial_scale"]
    max_samples = int(np.ceil(np.abs(boxes).max() / 7)) + 1
    y = roi_align.roi_align_dense(maps, boxes, 7, max_samples, aligned)
    expected = golden.channels_last(case[f"out_aligned{aligned:d}_adaptive_7"])
    np.testing.assert_allclose(y, expected, **TOLERANCES["gathered"])


@pytest.mark.parametrize("function", FUNCTIONS)
def test_values_of_a_pyramid_equal_torchvision(function):
    case, maps, boxes = roi_align_cases.pyramid()
    y = FUNCTIONS[function](maps, boxes, case["scales"].tolist(), 7)
    expected = golden.channels_last(case["out_7"])
    np.testing.assert_allclose(
        np.reshape(y, expected.shape), expected, **TOLERANCES[function]
    )


def test_gathered_samples_compile_under_xla():
    case, maps, boxes = roi_align_cases.pyramid()
    scales = case["scales"].tolist()
    compiled = tf.function(
        lambda *maps: roi_align.roi_align(maps, boxes, scales, 7),
        jit_compile=True,
    )
    expected = golden.channels_last(case["out_7"])
    np.testing.assert_allclose(
        np.reshape(compiled(*maps), expected.shape),
        expected,
        **TOLERANCES["gathered"],
    )


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_gradients_of_half_precision_are_summed_in_float32(dtype):
    """500 boxes read the same cells: a sum in halves would stop growing."""
    boxes = tf.tile(tf.constant([[[0.0, 0, 8, 8]]]), [1, 500, 1])
    values = tf.random.stateless_normal((1, 8, 9, 3), (1, 2))

    def gradient(maps):
        with tf.GradientTape() as tape:
            tape.watch(maps)
            y = roi_align.roi_align_fused([maps], boxes, [1.0], 2)
            total = tf.reduce_sum(tf.cast(y, tf.float32))
        return tf.cast(tape.gradient(total, maps), tf.float32).numpy()

    actual = gradient(tf.cast(values, dtype))
    expected = gradient(values)
    epsilon = {"bfloat16": 2.0**-8, "float16": 2.0**-11}[dtype]
    # Rounded once, after the sum.
    np.testing.assert_allclose(actual, expected, rtol=1.01 * epsilon, atol=1e-3)
    assert expected.sum() == pytest.approx(500 * 4 * 3, rel=1e-4)


def test_levels_equal_torchvision():
    stored = golden.group("boxes", "levels")
    actual = roi_align.levels(stored["boxes"])
    np.testing.assert_array_equal(actual, stored["level"])


def test_levels_of_a_pyramid_equal_torchvision():
    case, _, boxes = roi_align_cases.pyramid()
    actual = np.reshape(roi_align.levels(boxes), -1)
    np.testing.assert_array_equal(actual, case["levels"])


def test_a_box_without_area_is_on_the_finest_level():
    assert int(roi_align.levels(np.zeros((1, 4), "float32"))[0]) == 2


def test_no_boxes_have_no_features():
    empty = np.zeros((2, 0, 4), "float32")
    y = roi_align.roi_align([ops.ones((2, 3, 5, 7))], empty, [0.25], 3)
    assert y.shape == (2, 0, 3, 3, 7)
