import math
import re

import keras
import numpy as np
import pytest

from nonlocal_tf import models
from nonlocal_tf.models import registry
from tests import harness
from tests.layers.blocks import full_on_jax, tensorflow_only
from tests.models.tiny import tiny, without_weights

# Keras' count of trainable parameters of each registered model.
TRAINABLE = {
    "c2d_local_nl1_small": 34_986,
    "c2d_local_nl2_small": 43_466,
    "c2d_local_nl4_small": 52_530,
    "c2d_local_small": 32_794,
    "c2d_nl10_r101": 58_036_688,
    "c2d_nl10_r50": 39_044_560,
    "c2d_nl1_r101": 45_421_520,
    "c2d_nl1_r50": 26_429_392,
    "c2d_nl1_small": 112_138,
    "c2d_nl2_small": 120_618,
    "c2d_nl3_small": 121_202,
    "c2d_nl5_r101": 50_678_224,
    "c2d_nl5_r50": 31_686_096,
    "c2d_r101": 43_319_760,
    "c2d_r50": 24_327_632,
    "c2d_small": 109_946,
    "i3d_local_nl1_small": 81_066,
    "i3d_local_nl2_small": 89_546,
    "i3d_local_nl4_small": 98_610,
    "i3d_local_small": 78_874,
    "i3d_nl10_r101": 66_471_120,
    "i3d_nl10_r50": 42_760_400,
    "i3d_nl1_r101": 53_855_952,
    "i3d_nl1_r50": 30_145_232,
    "i3d_nl1_small": 159_082,
    "i3d_nl2_small": 167_562,
    "i3d_nl3_small": 168_146,
    "i3d_nl5_r101": 59_112_656,
    "i3d_nl5_r50": 35_401_936,
    "i3d_r101": 51_754_192,
    "i3d_r50": 28_043_472,
    "i3d_small": 156_890,
    "i3d_strided_nl1_small": 239_098,
    "i3d_strided_small": 230_618,
    "image_r101": 44_549_160,
    "image_r50": 25_557_032,
    "image_small": 113_196,
}
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
# JAX compiles each operation of each shape: there one small and one large.
RESNET = re.compile(r"\w+_r\d+")  # named after a depth
SMALL = [
    name
    for name in models.list_models()
    if not RESNET.fullmatch(name) and (ON_TENSORFLOW or name == "c2d_nl1_small")
]
# Networks with more or fewer blocks than one of the slow tests.
FULL_SMALL = r"(c2d|i3d)(_nl[23])?_small|[ci][23]d_local_nl[24]_small"
# Networks with more or fewer blocks than one of the default tests.
SLOW_SMALL = r"(i3d_strided|[ci][23]d_local)_small"
LARGE = [
    name
    for name in models.list_models()
    if RESNET.fullmatch(name) and (ON_TENSORFLOW or name == "c2d_nl1_r50")
]


def marked(names, default, slow=""):
    """Mark networks as slow or full, but those that match `default`.

    They have more or fewer of the same blocks.
    """
    cases = []
    for name in names:
        marks = [pytest.mark.full]
        if re.fullmatch(slow, name):
            marks = [pytest.mark.slow]
        if re.fullmatch(default, name):
            marks = []
        cases.append(pytest.param(name, marks=marks))
    return cases


def trainable(model):
    return sum(math.prod(w.shape) for w in model.trainable_weights)


@pytest.mark.parametrize(
    "name",
    [*SMALL, *marked(LARGE, "c2d_nl1_r50|image_r50", r".*_r50|.*_nl10_r101")],
)
def test_parameter_counts_are_pinned(name):
    with without_weights():
        assert trainable(models.create_model(name)) == TRAINABLE.get(name)


def test_every_model_has_a_pinned_count():
    models_of_table, registered = set(TRAINABLE), set(models.list_models())
    assert models_of_table == registered, "change the table TRAINABLE"


