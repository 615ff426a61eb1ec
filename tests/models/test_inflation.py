import keras
import numpy as np
import pytest

from nonlocal_tf import models
from nonlocal_tf.models.inflation import inflate, inflate_kernel
from tests.harness import array, normal
from tests.layers.blocks import full_on_jax, tensorflow_only
from tests.models.tiny import shallow


def logits(model, x):
    return keras.ops.convert_to_numpy(model(x, training=False))


def image_model(**options):
    """Build an image network whose normalizations are not the identity."""
    model = models.create_model(
        "image_small", image_shape=(16, 8, 3), num_classes=10, **options
    )
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if layer.name.endswith("_bn"):
            layer.set_weights(
                [rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()]
            )
    return model


def assert_close(actual, expected):
    """Compare up to 2e-5 of the largest: 1728 float32 products."""
    bound = 2e-5 * np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=bound)


def test_kernel_is_repeated_in_time_and_divided():
    kernel = normal((3, 5, 2, 7))
    inflated = inflate_kernel(kernel, 4)
    assert inflated.shape == (4, 3, 5, 2, 7)
    np.testing.assert_allclose(inflated.sum(0), kernel, rtol=1e-6)
    np.testing.assert_array_equal(inflated[0], inflated[3])


@full_on_jax
def test_c2d_on_one_frame_equals_the_image_network():
    image = image_model()
    clip = models.create_model("c2d_small", clip_shape=(1, 16, 8, 3))
    inflate(image, clip, new_layers=())
    x = normal((2, 16, 8, 3))
    assert_close(logits(clip, x[:, None]), logits(image, x))


@full_on_jax
def test_c2d_on_a_clip_averages_image_features_of_the_frames():
    image = image_model()
    clip = models.create_model("c2d_small", clip_shape=(5, 16, 8, 3))
    inflate(image, clip, new_layers=())
    x = normal((2, 5, 16, 8, 3))
    frames = logits(image, x.reshape(-1, 16, 8, 3)).reshape(2, 5, 10)
    # Only a linear layer follows the average.
    assert_close(logits(clip, x), frames.mean(1))


@full_on_jax
def test_i3d_on_a_static_clip_equals_the_image_network_inside():
    image = image_model()
    clip = models.create_model("i3d_small", clip_shape=(9, 16, 8, 3))
    inflate(image, clip, new_layers=())
    image_features, clip_features = (
        keras.Model(model.input, model.get_layer("head_conv_relu").output)
        for model in (image, clip)
    )
    x = normal((2, 16, 8, 3))
    static = np.repeat(x[:, None], 9, axis=1)
    # Three kernels of 3 frames: zero padding reaches 3 frames from each end.
    inside = logits(clip_features, static)[:, 3:6]
    expected = np.repeat(logits(image_features, x)[:, None], 3, axis=1)
    assert_close(inside, expected)


@tensorflow_only
def test_report_has_loaded_kept_and_unused_layers():
    clip = models.create_model("c2d_nl1_small", clip_shape=(2, 16, 8, 3))
    report = inflate(image_model(), clip)
    assert report.kept == ("stage2_nonlocal", "logits")
    assert report.unused == ("logits",)
    assert len(report.loaded) == 14


@tensorflow_only
def test_block_and_classifier_keep_their_initialization():
    clip = models.create_model("c2d_nl1_small", clip_shape=(2, 16, 8, 3))
    kept = ("stage2_nonlocal", "logits")
    before = [clip.get_layer(name).get_weights() for name in kept]
    inflate(image_model(), clip)
    for name, arrays in zip(kept, before, strict=True):
        for old, new in zip(
            arrays, clip.get_layer(name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(old, new)


@tensorflow_only
def test_unmatched_layer_is_an_error_and_changes_nothing():
    image = image_model()
    inputs = keras.Input((2, 16, 8, 3))
    conv = keras.layers.Conv3D(16, (1, 3, 3), use_bias=False, name="other")
    clip = keras.Model(inputs, conv(inputs), name="clip")
    before = clip.get_weights()[0]
    with pytest.raises(ValueError, match=r"Not in the image.*\['other'\]"):
        inflate(image, clip)
    np.testing.assert_array_equal(clip.get_weights()[0], before)


def test_other_number_of_weights_is_an_error():
    inputs = keras.Input((16, 8, 3))
    image = keras.Model(inputs, keras.layers.Conv2D(5, 3, name="c")(inputs))
    inputs = keras.Input((2, 16, 8, 3))
    conv = keras.layers.Conv3D(5, (1, 3, 3), use_bias=False, name="c")
    clip = keras.Model(inputs, conv(inputs))
    with pytest.raises(ValueError, match="'c': expected 1 weights"):
        inflate(image, clip)


@tensorflow_only
def test_other_shape_is_an_error():
    image = models.create_model("image_small", image_shape=(16, 8, 1))
    clip = models.create_model("c2d_small", clip_shape=(2, 16, 8, 3))
    with pytest.raises(ValueError, match="stage1_conv1.*expected the shape"):
        inflate(image, clip)


@tensorflow_only
def test_residual_networks_are_inflated_by_layer_name():
    image, clip = shallow("image"), shallow("i3d")
    report = inflate(image, clip)
    assert report.kept == ("res3_block0_nonlocal", "logits")
    assert report.unused == ("logits",)
    np.testing.assert_array_equal(
        array(clip.get_layer("res2_block0_conv1").kernel),
        inflate_kernel(array(image.get_layer("res2_block0_conv1").kernel), 3),
    )


def test_layers_of_nested_networks_are_inflated():
    def network(conv, sizes):
        part = keras.Sequential([keras.Input((*sizes, 3)), conv], name="part")
        inputs = keras.Input((*sizes, 3))
        return keras.Model(inputs, part(inputs))

    image = network(keras.layers.Conv2D(4, 3, name="conv"), (5, 6))
    clip = network(keras.layers.Conv3D(4, (2, 3, 3), name="conv"), (3, 5, 6))
    assert inflate(image, clip).loaded == ("conv",)
    kernel, _ = image.get_weights()
    np.testing.assert_array_equal(
        clip.get_weights()[0], np.stack([kernel] * 2) / 2
    )
