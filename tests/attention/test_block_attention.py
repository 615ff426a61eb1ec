import keras
import numpy as np
import pytest

from nonlocal_tf import NonLocalBlock, models
from nonlocal_tf.attention import block_attention
from tests.harness import normal
from tests.layers.blocks import full_on_jax
from tests.models import nested_models

CLIP_SHAPE = (3, 16, 24, 3)

# Of weights up to 1. They are exponentials of scores of up to some 50, whose
# rounding is 50 * 2**-24 = 3e-6; rows of other cells are 1e-3 and more apart.
ROUNDING = 1e-5


@pytest.fixture(scope="module")
def model():
    return models.create_model("c2d_nl1_small", clip_shape=CLIP_SHAPE)


def test_weights_are_the_row_of_the_cell_at_the_pixel(model):
    clip = normal(CLIP_SHAPE)
    attention = block_attention.attention_map(model, clip, query=(2, 9, 13))
    block = model.get_layer("stage2_nonlocal")
    features = keras.Model(model.input, block.input)(clip[None])
    rows = keras.ops.convert_to_numpy(block.affinity(features))[0]
    # 4 x 6 cells 4 pixels apart, the middle of the first at pixel 3: pixel 9
    # is as far from cell 1 as from cell 2, pixel 13 nearest to cell 3.
    assert attention.query == (2, 2, 3)
    assert (attention.stride, attention.first_center) == (
        (1.0, 4.0, 4.0),
        (0.5, 3.5, 3.5),
    )
    flat = 2 * 4 * 6 + 2 * 6 + 3
    np.testing.assert_allclose(
        attention.weights, rows[flat].reshape(3, 4, 6), atol=ROUNDING
    )
    np.testing.assert_allclose(attention.weights.sum(), 1, rtol=1e-5)


def test_the_center_pixel_of_a_cell_is_its_query(model):
    clip = normal(CLIP_SHAPE)
    attention = block_attention.attention_map(model, clip, query=(0, 0, 0))
    assert attention.center_pixel((2, 1, 3)) == (2, 7, 15)
    assert block_attention.attention_map(model, clip, (2, 7, 15)).query == (
        2,
        1,
        3,
    )


def test_a_batch_of_clips_is_refused(model):
    with pytest.raises(ValueError, match="Expected one clip"):
        block_attention.attention_map(
            model, normal((1, *CLIP_SHAPE)), (0, 0, 0)
        )


def test_weights_that_are_not_finite_are_refused():
    model = models.create_model("c2d_nl1_small", clip_shape=CLIP_SHAPE)
    block = model.get_layer("stage2_nonlocal")
    block.theta.bias.assign(np.full(block.theta.bias.shape, np.nan))
    maps = block_attention.BlockAttention(model, normal(CLIP_SHAPE))
    for compute in (
        maps.most_concentrated,
        lambda: maps.at_cell((0, 0, 0)),
    ):
        with pytest.raises(ValueError, match="finite attention weights"):
            compute()


def test_blocks_are_listed_from_input_to_output(model):
    assert list(block_attention.nonlocal_blocks(model)) == ["stage2_nonlocal"]


def test_an_unknown_block_suggests_the_nearest(model):
    with pytest.raises(ValueError, match="Did you mean 'stage2_nonlocal'"):
        block_attention.attention_map(
            model, normal(CLIP_SHAPE), (0, 0, 0), block="stage3_nonlocal"
        )


@pytest.mark.parametrize("query", [(3, 0, 0), (0, 16, 0), (0, 0, -1)])
def test_a_query_outside_the_clip_is_refused(model, query):
    with pytest.raises(ValueError, match="inside a clip of size"):
        block_attention.attention_map(model, normal(CLIP_SHAPE), query)


def test_a_model_without_a_block_is_refused():
    plain = models.create_model("c2d_small", clip_shape=CLIP_SHAPE)
    with pytest.raises(ValueError, match="no non-local block"):
        block_attention.attention_map(plain, normal(CLIP_SHAPE), (0, 0, 0))