@tensorflow_only
@pytest.mark.parametrize("name", SMALL)
def test_layers_have_the_same_names_in_every_build(name):
    """Weights are carried over by the names of layers."""
    with without_weights():
        one, other = (models.create_model(name) for _ in range(2))
    names, others = ([x.name for x in m.layers] for m in (one, other))
    assert names == others, "give each layer a name in the builder"


def convolution_weights(kernels_t):
    """Count kernels, gammas and betas of the small networks by hand."""
    widths = [3, 16, 16, 32, 32, 64, 64, 64]
    return sum(
        kernel_t * 9 * fan_in * fan_out + 2 * fan_out
        for kernel_t, fan_in, fan_out in zip(
            kernels_t, widths, widths[1:], strict=False
        )
    )


def test_c2d_count_is_the_sum_of_its_layers():
    expected = convolution_weights([1] * 7) + 64 * 10 + 10
    assert TRAINABLE["c2d_small"] == expected


def test_i3d_count_is_the_sum_of_its_layers():
    expected = convolution_weights([3, 1, 3, 1, 3, 1, 1]) + 64 * 10 + 10
    assert TRAINABLE["i3d_small"] == expected


def test_strided_i3d_count_is_the_sum_of_its_layers():
    expected = convolution_weights([3, 1, 3, 1, 3, 1, 3]) + 64 * 10 + 10
    assert TRAINABLE["i3d_strided_small"] == expected
    block = 3 * (64 * 32 + 32) + (32 * 64 + 64) + 2 * 64
    assert TRAINABLE["i3d_strided_nl1_small"] == expected + block


def test_nonlocal_block_adds_four_projections_and_a_norm():
    block = 3 * (32 * 16 + 16) + (16 * 32 + 32) + 2 * 32
    assert TRAINABLE["c2d_nl1_small"] == TRAINABLE["c2d_small"] + block
    assert TRAINABLE["i3d_nl1_small"] == TRAINABLE["i3d_small"] + block


def test_local_counts_are_the_sums_of_their_layers():
    wide = 9 * 16 * 32, 9 * 32 * 64  # the kernels that I3D inflates
    kernels = 27 * 16 + sum(wide) + 2 * 64 * 64
    norms, logits = 2 * (16 + 32 + 3 * 64), 64 * 10 + 10
    assert TRAINABLE["c2d_local_small"] == kernels + norms + logits
    kernels += 2 * sum(wide)
    assert TRAINABLE["i3d_local_small"] == kernels + norms + logits


