"""Attention in a TensorFlow graph, against the layers' own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import nonlocal_tf as nl
from nonlocal_tf.attention import block_attention
from tests.harness import normal
from tests.models import nested_models
from training.exporting import served_attention

CLIP = (4, 11, 14, 3)
QUERIES = np.array([[3, 10, 13], [1, 4, 7], [0, 0, 0]], "int32")


def network(**block):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, None, 3))
    x = keras.layers.Conv3D(6, (1, 3, 3), (1, 2, 2), padding="same")(inputs)
    x = nl.NonLocalBlock(gamma_init=1.0, **block, name="first")(x)
    x = keras.layers.Conv3D(5, (3, 1, 1), padding="same")(x)
    x = nl.NonLocalBlock(name="last")(x)
    return keras.Model(inputs, x)


def looks(model, name):
    clips = normal((len(QUERIES), *CLIP))
    blocks = tf.constant([name] * len(QUERIES))
    answer = served_attention.attention(
        served_attention.blocks_of(model), clips, blocks, tf.constant(QUERIES)
    )
    return clips, {key: value.numpy() for key, value in answer.items()}


@pytest.mark.parametrize(
    "block",
    [
        {},
        {"subsample": 2},
        {"axes": "space", "pairwise": "gaussian"},
        {"axes": "time", "pairwise": "dot_product"},
        {"temporal_group_size": 2, "subsample": 2},
        {"pairwise": "concatenation"},
        {"pairwise": "efficient", "subsample": 2},
        {"pairwise": "global_context"},
        {"heads": 3, "position": "sine"},
    ],
    ids=str,
)
def test_weights_equal_those_of_single_clips(block):
    model = network(**block)
    clips, answer = looks(model, "first")
    for i, (clip, query) in enumerate(zip(clips, QUERIES, strict=True)):
        expected = nl.attention_map(model, clip, tuple(query.tolist()), "first")
        got = {key: value[i] for key, value in answer.items()}
        assert tuple(got["cell"].tolist()) == expected.query
        np.testing.assert_allclose(got["weights"], expected.weights, atol=1e-5)
        np.testing.assert_array_equal(got["stride"], expected.stride)
        np.testing.assert_array_equal(got["first"], expected.first_center)


def test_weights_of_images_equal_those_of_single_images():
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(6, 3, 2, padding="same")(inputs)
    model = keras.Model(inputs, nl.NonLocalBlock(subsample=2)(x))
    images, queries = normal((2, 11, 14, 3)), [(10, 13), (4, 7)]
    answer = served_attention.attention(
        served_attention.blocks_of(model),
        images,
        tf.constant(["", ""]),
        tf.constant(queries),
    )
    for i, query in enumerate(queries):
        expected = nl.attention_map(model, images[i], query)
        assert tuple(answer["cell"][i].numpy()) == expected.query[1:]
        np.testing.assert_allclose(
            answer["weights"][i], expected.weights[0], atol=1e-5
        )


@pytest.mark.parametrize(
    "form", [nested_models.in_frames, nested_models.subclassed_in_functional]
)
def test_weights_of_a_network_inside_a_model(form):
    nested = nested_models.build(form)
    clips = normal((2, *nested.shape))
    queries = np.array([(2, 5, 4), (0, 8, 0)])[:, -clips.ndim + 2 :]
    answer = served_attention.attention(
        served_attention.blocks_of(nested.model),
        clips,
        tf.constant(["block", "block"]),
        tf.constant(queries, tf.int32),
    )
    for i, query in enumerate(queries.tolist()):
        expected = nl.attention_map(nested.model, clips[i], tuple(query))
        got = answer["weights"][i].numpy().reshape(expected.weights.shape)
        np.testing.assert_allclose(got, expected.weights, atol=1e-5)


def network_with_masks_and_a_context():
    """Blocks with a mask of dark frames, a context and a constant mask."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((*CLIP[:-1], 3))
    x = keras.layers.Conv3D(6, (1, 3, 3), (1, 2, 2), padding="same")(inputs)
    bright = keras.ops.any(inputs > 0, axis=(2, 3, 4))
    x = nl.NonLocalBlock(gamma_init=1.0, name="masked")(x, mask=bright)
    x = nl.NonLocalBlock(name="context")(x, context=inputs)
    ones = np.ones((1, CLIP[0]), bool)
    x = nl.NonLocalBlock(name="constant")(x, mask=ones)
    return keras.Model(inputs, x)


def test_weights_of_a_block_with_a_mask_of_the_clip():
    model = network_with_masks_and_a_context()
    clips = normal((len(QUERIES), *CLIP))
    clips[:, -1] = 0  # dark
    answer = served_attention.attention(
        served_attention.blocks_of(model),
        clips,
        tf.constant([""] * len(QUERIES)),
        tf.constant(QUERIES),
    )
    assert not answer["weights"].numpy()[:, -1].any()
    for i, query in enumerate(QUERIES):
        expected = nl.attention_map(model, clips[i], query, block="masked")
        np.testing.assert_allclose(
            answer["weights"][i], expected.weights, atol=1e-6
        )


def test_blocks_left_out_have_a_reason():
    reasons = served_attention.left_out(network_with_masks_and_a_context())
    assert set(reasons) == {"context", "constant"}
    assert "on its context" in reasons["context"]
    assert "constant" in reasons["constant"]


@pytest.mark.parametrize("size", [(2, 23, 30), (1, 24, 29), (3, 25, 33)])
def test_query_cell_is_the_nearest_at_every_size(size):
    model = nl.create_model("c2d_nl1_small", clip_shape=(None, None, None, 3))
    clips = normal((size[2], *size, 3))
    queries = [(x % size[0], (7 * x) % size[1], x) for x in range(size[2])]
    answer = served_attention.attention(
        served_attention.blocks_of(model),
        clips,
        tf.constant([""] * len(queries)),
        tf.constant(queries, tf.int32),
    )
    attention = block_attention.BlockAttention(model, clips[0])
    expected = [
        [
            axis.nearest_cell(q + 0.5)
            for axis, q in zip(attention.axes, query, strict=True)
        ]
        for query in queries
    ]
    assert answer["cell"].numpy().tolist() == expected


def test_empty_name_is_the_last_block():
    model = network()
    weights, expected, first = (
        looks(model, name)[1]["weights"] for name in ("", "last", "first")
    )
    np.testing.assert_array_equal(weights, expected)
    assert np.abs(weights - first).max() > 1e-4


def test_unknown_block_is_an_error_that_lists_the_blocks():
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="(?s)first.*last.*third"
    ):
        looks(network(), "third")


def test_several_blocks_in_a_request_are_an_error():
    blocks = served_attention.blocks_of(network())
    clips = normal((2, *CLIP))
    with pytest.raises(tf.errors.InvalidArgumentError, match="same block"):
        served_attention.attention(
            blocks, clips, tf.constant(["", "first"]), QUERIES[:2]
        )
