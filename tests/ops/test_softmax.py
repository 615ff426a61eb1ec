import keras
import numpy as np
import pytest

from nonlocal_tf import ops
from nonlocal_tf.layers import pairwise
from nonlocal_tf.ops import _chunked_softmax, _softmax
from tests.harness import normal


def inputs():
    """Random theta (2, 7, 3), phi (2, 5, 3), g (2, 5, 11)."""
    return normal((2, 7, 3), 1), normal((2, 5, 3), 2), normal((2, 5, 11), 3)


def test_rows_of_the_affinity_sum_to_one():
    theta, phi, _ = inputs()
    weights = keras.ops.convert_to_numpy(ops.softmax_affinity(theta, phi))
    assert weights.shape == (2, 7, 5)
    np.testing.assert_allclose(weights.sum(-1), 1.0, rtol=1e-6)


def test_affinity_times_g_is_the_output():
    theta, phi, g = inputs()
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


def mock_cudnn(monkeypatch, raises=False):
    """Make Keras report a GPU, and record the calls of its attention."""
    calls = []
    plain = keras.ops.dot_product_attention

    def attention(*args, flash_attention, **options):
        calls.append((flash_attention, [tuple(x.shape) for x in args]))
        if raises:
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


@pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="its dtypes are not JAX's"
)
def test_flash_has_one_head_and_the_scale(monkeypatch):
    calls = mock_cudnn(monkeypatch)
    arrays = flash_inputs()
    y = ops.softmax(*arrays, scale=0.37)
    assert calls[-1] == (True, [(2, 7, 1, 8), (2, 5, 1, 8), (2, 5, 1, 8)])
    expected = ops.softmax(*arrays, scale=0.37, method="plain")
    difference = keras.ops.convert_to_numpy(
        keras.ops.cast(y, "float32") - keras.ops.cast(expected, "float32")
    )
    # Keras rounds logits and weights to bfloat16, 8 bits.
    assert np.abs(difference).max() < 0.05


def test_auto_is_plain_on_a_gpu_without_flash(monkeypatch):
    mock_cudnn(monkeypatch, raises=True)
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
def test_auto_does_not_choose_flash_where_unsupported(monkeypatch, options):
    calls = mock_cudnn(monkeypatch)
    ops.softmax(*flash_inputs(**options))
    assert not calls


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_auto_is_plain_without_a_gpu(dtype):
    arrays = flash_inputs(dtype)
    y, expected = (
        keras.ops.convert_to_numpy(keras.ops.cast(x, "float32"))
        for x in (ops.softmax(*arrays), ops.softmax(*arrays, method="plain"))
    )
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("method", ["plain", "stored", "chunked"])
def test_empty_batch(method):
    theta, phi, g = (np.zeros((0, n, 3), "float32") for n in (7, 5, 5))
    assert tuple(ops.softmax(theta, phi, g, method=method).shape) == (0, 7, 3)


def test_flash_without_a_gpu_is_an_error():
    with pytest.raises(ValueError, match="Keras on JAX with an NVIDIA GPU"):
        ops.softmax(*flash_inputs(), method="flash")


@pytest.mark.parametrize(
    ("batch", "n", "m", "rows"),
    [
        (1, 3136, 3136, 784),  # 2.5 million / 3136 = 797, in four equal chunks
        (1, 50176, 50176, 196),  # the minimum
        (1, 9408, 100, 1568),  # the maximum
        (1, 30, 100, 30),
        (8, 3136, 3136, 98),  # eight examples share a chunk
        (64, 50176, 50176, 32),
    ],
)
def test_chunk_rows(batch, n, m, rows):
    assert _chunked_softmax.chunk_rows(batch, n, m) == rows


on_jax = keras.backend.backend() == "jax"
not_on_jax = pytest.mark.skipif(on_jax, reason="XLA's chunks are faster")


def chosen(batch, n, m, dtype="float32", **options):
    """Method of "auto" for these sizes."""
    theta, phi = (keras.KerasTensor((batch, size, 4), dtype) for size in (n, m))
    choices = _softmax.method_choices(theta, phi, **options)
    return next(method for method, holds in choices if holds)


@not_on_jax
@pytest.mark.parametrize(
    ("batch", "n", "m", "method"),
    [
        (1, 784, 784, "plain"),
        (8, 784, 784, "plain"),
        (8, 3136, 784, "plain"),  # 3 x 79 MB of 256
        (9, 3136, 784, "stored"),  # 3 x 89 MB
        (27, 3136, 784, "chunked"),  # 266 MB
        (1, 1500, 1600, "plain"),  # 2.4 million affinities
        (1, 1600, 1600, "stored"),  # 2.6 million
        (1, 3136, 3136, "stored"),
        (2, 3136, 3136, "stored"),  # 79 MB
        (8, 3136, 3136, "chunked"),  # 315 MB
        (1, 12544, 3136, "stored"),  # 157 MB
        (2, 12544, 3136, "chunked"),
        (1, 50176, 50176, "chunked"),
    ],
)
def test_auto_takes_the_fastest_form_that_fits_the_budget(batch, n, m, method):
    assert chosen(batch, n, m) == method


