import keras
import numpy as np
import pytest

from nonlocal_tf import NonLocalBlock, models, visualize
from nonlocal_tf.visualize import Look
from tests.harness import normal

CLIP_SHAPE = (3, 16, 24, 3)


@pytest.fixture(scope="module")
def model():
    return models.create_model("c2d_nl1_small", clip_shape=CLIP_SHAPE)


def test_weights_are_the_row_of_the_cell_at_the_pixel(model):
    clip = normal(CLIP_SHAPE)
    look = visualize.affinity(model, clip, query=(2, 9, 13))
    block = model.get_layer("stage2_nonlocal")
    features = keras.Model(model.input, block.input)(clip[None])
    rows = keras.ops.convert_to_numpy(block.affinity(features))[0]
    # Maps of 4 x 6 cells of 4 x 4 pixels: the cell is (2, 2, 3).
    assert look.query == (2, 2, 3)
    assert look.cell == (1.0, 4.0, 4.0)
    flat = 2 * 4 * 6 + 2 * 6 + 3
    np.testing.assert_allclose(
        look.weights, rows[flat].reshape(3, 4, 6), rtol=1e-5
    )
    np.testing.assert_allclose(look.weights.sum(), 1, rtol=1e-5)


def test_strongest_cells_come_first():
    weights = np.zeros((2, 3, 5))
    weights[1, 2, 4], weights[0, 1, 3] = 0.7, 0.3
    look = Look("block", (0, 0, 0), weights, (1.0, 1.0, 1.0))
    assert look.strongest(2) == [(1, 2, 4), (0, 1, 3)]


def test_the_middle_of_a_cell_is_a_query_for_that_cell(model):
    clip = normal(CLIP_SHAPE)
    look = visualize.affinity(model, clip, query=(0, 0, 0))
    assert look.middle((2, 1, 3)) == (2, 6, 14)
    assert visualize.affinity(model, clip, (2, 6, 14)).query == (2, 1, 3)


def test_a_batch_of_clips_is_refused(model):
    with pytest.raises(ValueError, match="Expected one clip"):
        visualize.affinity(model, normal((1, *CLIP_SHAPE)), (0, 0, 0))


def test_blocks_are_listed_from_input_to_output(model):
    assert list(visualize.nonlocal_blocks(model)) == ["stage2_nonlocal"]


def test_an_unknown_block_suggests_the_nearest(model):
    with pytest.raises(ValueError, match="Did you mean 'stage2_nonlocal'"):
        visualize.affinity(
            model, normal(CLIP_SHAPE), (0, 0, 0), block="stage3_nonlocal"
        )


@pytest.mark.parametrize("query", [(3, 0, 0), (0, 16, 0), (0, 0, -1)])
def test_a_query_outside_the_clip_is_refused(model, query):
    with pytest.raises(ValueError, match="inside a clip of size"):
        visualize.affinity(model, normal(CLIP_SHAPE), query)


def test_a_model_without_a_block_is_refused():
    plain = models.create_model("c2d_small", clip_shape=CLIP_SHAPE)
    with pytest.raises(ValueError, match="no non-local block"):
        visualize.affinity(plain, normal(CLIP_SHAPE), (0, 0, 0))


def black_strip(weights, query, **options):
    pytest.importorskip("PIL")
    frames = np.zeros((3, 8, 8, 3), "uint8")
    look = Look("block", query, weights, (1.0, 2.0, 2.0))
    return np.asarray(visualize.strip(frames, look, zoom=10, **options))


def tile(picture, frame):
    """The pixels of one frame on a strip of 80 px frames."""
    gap = visualize.GAP_PX
    left = gap + frame * (80 + gap)
    return picture[gap : gap + 80, left : left + 80]


def test_strip_glows_where_the_weights_are():
    weights = np.zeros((3, 4, 4))
    weights[2, 1, 3] = 1.0
    picture = black_strip(weights, (0, 0, 0), arrows=0)
    lit = tile(picture, 2).max(-1) > 0
    expected = np.zeros((80, 80), bool)
    expected[20:40, 60:80] = True
    np.testing.assert_array_equal(lit, expected)
    assert tile(picture, 1).max() == 0


def test_strip_outlines_the_query_in_white():
    picture = black_strip(np.zeros((3, 4, 4)), (1, 2, 0), arrows=0)
    white = (tile(picture, 1) == 255).all(-1)
    rows, columns = np.nonzero(white)
    assert (rows.min(), rows.max()) == (40, 59)
    assert (columns.min(), columns.max()) == (0, 19)


def test_strip_leads_an_arrow_from_the_query_to_the_strongest_cell():
    weights = np.zeros((3, 4, 4))
    weights[2, 2, 0] = 1.0
    without = black_strip(weights, (0, 2, 0), arrows=0)
    picture = black_strip(weights, (0, 2, 0), arrows=1)
    drawn = (tile(picture, 1) != tile(without, 1)).any(-1)
    rows, columns = np.nonzero(drawn)  # the frame the arrow only crosses
    assert 45 < rows.min() <= rows.max() < 55
    assert (columns.min(), columns.max()) == (0, 79)


def test_faint_cells_get_no_arrow():
    weights = np.zeros((3, 4, 4))
    weights[2, 2, 0], weights[2, 0, 3] = 0.97, 0.03
    one = black_strip(weights, (0, 2, 0), arrows=1)
    np.testing.assert_array_equal(
        one, black_strip(weights, (0, 2, 0), arrows=9)
    )


def test_negative_weights_do_not_glow():
    weights = np.full((3, 4, 4), -1.0)
    picture = black_strip(weights, (0, 0, 0), arrows=0)
    assert tile(picture, 1).max() == 0


def look_of(clip_shape, query, **options):
    """A look of a Gaussian block that is right on the clip."""
    inputs = keras.Input(clip_shape)
    block = NonLocalBlock("gaussian", **options)
    model = keras.Model(inputs, block(inputs))
    return visualize.affinity(model, 0.1 * normal(clip_shape), query)


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({"axes": "space"}, np.s_[2:3]),
        ({"axes": "time"}, np.s_[:, 3:4, 1:2]),
        ({"temporal_group_size": 2}, np.s_[2:4]),
        ({"axes": "space", "subsample": 2}, np.s_[2:3, :4]),
        ({"temporal_group_size": 2, "subsample": (2, 1, 1)}, np.s_[2:4]),
    ],
)
def test_cells_that_are_not_looked_at_have_no_weight(options, seen):
    look = look_of((4, 5, 2, 6), (2, 3, 1), **options)
    assert (look.weights[seen] > 0).all()
    np.testing.assert_allclose(look.weights[seen].sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(look.weights.sum(), 1, rtol=1e-5)


def test_cells_pooled_into_one_key_share_its_weight():
    look = look_of((3, 4, 6, 6), (2, 3, 1), subsample=2)
    boxes = look.weights.reshape(3, 2, 2, 3, 2).swapaxes(2, 3)
    assert len(np.unique(look.weights)) == 3 * 2 * 3
    np.testing.assert_array_equal(boxes.max((3, 4)), boxes.min((3, 4)))