def gaussian_map(clip_shape, query, **options):
    """Return the attention map of a Gaussian block on the pixels."""
    inputs = keras.Input(clip_shape)
    block = NonLocalBlock("gaussian", **options)
    model = keras.Model(inputs, block(inputs))
    return block_attention.attention_map(model, 0.1 * normal(clip_shape), query)


@pytest.mark.parametrize(
    ("options", "attended"),
    [
        ({"axes": "space"}, np.s_[2:3]),
        ({"axes": "time"}, np.s_[:, 3:4, 1:2]),
        ({"temporal_group_size": 2}, np.s_[2:4]),
        ({"axes": "space", "subsample": 2}, np.s_[2:3, :4]),
        ({"temporal_group_size": 2, "subsample": (2, 1, 1)}, np.s_[2:4]),
    ],
)
def test_cells_that_are_no_keys_have_zero_weight(options, attended):
    attention = gaussian_map((4, 5, 2, 6), (2, 3, 1), **options)
    assert (attention.weights[attended] > 0).all()
    np.testing.assert_allclose(attention.weights[attended].sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(attention.weights.sum(), 1, rtol=1e-5)


def test_cells_pooled_into_one_key_share_its_weight():
    attention = gaussian_map((3, 4, 6, 6), (2, 3, 1), subsample=2)
    boxes = attention.weights.reshape(3, 2, 2, 3, 2).swapaxes(2, 3)
    assert len(np.unique(attention.weights)) == 3 * 2 * 3
    np.testing.assert_array_equal(boxes.max((3, 4)), boxes.min((3, 4)))


@full_on_jax
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"axes": "space"},
        {"axes": "time"},
        {"temporal_group_size": 2, "subsample": (2, 1, 2)},
        {"subsample": 2},
    ],
    ids=str,
)
def test_most_concentrated_maximises_the_share_of_another_cell(
    options, monkeypatch
):
    inputs = keras.Input((4, 5, 3, 6))
    block = NonLocalBlock("embedded_gaussian", **options)
    model = keras.Model(inputs, block(inputs))
    clip = normal((4, 5, 3, 6))
    maps = block_attention.BlockAttention(model, clip)
    shares = {}
    for cell in np.ndindex(4, 5, 3):
        weights = maps.at_cell(cell).weights
        pool = block.pool_size
        begin = [i - i % p for i, p in zip(cell, pool, strict=True)]
        own = tuple(slice(b, b + p) for b, p in zip(begin, pool, strict=True))
        if weights[own].all():  # not left out by the pooling
            weights[own] = 0
        shares[cell] = weights.max()
    seven_rows = 7 * 60
    monkeypatch.setattr(block_attention, "CHUNK_ELEMENTS", seven_rows)
    assert maps.most_concentrated().query == max(shares, key=shares.get)


def test_map_of_a_block_with_heads_is_that_of_a_head_or_their_mean():
    inputs = keras.Input((2, 4, 6, 8))
    block = NonLocalBlock("gaussian", heads=2, subsample=2, name="block")
    model = keras.Model(inputs, block(inputs))
    clip, query = normal((2, 4, 6, 8)), (1, 2, 3)
    maps = [
        block_attention.attention_map(model, clip, query, head=head).weights
        for head in (0, 1, None)
    ]
    rows = block.affinity(clip[None], queries=[24 + 2 * 6 + 3])[0, :, 0]
    for weights, row in zip(
        maps, keras.ops.convert_to_numpy(rows), strict=False
    ):
        pooled = weights.reshape(2, 2, 2, 3, 2).sum((2, 4))
        np.testing.assert_allclose(pooled.ravel(), row, atol=ROUNDING)
    mean = (maps[0] + maps[1]) / 2
    np.testing.assert_allclose(maps[2], mean, atol=ROUNDING)
    with pytest.raises(ValueError, match="`head` from 0 to 1"):
        block_attention.attention_map(model, clip, query, head=2)