@pytest.mark.skipif(not on_jax, reason="JAX's choice")
def test_auto_on_jax_takes_chunks_earlier():
    assert chosen(26, 3136, 784) == "stored"
    assert chosen(27, 3136, 784) == "chunked"  # 266 MB
    assert chosen(1, 1600, 1600) == "chunked"


@not_on_jax
def test_float64_takes_twice_the_memory():
    assert chosen(5, 3136, 3136) == "stored"  # 197 MB
    assert chosen(5, 3136, 3136, "float64") == "chunked"


@not_on_jax
@pytest.mark.parametrize(
    ("budget_mb", "method"),
    [
        (30, "plain"),
        (29, "stored"),
        (9.9, "stored"),
        (9, "chunked"),
        (0, "chunked"),
    ],
)
def test_budget(budget_mb, method):
    # 9.83 MB for one matrix.
    assert chosen(1, 3136, 784, budget_mb=budget_mb) == method


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="others know all sizes"
)
def test_fit_compiles_a_graph_that_chooses(monkeypatch):
    """Test XLA, which Keras takes by itself; it needs constant sizes."""
    monkeypatch.setattr(_softmax, "USUAL_BATCH", 10**9)
    x = keras.Input((6, 4))
    y = keras.layers.Dense(4)(x)
    y = pairwise.EmbeddedGaussian()(y, y, y)
    model = keras.Model(x, y)
    model.compile("sgd", "mse", jit_compile=True)
    history = model.fit(
        normal((5, 6, 4)), normal((5, 6, 4), 1), batch_size=2, verbose=0
    )
    assert np.isfinite(history.history["loss"]).all()


@not_on_jax
def test_graphs_of_small_matrices_take_plain_for_any_batch():
    # 1000 x 333 affinities: three matrices of a batch of 64 are 255.7 MB.
    assert chosen(None, 1000, 333, training=True) == "plain"


@not_on_jax
@pytest.mark.parametrize("training", [None, False])
def test_graphs_that_may_be_exported_do_not_choose(training):
    assert chosen(None, 1500, 1600, training=training) == "plain"
    assert chosen(None, 1600, 1600, training=training) == "chunked"
    assert chosen(1, None, 5, training=training) == "chunked"


@pytest.mark.parametrize("batch", [1, 8])
def test_inference_stores_no_large_matrix(batch):
    assert chosen(batch, 1500, 1600, training=False) == "plain"
    assert chosen(batch, 1600, 1600, training=False) == "chunked"


@pytest.mark.parametrize("budget_mb", [-1, float("nan"), "256", True, None])
def test_budget_of_no_megabytes_is_an_error(budget_mb):
    with pytest.raises(ValueError, match="`budget_mb` to be a number of MB"):
        ops.softmax(*inputs(), budget_mb=budget_mb)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="others know all sizes"
)
@pytest.mark.parametrize("n", [None, 6])
def test_a_graph_of_unknown_sizes_chooses_when_it_runs(monkeypatch, n):
    """Test the form that ran by its output: 1 for stored, 2 for chunked."""
    import tensorflow as tf

    forms = {"stored": 1.0, "chunked": 2.0}
    for name, value in forms.items():

        def form(theta, phi, g, mask, steps, value=value):
            return tf.ones_like(theta) * value

        monkeypatch.setattr(_softmax, name, form)
    monkeypatch.setattr(_softmax, "CHUNK_ELEMENTS", 30)
    x = tf.zeros((1, 6, 4))
    run = tf.function(
        lambda x: ops.softmax(
            x, x, x, budget_mb=3.5 * 6 * 6 * 4e-6, training=True
        ),
        input_signature=[tf.TensorSpec((None, n, 4))],
    )
    assert run(x)[0, 0, 0] == 1
    assert run(tf.repeat(x, 3, 0))[0, 0, 0] == 1
    assert run(tf.repeat(x, 4, 0))[0, 0, 0] == 2


@pytest.mark.parametrize("method", ["plain", "stored", "chunked"])
def test_very_negative_logits_give_uniform_weights(method):
    theta = np.full((1, 3, 2), -3e4, "float16")
    phi = np.full((1, 5, 2), 3e4, "float16")
    g = normal((1, 5, 4)).astype("float16")
    y = keras.ops.convert_to_numpy(ops.softmax(theta, phi, g, method=method))
    expected = np.tile(g.astype("float64").mean(1, keepdims=True), (1, 3, 1))
    np.testing.assert_allclose(y, expected, rtol=2.0**-10, atol=2.0**-12)