@pytest.mark.parametrize("backbone", ["c2d", "i3d"])
@pytest.mark.parametrize("depth", [50, 101])
@pytest.mark.parametrize(
    ("count", "at_res3", "at_res4"), [(1, 0, 1), (5, 2, 3), (10, 4, 6)]
)
def test_blocks_add_the_parameters_of_their_layers(
    backbone, depth, count, at_res3, at_res4
):
    added = sum(
        blocks * (3 * (c * c // 2 + c // 2) + (c // 2 * c + c) + 2 * c)
        for blocks, c in ((at_res3, 512), (at_res4, 1024))
    )
    plain = TRAINABLE[f"{backbone}_r{depth}"]
    assert TRAINABLE[f"{backbone}_nl{count}_r{depth}"] == plain + added


@full_on_jax
@pytest.mark.parametrize(
    "name",
    marked(SMALL, f"(?!({SLOW_SMALL}|{FULL_SMALL})$).*", SLOW_SMALL),
)
def test_small_networks_are_trained_and_saved(name, tmp_path):
    options = {"num_classes": 5}
    if "_nl" in name:
        options["nonlocal_block"] = {"gamma_init": 1.0}
    # These biases have no gradient: tests/layers/test_nonlocal_block.py.
    harness.check_model(
        models.create_model(name, **options),
        tmp_path,
        without_gradient=("out/bias", "g/bias", "phi/bias"),
    )


def active(name):
    """Build a narrow network in which every weight has a gradient."""
    options = {"zero_init_residual": False}
    if "_nl" in name:
        options["nonlocal_block"] = {"gamma_init": 1.0}
    return tiny(name, **options)


@tensorflow_only
@pytest.mark.parametrize(
    "name",
    marked(LARGE, "i3d_nl5_r50|image_r50", "c2d_nl5_r50|i3d_nl10_r101"),
)
def test_large_networks_have_finite_values_and_gradients(name):
    model = active(name)
    x = harness.normal((2, *model.input_shape[1:]))
    logits, *gradients = harness.logits_and_gradients(model, x)
    assert logits.shape == (2, 7)
    assert np.isfinite(logits).all()
    weights = model.trainable_weights
    for weight, gradient in zip(weights, gradients, strict=True):
        assert gradient.shape == tuple(weight.shape)
        assert np.isfinite(gradient).all(), weight.path
        # A normalization subtracts the bias before it.
        if not weight.path.endswith(("out/bias", "g/bias", "phi/bias")):
            assert np.abs(gradient).max() > 0, weight.path


@full_on_jax
@pytest.mark.parametrize("name", marked(LARGE, "i3d_nl5_r50"))
def test_large_networks_are_saved(name, tmp_path):
    model = active(name)
    harness.check_saving(
        model, harness.normal((2, *model.input_shape[1:])), tmp_path
    )


@tensorflow_only
@pytest.mark.parametrize("name", marked(LARGE, ""))
def test_large_networks_are_exported_with_unknown_sizes(name, tmp_path):
    is_image = name.startswith("image")
    shape = (64, 64, 3) if is_image else (8, 64, 64, 3)
    unknown = (*(None for _ in shape[1:]), 3)
    key = "image_shape" if is_image else "clip_shape"
    model = tiny(name, **{key: unknown})
    model.export(tmp_path / "exported", verbose=False)
    restored = keras.layers.TFSMLayer(
        tmp_path / "exported", call_endpoint="serve"
    )
    x = harness.normal((2, *shape))
    # The same operations, fused differently.
    np.testing.assert_allclose(
        harness.array(restored(x)),
        harness.array(model(x, training=False)),
        rtol=1e-4,
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("name", "key", "shape"),
    [
        ("c2d_nl1_small", "clip_shape", (2, 5, 38, 42, 3)),
        pytest.param(
            "image_small", "image_shape", (2, 38, 42, 3), marks=tensorflow_only
        ),
    ],
)
def test_sizes_may_be_unknown(name, key, shape):
    unknown = (*(None for _ in shape[1:-1]), 3)
    model = models.create_model(name, num_classes=7, **{key: unknown})
    assert tuple(model(harness.normal(shape)).shape) == (2, 7)


@tensorflow_only
@pytest.mark.parametrize("name", ["c2d_nl1_small", "image_small"])
def test_logits_are_float32_under_mixed_precision(name):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = models.create_model(name)
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.backend.standardize_dtype(model.output.dtype) == "float32"


def test_list_models_takes_a_pattern():
    assert models.list_models("*_nl3_s*") == ["c2d_nl3_small", "i3d_nl3_small"]


def test_unknown_model_suggests_a_similar_one():
    with pytest.raises(ValueError, match="Did you mean 'c2d_small'"):
        models.create_model("c2d_smal")


def test_unknown_argument_is_an_error():
    with pytest.raises(TypeError, match="num_class"):
        models.create_model("c2d_small", num_class=3)


def test_registered_name_is_an_error():
    with pytest.raises(ValueError, match="exists already"):
        registry.register_model(registry.MODELS["image_small"])


@pytest.mark.parametrize("shape", [(32, 32, 3), (8, 32, 32, None)])
def test_invalid_clip_shape_is_an_error(shape):
    with pytest.raises(ValueError, match="Expected the shape of clips"):
        models.create_model("c2d_small", clip_shape=shape)


def test_clip_shape_for_an_image_network_is_an_error():
    with pytest.raises(ValueError, match="Expected the shape of images"):
        models.create_model("image_small", image_shape=(8, 32, 32, 3))