def test_map_of_a_block_with_a_context_is_an_error():
    inputs = keras.Input((2, 4, 6, 8))
    context = keras.layers.AveragePooling3D(2)(inputs)
    outputs = NonLocalBlock("gaussian")(inputs, context=context)
    model = keras.Model(inputs, outputs)
    with pytest.raises(ValueError, match="is on its context"):
        block_attention.attention_map(model, normal((2, 4, 6, 8)), (0, 0, 0))


def test_a_layer_that_resizes_is_refused():
    inputs = keras.Input((2, 4, 6, 3))
    x = keras.layers.UpSampling3D((1, 2, 2))(inputs)
    model = keras.Model(inputs, NonLocalBlock("gaussian")(x))
    with pytest.raises(ValueError, match="UpSampling3D"):
        block_attention.attention_map(model, normal((2, 4, 6, 3)), (0, 0, 0))


def test_feature_sizes_unknown_at_build_time_are_checked():
    inputs = keras.Input((None, None, None, 3))
    x = keras.layers.UpSampling3D((1, 2, 2))(inputs)
    model = keras.Model(inputs, NonLocalBlock("gaussian")(x))
    with pytest.raises(ValueError, match="Received: \\(2, 8, 12\\)"):
        block_attention.attention_map(model, normal((2, 4, 6, 3)), (0, 0, 0))


@full_on_jax
def test_clips_of_any_size_have_exact_centers():
    model = models.create_model("c2d_nl1_small", clip_shape=(None,) * 3 + (3,))
    attention = block_attention.attention_map(
        model, normal((3, 17, 22, 3)), (2, 16, 21)
    )
    # 17 -> 9 -> 5 with a zero at both ends; 22 -> 11 -> 6 with one at one end
    # and then at both.
    assert attention.weights.shape == (3, 5, 6) and attention.query == (2, 4, 5)
    assert attention.first_center == (0.5, 0.5, 1.5)


def test_map_of_an_image_is_that_of_a_clip_of_one_frame():
    inputs = keras.Input((15, 22, 3))
    x = keras.layers.Conv2D(4, 3, 2, padding="same", name="conv")(inputs)
    image_model = keras.Model(inputs, NonLocalBlock(name="block")(x))
    clips = keras.Input((1, 15, 22, 3))
    x = keras.layers.Conv3D(
        4, (1, 3, 3), (1, 2, 2), padding="same", name="conv"
    )(clips)
    clip_model = keras.Model(clips, NonLocalBlock(name="block")(x))
    kernel, bias = image_model.get_layer("conv").get_weights()
    clip_model.get_layer("conv").set_weights([kernel[None], bias])
    clip_model.get_layer("block").set_weights(
        image_model.get_layer("block").get_weights()
    )
    image = normal((15, 22, 3))
    got = block_attention.attention_map(image_model, image, (14, 3))
    expected = block_attention.attention_map(
        clip_model, image[None], (0, 14, 3)
    )
    assert got.query == expected.query == (0, 7, 1)
    assert got.stride == expected.stride
    assert got.first_center == expected.first_center
    assert got.weights.shape == (1, 8, 11)
    np.testing.assert_allclose(got.weights, expected.weights, atol=ROUNDING)


def test_a_query_of_three_in_an_image_is_refused():
    inputs = keras.Input((5, 4, 3))
    model = keras.Model(inputs, NonLocalBlock("gaussian")(inputs))
    with pytest.raises(ValueError, match=r"\(y, x\) inside an image"):
        block_attention.attention_map(model, normal((5, 4, 3)), (0, 1, 2))


def test_a_block_in_nested_models_has_the_map_of_the_flat_model():
    def layers():
        yield keras.layers.Conv3D(5, (1, 3, 3), (1, 2, 2), name="conv")
        yield NonLocalBlock(name="block")
        yield keras.layers.GlobalAveragePooling3D(name="pool")

    flat = keras.Sequential([keras.Input(CLIP_SHAPE), *layers()])
    conv, block, pool = layers()
    features = keras.Input((*CLIP_SHAPE[:-1], 3))
    stem = keras.Model(features, conv(features), name="stem")
    backbone = keras.Sequential([stem, block], name="backbone")
    inputs = keras.Input(CLIP_SHAPE)
    nested = keras.Model(inputs, pool(backbone(inputs, training=False)))
    nested.set_weights(flat.get_weights())
    clip = normal(CLIP_SHAPE)
    got = block_attention.attention_map(nested, clip, (1, 8, 15))
    expected = block_attention.attention_map(flat, clip, (1, 8, 15))
    assert (got.block, got.query) == ("block", expected.query)
    assert got.first_center == expected.first_center
    np.testing.assert_allclose(got.weights, expected.weights, atol=1e-6)


