import math

import keras
import pytest

from nonlocal_tf import models
from nonlocal_tf.models import registry
from tests import harness

# Keras's trainable count, a model; adding a model without one fails.
TRAINABLE = {
    "c2d_nl1_small": 112_138,
    "c2d_small": 109_946,
    "i3d_nl1_small": 159_082,
    "i3d_small": 156_890,
    "image_small": 113_196,
}


@pytest.fixture(params=models.list_models())
def name(request):
    return request.param


def trainable(model):
    return sum(math.prod(w.shape) for w in model.trainable_weights)


def convolution_weights(kernels_t):
    """The count by hand: kernels, gamma and beta of the small networks."""
    widths = [3, 16, 16, 32, 32, 64, 64, 64]
    return sum(
        kernel_t * 9 * fan_in * fan_out + 2 * fan_out
        for kernel_t, fan_in, fan_out in zip(
            kernels_t, widths, widths[1:], strict=False
        )
    )


def test_parameter_counts_are_pinned(name):
    assert trainable(models.create_model(name)) == TRAINABLE[name]


def test_c2d_count_is_the_sum_of_its_layers():
    expected = convolution_weights([1] * 7) + 64 * 10 + 10
    assert TRAINABLE["c2d_small"] == expected


def test_i3d_count_is_the_sum_of_its_layers():
    expected = convolution_weights([3, 1, 3, 1, 3, 1, 1]) + 64 * 10 + 10
    assert TRAINABLE["i3d_small"] == expected


def test_nonlocal_block_adds_four_projections_and_a_norm():
    block = 3 * (32 * 16 + 16) + (16 * 32 + 32) + 2 * 32
    assert TRAINABLE["c2d_nl1_small"] == TRAINABLE["c2d_small"] + block
    assert TRAINABLE["i3d_nl1_small"] == TRAINABLE["i3d_small"] + block


def test_saves_and_trains(name, tmp_path):
    options = {"num_classes": 5}
    if "_nl" in name:
        options["nonlocal_block"] = {"gamma_init": 1.0}
    # The last three biases do not matter: tests/layers/test_nonlocal_block.py.
    harness.check_model(
        models.create_model(name, **options),
        tmp_path,
        without_gradient=("out/bias", "g/bias", "phi/bias"),
    )


def test_everything_but_the_channels_may_be_unknown(name):
    is_image = name.startswith("image")
    key, shape = "clip_shape", (2, 5, 18, 22, 3)
    if is_image:
        key, shape = "image_shape", (2, 18, 22, 3)
    unknown = (*(None for _ in shape[1:-1]), 3)
    model = models.create_model(name, num_classes=7, **{key: unknown})
    assert tuple(model(harness.normal(shape)).shape) == (2, 7)


def test_logits_are_float32_under_mixed_precision(name):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = models.create_model(name)
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.backend.standardize_dtype(model.output.dtype) == "float32"


def test_list_models_takes_a_pattern():
    assert models.list_models("*_nl1_*") == ["c2d_nl1_small", "i3d_nl1_small"]


def test_unknown_model_suggests_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'c2d_small'"):
        models.create_model("c2d_smal")


def test_unknown_argument_is_refused():
    with pytest.raises(TypeError, match="num_class"):
        models.create_model("c2d_small", num_class=3)


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="exists already"):
        registry.register_model(registry.MODELS["c2d_small"])


@pytest.mark.parametrize("shape", [(32, 32, 3), (8, 32, 32, None)])
def test_another_clip_shape_is_refused(shape):
    with pytest.raises(ValueError, match="Expected the shape of clips"):
        models.create_model("c2d_small", clip_shape=shape)


def test_an_image_network_does_not_take_clips():
    with pytest.raises(ValueError, match="Expected the shape of images"):
        models.create_model("image_small", image_shape=(8, 32, 32, 3))
