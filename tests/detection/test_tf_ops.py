"""What only TensorFlow has, beside torchvision's C++ operators."""

import numpy as np
import pytest
import tensorflow as tf

from nonlocal_tf.detection import roi_align, tf_ops
from tests.detection import golden
from tests.detection.test_roi_align import (
    CASES,
    CLOSE,
    as_batch,
    of_boxes,
    pyramid,
)

FORMS = {"gathered": roi_align.roi_align, "fused": tf_ops.roi_align}
# Sums of up to 200 terms in another order; gradients are up to 20.
CLOSE_GRADIENT = {"rtol": 0, "atol": 1e-4}


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_fused_values_are_torchvisions(name, aligned):
    case = golden.group("roi_align", name)
    maps, found, places = as_batch(case)
    scale = [float(case["spatial_scale"])]
    y = tf_ops.roi_align([maps], found, scale, 7, aligned=aligned)
    expected = case[f"out_aligned{aligned:d}_s2_7"]
    # Corners are scaled to the map and back: 6e-5 of maps up to 4 was seen.
    np.testing.assert_allclose(of_boxes(y, places), expected, rtol=0, atol=6e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_gradients_are_torchvisions(name, aligned, form):
    case = golden.group("roi_align", name)
    maps, found, places = as_batch(case)
    maps = tf.constant(maps)
    scale = [float(case["spatial_scale"])]
    with tf.GradientTape() as tape:
        tape.watch(maps)
        y = FORMS[form]([maps], found, scale, 7, aligned=aligned)
        y = tf.gather_nd(y, np.stack(places, -1))
        seed = np.moveaxis(case["grad_seed_7"], 1, -1)
        value = tf.reduce_sum(y * seed)
    got = np.moveaxis(tape.gradient(value, maps), -1, 1)
    expected = case[f"grad_features_aligned{aligned:d}_s2_7"]
    np.testing.assert_allclose(got, expected, **CLOSE_GRADIENT)


def test_fused_values_of_a_pyramid_are_torchvisions():
    case, maps, found = pyramid()
    y = tf_ops.roi_align(maps, found, case["scales"].tolist(), 7)
    y = np.moveaxis(np.reshape(y, (-1, 7, 7, 8)), -1, 1)
    np.testing.assert_allclose(y, case["out_7"], rtol=0, atol=6e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_gradients_of_half_precision_lose_nothing(dtype):
    """Many boxes read the same cells: a sum in halves would stand still."""
    boxes = tf.tile(tf.constant([[[0.0, 0, 8, 8]]]), [1, 500, 1])
    values = tf.random.stateless_normal((1, 8, 9, 3), (1, 2))

    def gradient(maps):
        with tf.GradientTape() as tape:
            tape.watch(maps)
            y = tf_ops.roi_align([maps], boxes, [1.0], 2)
            total = tf.reduce_sum(tf.cast(y, tf.float32))
        return tf.cast(tape.gradient(total, maps), tf.float32).numpy()

    got = gradient(tf.cast(values, dtype))
    expected = gradient(values)
    epsilon = {"bfloat16": 2.0**-8, "float16": 2.0**-11}[dtype]
    # Rounded once, at the end.
    np.testing.assert_allclose(got, expected, rtol=1.01 * epsilon, atol=1e-3)
    assert expected.sum() == pytest.approx(500 * 4 * 3, rel=1e-4)


def test_gathered_samples_compile_under_xla():
    case, maps, found = pyramid()
    scales = case["scales"].tolist()
    compiled = tf.function(
        lambda *maps: roi_align.roi_align(maps, found, scales, 7),
        jit_compile=True,
    )
    y = np.moveaxis(np.reshape(compiled(*maps), (-1, 7, 7, 8)), -1, 1)
    np.testing.assert_allclose(y, case["out_7"], **CLOSE)


@pytest.mark.parametrize("per_cent", [30, 50, 70])
def test_suppression_keeps_what_torchvisions_does(per_cent):
    stored = golden.group("boxes", "nms")
    places, count = tf_ops.nms(
        stored["boxes"], stored["scores"], per_cent / 100, 120
    )
    expected = stored[f"keep_{per_cent}"]
    np.testing.assert_array_equal(places[:count], expected)


def test_of_equal_scores_the_first_is_kept():
    stored = golden.group("boxes", "nms_ties")
    places, count = tf_ops.nms(stored["boxes"], stored["scores"], 0.5, 30)
    np.testing.assert_array_equal(places[:count], stored["keep_50"])


def test_suppression_compiles_under_xla():
    stored = golden.group("boxes", "nms")
    compiled = tf.function(
        lambda b, s: tf_ops.nms(b, s, 0.5, 120), jit_compile=True
    )
    places, count = compiled(stored["boxes"], stored["scores"])
    np.testing.assert_array_equal(places[: int(count)], stored["keep_50"])