@full_on_jax
@pytest.mark.parametrize("form", nested_models.FORMS, ids=lambda f: f.__name__)
def test_map_of_a_network_inside_a_model_is_that_of_the_network(form):
    nested = nested_models.build(form)
    clip = normal(nested.shape)
    got = block_attention.attention_map(
        nested.model, clip, (1, 5, 4)[-clip.ndim + 1 :]
    )
    image = nested.scale * (clip[1] if clip.ndim == 4 else clip)
    expected = block_attention.attention_map(nested.network, image, (5, 4))
    frame = got.weights[got.query[0]]
    np.testing.assert_allclose(frame, expected.weights[0], atol=1e-6)
    assert (got.block, got.query[1:]) == ("block", expected.query[1:])
    assert got.first_center[1:] == expected.first_center[1:]
    np.testing.assert_allclose(got.weights.sum(), 1, rtol=1e-5)


def test_rows_of_frames_are_in_the_order_of_the_queries():
    nested = nested_models.build(nested_models.in_frames)
    maps = block_attention.BlockAttention(nested.model, normal(nested.shape))
    cells = [(2, 4, 3), (0, 1, 0), (1, 0, 2), (2, 0, 1)]
    rows = maps._rows(np.ravel_multi_index(np.transpose(cells), (3, 5, 4)))
    for row, (frame, *cell) in zip(rows, cells, strict=True):
        weights = maps.at_cell((frame, *cell)).weights
        np.testing.assert_allclose(row.reshape(5, 4), weights[frame], atol=1e-6)
        assert not np.delete(weights, frame, axis=0).any()


def test_blocks_that_cannot_be_reached_are_named():
    inputs, inner = keras.Input(nested_models.IMAGE), nested_models.network()
    layer = nested_models.Untraceable(inner, name="branch")
    model = keras.Model(inputs, layer(inputs))
    with pytest.raises(ValueError, match="no non-local block.*'branch'"):
        block_attention.attention_map(
            model, normal(nested_models.IMAGE), (1, 2)
        )


def test_blocks_of_one_name_are_called_by_their_paths():
    def part(name):
        block = NonLocalBlock("gaussian", name="block")
        return keras.Sequential([keras.Input((2, 4, 3, 5)), block], name=name)

    inputs = keras.Input((2, 4, 3, 5))
    last = NonLocalBlock("gaussian", name="last")
    model = keras.Model(inputs, last(part("second")(part("first")(inputs))))
    assert list(block_attention.nonlocal_blocks(model)) == [
        "first/block",
        "second/block",
        "last",
    ]


def test_maps_leave_no_trace_in_the_model(model):
    block = model.get_layer("stage2_nonlocal")
    nodes = len(block._inbound_nodes)
    block_attention.attention_map(model, normal(CLIP_SHAPE), (0, 0, 0))
    assert len(block._inbound_nodes) == nodes


@full_on_jax
def test_most_concentrated_within_a_part_of_an_image():
    inputs = keras.Input((8, 12, 3))
    x = keras.layers.Conv2D(5, 3, 2, padding="same")(inputs)
    model = keras.Model(inputs, NonLocalBlock("embedded_gaussian")(x))
    maps = block_attention.BlockAttention(model, normal((8, 12, 3)))
    shares = {}
    for cell in np.ndindex(3, 2):  # centers below pixels 6 and 4
        weights = maps.at_cell(cell).weights
        weights[0, *cell] = 0
        shares[0, *cell] = weights.max()
    best = maps.most_concentrated((6, 4)).query
    assert best == max(shares, key=shares.get)
