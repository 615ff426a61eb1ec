import keras
import numpy as np
import pytest

from nonlocal_tf import ops
from nonlocal_tf.ops import _softmax
from tests.harness import normal
from tests.ops.loops import gaussian_f, nonlocal_loop


def inputs(dtype="float64"):
    """theta (2, 7, 3), phi (2, 5, 3), g (2, 5, 11)."""
    return (
        normal((2, 7, 3), 1, dtype),
        normal((2, 5, 3), 2, dtype),
        normal((2, 5, 11), 3, dtype),
    )


@pytest.mark.parametrize("scale", [1.0, 0.37])
def test_equals_the_double_loop(scale):
    theta, phi, g = inputs()
    expected = [
        nonlocal_loop(gaussian_f(t, p, scale), v, normalise_by_sum=True)
        for t, p, v in zip(theta, phi, g, strict=True)
    ]
    # float32 on both backends: 24 bits over sums of at most 5 terms.
    y = keras.ops.convert_to_numpy(
        ops.softmax(*(x.astype("float32") for x in (theta, phi, g)), scale)
    )
    np.testing.assert_allclose(y, expected, rtol=2e-6, atol=2e-6)


def test_rows_of_the_affinity_sum_to_one():
    theta, phi, _ = inputs("float32")
    weights = keras.ops.convert_to_numpy(ops.softmax_affinity(theta, phi))
    assert weights.shape == (2, 7, 5)
    np.testing.assert_allclose(weights.sum(-1), 1.0, rtol=1e-6)


def test_is_the_affinity_times_g():
    theta, phi, g = inputs("float32")
    weights = keras.ops.convert_to_numpy(ops.softmax_affinity(theta, phi, 0.5))
    y = keras.ops.convert_to_numpy(ops.softmax(theta, phi, g, 0.5))
    # Two orders of the same float32 sum.
    np.testing.assert_allclose(y, weights @ g, rtol=1e-5, atol=1e-6)


def test_large_logits_do_not_overflow():
    theta = np.full((1, 3, 2), 200.0, "float16")
    phi = np.array([[[300.0, 300.0], [-300.0, -300.0]]], "float16")
    g = np.array([[[1.0], [9.0]]], "float16")
    y = keras.ops.convert_to_numpy(ops.softmax(theta, phi, g))
    np.testing.assert_array_equal(y, np.ones((1, 3, 1)))


def test_half_precision_gives_half_precision_of_a_float32_result():
    theta, phi, g = inputs("float32")
    half = [x.astype("float16") for x in (theta, phi, g)]
    y = keras.ops.convert_to_numpy(ops.softmax(*half))
    assert y.dtype == np.float16
    wide = ops.softmax(*(x.astype("float32") for x in half))
    np.testing.assert_array_equal(
        y, keras.ops.convert_to_numpy(wide).astype("float16")
    )


def cudnn(monkeypatch, refuses=False):
    """Lets Keras say that there is a GPU, and records what it is asked."""
    calls = []
    plain = keras.ops.dot_product_attention

    def attention(*args, flash_attention, **options):
        calls.append((flash_attention, [tuple(x.shape) for x in args]))
        if refuses:
            raise RuntimeError("Require at least Ampere arch to run")
        return plain(*args, flash_attention=False, **options)

    monkeypatch.setattr(keras.ops, "dot_product_attention", attention)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["gpu:0"])
    _softmax._flash_works.cache_clear()
    return calls


def flash_inputs(dtype="bfloat16", d=8, c=8):
    return [
        keras.ops.cast(normal((2, n, w), seed), dtype)
        for seed, (n, w) in enumerate(((7, d), (5, d), (5, c)))
    ]


def test_the_fused_kernel_is_asked_with_one_head_and_the_scale(monkeypatch):
    calls = cudnn(monkeypatch)
    arrays = flash_inputs()
    y = ops.softmax(*arrays, scale=0.37)
    assert calls[-1] == (True, [(2, 7, 1, 8), (2, 5, 1, 8), (2, 5, 1, 8)])
    expected = ops.softmax(*arrays, scale=0.37, method="plain")
    difference = keras.ops.convert_to_numpy(
        keras.ops.cast(y, "float32") - keras.ops.cast(expected, "float32")
    )
    # Keras' own path rounds logits and weights to bfloat16's 8 bits.
    assert np.abs(difference).max() < 0.05


def test_a_gpu_without_the_fused_kernel_is_no_error(monkeypatch):
    cudnn(monkeypatch, refuses=True)
    arrays = flash_inputs()
    y = ops.softmax(*arrays)
    expected = ops.softmax(*arrays, method="plain")
    np.testing.assert_array_equal(
        *(
            keras.ops.convert_to_numpy(keras.ops.cast(x, "float32"))
            for x in (y, expected)
        )
    )


@pytest.mark.parametrize(
    "options", [{"dtype": "float32"}, {"d": 136, "c": 136}, {"d": 4}, {"c": 3}]
)
def test_the_fused_kernel_is_left_where_it_is_not_exact(monkeypatch, options):
    calls = cudnn(monkeypatch)
    ops.softmax(*flash_inputs(**options))
    assert not calls


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_without_a_gpu_there_is_no_fused_kernel(dtype):
    arrays = flash_inputs(dtype)
    y, expected = (
        keras.ops.convert_to_numpy(keras.ops.cast(x, "float32"))
        for x in (ops.softmax(*arrays), ops.softmax(*arrays, method="plain"))
    )
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("method", ["plain", "chunked"])
def test_a_batch_of_none_gives_none(method):
    theta, phi, g = (np.zeros((0, n, 3), "float32") for n in (7, 5, 5))
    assert tuple(ops.softmax(theta, phi, g, method=method).shape) == (0, 7, 3)


def test_asking_for_the_fused_kernel_without_a_gpu_is_refused():
    with pytest.raises(ValueError, match="Keras on JAX with an NVIDIA GPU"):
        ops.softmax(*flash_inputs(), method="flash")


@pytest.mark.parametrize(
    ("batch", "n", "m", "rows"),
    [
        (1, 3136, 3136, 784),  # 2.5 million / 3136 = 797, four equal chunks
        (1, 50176, 50176, 196),  # no fewer
        (1, 9408, 100, 1568),  # no more
        (1, 30, 100, 30),
        (8, 3136, 3136, 98),  # eight examples share 10 MB
        (64, 50176, 50176, 32),
    ],
)
def test_chunk_rows(batch, n, m, rows):
    theta, phi = (
        keras.KerasTensor((batch, size, 4), dtype="float32") for size in (n, m)
    )
    assert _softmax.chunk_rows(theta, phi) == rows


def test_small_matrices_are_made_whole():
    theta, phi, g = (keras.KerasTensor((1, n, 4)) for n in (1500, 1600, 1600))
    assert _softmax.choose_method(theta, phi, g) == "plain"
    assert _softmax.choose_method(phi, phi, g) == "chunked"


@pytest.mark.parametrize("method", ["plain", "chunked"])
def test_rows_of_very_negative_logits_are_uniform(method):
    theta = np.full((1, 3, 2), -3e4, "float16")
    phi = np.full((1, 5, 2), 3e4, "float16")
    g = normal((1, 5, 4)).astype("float16")
    y = keras.ops.convert_to_numpy(ops.softmax(theta, phi, g, method=method))
    expected = np.tile(g.astype("float64").mean(1, keepdims=True), (1, 3, 1))
    np.testing.assert_allclose(y, expected, rtol=2.0**-10, atol=2.0**-12)
