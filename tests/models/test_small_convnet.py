import dataclasses

import keras
import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf import models
from nonlocal_tf.layers import NonLocalBlock
from nonlocal_tf.models import backbones, small_convnet
from tests.harness import normal
from tests.layers.blocks import tensorflow_only


@tensorflow_only
def test_layer_names_are_an_interface():
    model = models.create_model("c2d_nl1_small")
    weighted = [layer.name for layer in model.layers if layer.weights]
    stages = {
        stage: [
            f"stage{stage}_conv{index}{suffix}"
            for index in (1, 2)
            for suffix in ("", "_bn")
        ]
        for stage in (1, 2, 3)
    }
    assert weighted == [
        *stages[1],
        *stages[2],
        "stage2_nonlocal",
        *stages[3],
        "head_conv",
        "head_conv_bn",
        "logits",
    ]


@tensorflow_only
def test_each_stage_halves_height_and_width():
    model = models.create_model("c2d_small", clip_shape=(5, 32, 24, 3))
    shapes = [
        model.get_layer(f"stage{stage}_conv2").output.shape[1:]
        for stage in (1, 2, 3)
    ]
    assert shapes == [(5, 16, 12, 16), (5, 8, 6, 32), (5, 4, 3, 64)]


@tensorflow_only
def test_strided_networks_halve_time_in_the_last_stages():
    model = models.create_model(
        "i3d_strided_nl1_small", clip_shape=(16, 32, 24, 3)
    )
    times = [
        model.get_layer(f"stage{stage}_conv2").output.shape[1]
        for stage in (1, 2, 3)
    ]
    assert times == [16, 8, 4]
    block = model.get_layer("stage3_nonlocal")
    assert block.input is model.get_layer("stage3_conv2_relu").output


@tensorflow_only
def test_strided_networks_have_max_pooling():
    model = models.create_model("i3d_strided_small", clip_shape=(5, 16, 24, 3))
    pool = model.get_layer("pool")
    x = normal((2, 3, 2, 3, 64))
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(pool(x)), x.max((1, 2, 3))
    )


@tensorflow_only
@pytest.mark.parametrize("stage", [1, 3])
def test_block_follows_the_stage_of_the_config(stage):
    config = dataclasses.replace(backbones.C2D_SMALL, nonlocal_after=(stage,))
    model = small_convnet.convnet(config, "net", 10, (2, 16, 8, 3))
    block = model.get_layer(f"stage{stage}_nonlocal")
    assert isinstance(block, NonLocalBlock)
    assert block.input is model.get_layer(f"stage{stage}_conv2_relu").output


def test_momentum_of_the_statistics_is_0_9():
    model = models.create_model("c2d_small", clip_shape=(3, 16, 8, 3))
    output = model.get_layer("stage1_conv1").output
    x = normal((2, 3, 16, 8, 3))
    features = keras.Model(model.input, output)(x)
    mean = keras.ops.convert_to_numpy(features).mean((0, 1, 2, 3))
    model(x, training=True)
    moving = model.get_layer("stage1_conv1_bn").moving_mean
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(moving),
        0.1 * mean,
        rtol=1e-4,  # two orders of a float32 sum of 384
        atol=1e-6,
    )


@tensorflow_only
def test_receptive_field_of_c2d_is_a_frame():
    model = models.create_model("c2d_small", clip_shape=(5, 16, 16, 3))
    features = keras.Model(
        model.input, model.get_layer("head_conv_relu").output
    )
    clip = normal((1, 5, 16, 16, 3))
    changed = clip.copy()
    changed[:, 2] += 1.0
    before, after = (
        keras.ops.convert_to_numpy(features(x)) for x in (clip, changed)
    )
    differs = (before != after).any(axis=(0, 2, 3, 4))
    np.testing.assert_array_equal(differs, [False, False, True, False, False])


@tensorflow_only
def test_inflated_convolution_has_a_receptive_field_of_3_frames():
    model = models.create_model("i3d_small", clip_shape=(9, 16, 16, 3))
    features = keras.Model(model.input, model.get_layer("stage1_conv1").output)
    clip = normal((1, 9, 16, 16, 3))
    changed = clip.copy()
    changed[:, 4] += 1.0
    before, after = (
        keras.ops.convert_to_numpy(features(x)) for x in (clip, changed)
    )
    differs = (before != after).any(axis=(0, 2, 3, 4))
    assert np.flatnonzero(differs).tolist() == [3, 4, 5]


@tensorflow_only
def test_new_nonlocal_blocks_do_not_change_the_logits():
    plain = models.create_model("c2d_small", clip_shape=(3, 16, 8, 3))
    block = models.create_model("c2d_nl1_small", clip_shape=(3, 16, 8, 3))
    for layer in plain.layers:
        block.get_layer(layer.name).set_weights(layer.get_weights())
    x = normal((2, 3, 16, 8, 3))
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(plain(x)),
        keras.ops.convert_to_numpy(block(x)),
    )


def test_options_of_the_blocks_are_arguments_of_the_network():
    model = nl.create_model(
        "c2d_nl1_small",
        clip_shape=(2, 8, 8, 3),
        position="sine",
        nonlocal_block={"heads": 2, "gate": "scalar", "norm": "none"},
    )
    block = model.get_layer("stage2_nonlocal")
    assert (block.position, block.heads, block.gate) == ("sine", 2, "scalar")
    plain = nl.create_model("c2d_nl1_small").get_layer("stage2_nonlocal")
    assert plain.position is None
    with pytest.raises(ValueError, match="`position` goes with a model that"):
        nl.create_model("c2d_small", position="sine")
