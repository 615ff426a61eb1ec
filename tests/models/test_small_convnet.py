import dataclasses

import keras
import numpy as np
import pytest

from nonlocal_tf import models
from nonlocal_tf.layers import NonLocalBlock
from nonlocal_tf.models import configs, small_convnet
from tests.harness import normal


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


def test_each_stage_halves_height_and_width_and_keeps_time():
    model = models.create_model("c2d_small", clip_shape=(5, 32, 24, 3))
    shapes = [
        model.get_layer(f"stage{stage}_conv2").output.shape[1:]
        for stage in (1, 2, 3)
    ]
    assert shapes == [(5, 16, 12, 16), (5, 8, 6, 32), (5, 4, 3, 64)]


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


def test_strided_networks_keep_the_maximum_over_positions():
    model = models.create_model("i3d_strided_small", clip_shape=(5, 16, 24, 3))
    pool = model.get_layer("pool")
    x = normal((2, 3, 2, 3, 64))
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(pool(x)), x.max((1, 2, 3))
    )


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_block_follows_the_stage_the_spec_names(stage):
    spec = dataclasses.replace(configs.C2D_SMALL, nonlocal_after=(stage,))
    model = small_convnet.convnet(spec, "net", 10, (2, 16, 8, 3))
    block = model.get_layer(f"stage{stage}_nonlocal")
    assert isinstance(block, NonLocalBlock)
    assert block.input is model.get_layer(f"stage{stage}_conv2_relu").output


def test_a_training_step_moves_the_statistics_by_a_tenth():
    model = models.create_model("c2d_small", clip_shape=(3, 16, 8, 3))
    inputs = model.get_layer("stage1_conv1").output
    x = normal((2, 3, 16, 8, 3))
    seen = keras.ops.convert_to_numpy(keras.Model(model.input, inputs)(x))
    model(x, training=True)
    moving = model.get_layer("stage1_conv1_bn").moving_mean
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(moving),
        0.1 * seen.mean((0, 1, 2, 3)),
        rtol=1e-4,  # two orders of a float32 sum of 384
        atol=1e-6,
    )


def test_c2d_sees_each_frame_alone():
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


def test_i3d_sees_the_neighbouring_frames():
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


def test_zero_initialised_blocks_leave_the_logits_as_they_are():
    plain = models.create_model("c2d_small", clip_shape=(3, 16, 8, 3))
    block = models.create_model("c2d_nl1_small", clip_shape=(3, 16, 8, 3))
    for layer in plain.layers:
        block.get_layer(layer.name).set_weights(layer.get_weights())
    x = normal((2, 3, 16, 8, 3))
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(plain(x)),
        keras.ops.convert_to_numpy(block(x)),
    )
