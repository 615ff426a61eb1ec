import numpy as np
import pytest

from nonlocal_tf.attention.attention_map import AttentionMap
from nonlocal_tf.attention.plots import attention_plot, heat_map, markers
from nonlocal_tf.attention.plots.frame_layout import FrameLayout
from tests.attention.plots import rendered_text

pytest.importorskip("PIL")

SHAPE = (3, 8, 12, 3)
NAMES = ["frame 0", "frame 1", "frame 2"]
BLACK = np.zeros(SHAPE, "uint8")
ZEROS = np.zeros((3, 4, 6))


def attention_of(weights, query=(0, 0, 0)):
    """Return a map of 3 x 4 x 6 cells with strides of 1 x 2 x 2."""
    return AttentionMap("block", query, weights, (1.0, 2.0, 2.0))


def sparse_weights(values):
    weights = ZEROS.copy()
    for cell, weight in values.items():
        weights[cell] = weight
    return weights


def clip_image(weights, query=(0, 0, 0), **options):
    """Draw on black frames."""
    attention = attention_of(weights, query)
    image = attention_plot.draw_clip(BLACK, attention, **options)
    return np.asarray(image).astype(int)


def frame_of(image, number):
    """Crop one frame from an image of the clip."""
    return cropped(image, FrameLayout.all_frames(SHAPE, NAMES, 1800), number)


def cropped(image, layout, number):
    x, y = layout.corner(number)
    return image[y : y + layout.height, x : x + layout.width]


def video_frames(weights, query=(1, 2, 0), **options):
    """Draw a video of black frames; return the frames without captions."""
    attention = attention_of(weights, query)
    images = list(attention_plot.draw_video(BLACK, attention, **options))
    assert len({image.size for image in images}) == 1
    assert all(side % 2 == 0 for side in images[0].size)
    layout = FrameLayout.single_frame(SHAPE, NAMES, 0)
    return [
        cropped(np.asarray(image).astype(int), layout, 0) for image in images
    ]


def test_the_overlay_is_brightest_around_the_attended_cell():
    image = clip_image(sparse_weights({(2, 1, 3): 1.0}), arrows=0)
    is_lit = frame_of(image, 2).max(-1) > 0
    rows, columns = np.nonzero(is_lit)
    zoom_y, zoom_x = (s / n for s, n in zip(is_lit.shape, (8, 12), strict=True))
    # Around its center at (3, 7), up to the centers of the next cells.
    assert (rows.mean() + 0.5) / zoom_y == pytest.approx(3, abs=0.05)
    assert (columns.mean() + 0.5) / zoom_x == pytest.approx(7, abs=0.05)
    assert np.ptp(rows) < 4 * zoom_y and np.ptp(columns) < 4 * zoom_x
    assert frame_of(image, 1).max() == 0


def test_the_query_is_outlined_in_white():
    frame = frame_of(clip_image(ZEROS, (1, 2, 0), arrows=0), 1)
    rows, columns = np.nonzero((frame == 255).all(-1))
    zoom = frame.shape[0] / 8
    assert rows.min() == pytest.approx(4 * zoom, abs=1)
    assert rows.max() == pytest.approx(6 * zoom - 1, abs=1)
    assert (columns.min(), columns.max()) == pytest.approx((0, 2 * zoom), abs=1)


def test_an_arrow_leads_from_the_query_to_the_strongest_cell():
    weights = sparse_weights({(2, 2, 0): 1.0})
    without = clip_image(weights, (0, 2, 0), arrows=0)
    with_arrow = clip_image(weights, (0, 2, 0), arrows=1)
    differs = (frame_of(with_arrow, 1) != frame_of(without, 1)).any(-1)
    rows, columns = np.nonzero(differs)  # the frame in between
    middle = 5 * differs.shape[0] / 8
    assert middle - 6 < rows.min() <= rows.max() < middle + 6
    assert len(set(columns)) == differs.shape[1]


def test_stronger_arrows_are_thicker():
    weights = sparse_weights({(2, 0, 0): 0.75, (2, 3, 0): 0.25})
    frame = frame_of(clip_image(weights, (0, 2, 0), arrows=2), 1)
    column = frame[:, frame.shape[1] // 2, 0] > 60
    middle = len(column) * 5 // 8
    assert column[:middle].sum() > column[middle:].sum() > 0


def test_cells_of_small_weight_get_no_arrow():
    weights = sparse_weights({(2, 2, 0): 0.97, (2, 0, 3): 0.03})
    single, all_salient = (
        frame_of(clip_image(weights, (0, 2, 0), arrows=arrows), 2)
        for arrows in (1, 9)
    )
    np.testing.assert_array_equal(single, all_salient)


@pytest.mark.parametrize("style", attention_plot.STYLES)
def test_negative_weights_are_drawn_as_zero(style):
    zero, negative = (
        frame_of(clip_image(weights, style=style), 1)
        for weights in (ZEROS, ZEROS - 1)
    )
    np.testing.assert_array_equal(zero, negative)


def test_larger_weights_are_lighter_and_more_yellow():
    weights = np.linspace(0, 1, 50)
    frame = np.zeros((1, 50, 3), "uint8")
    colors = heat_map.overlay_heat_map(frame, weights)[0].astype(float)
    luminance = colors @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > 0).all()
    # Color-blind readers can tell blue from yellow.
    assert colors[25, 2] > 2 * colors[25, 0]
    assert colors[-1, 2] < colors[-1, 0] / 2


def test_a_heat_map_lies_on_a_gray_frame():
    red = np.full((2, 3, 3), (200, 0, 0), "uint8")
    frame = heat_map.overlay_heat_map(red, np.zeros((2, 3)))
    assert np.ptp(frame[0, 0].astype(int)) < 15


def test_rows_wrap_before_frames_become_too_small():
    assert FrameLayout.all_frames((8, 32, 32, 3), NAMES, 1800).columns == 8
    layout = FrameLayout.all_frames((32, 90, 160, 3), NAMES, 1800)
    width, height = layout.image_size
    assert width <= 1800 and min(layout.height, layout.width) >= 160
    corners = {layout.corner(number) for number in range(32)}
    assert len(corners) == 32
    assert max(y for _, y in corners) + layout.height < height


@pytest.mark.parametrize("count", [1, 3, 8, 32])
@pytest.mark.parametrize("size", [(32, 32), (90, 160), (160, 90), (7, 200)])
def test_images_keep_to_the_maximum_width(count, size):
    layout = FrameLayout.all_frames((count, *size, 3), NAMES, 1800)
    assert layout.image_size[0] <= 1800
    assert layout.height <= 600 and layout.columns <= count


def test_a_video_outlines_the_query_fully_in_its_own_frame_only():
    white_pixels = [
        (frame == 255).all(-1).sum() for frame in video_frames(ZEROS)
    ]
    assert white_pixels[1] > white_pixels[0] == white_pixels[2] > 0


def test_a_video_has_the_heat_map_at_the_time_of_the_cell():
    first, _, third = video_frames(sparse_weights({(2, 1, 3): 1.0}))
    assert (third[..., 0] > 1.5 * third[..., 2]).any()
    assert not (first[..., 0] > 1.5 * first[..., 2] + 1).any()


def test_a_video_draws_arrows_to_its_own_frame():
    weights = sparse_weights({(0, 1, 3): 0.6, (2, 2, 4): 0.4})
    with_arrows = video_frames(weights, style="arrows")
    without = video_frames(weights, style="arrows", arrows=0)
    pairs = zip(with_arrows, without, strict=True)
    differs = [(first != second).any() for first, second in pairs]
    assert differs == [True, False, True]


def test_outlines_of_small_cells_have_a_minimum_size():
    frames = np.zeros((1, 400, 400, 3), "uint8")
    weights = np.zeros((1, 200, 200))
    attention = AttentionMap("b", (0, 50, 50), weights, (1.0, 2.0, 2.0))
    image = np.asarray(attention_plot.draw_clip(frames, attention))
    rows, _ = np.nonzero((image[:600, :600] == 255).all(-1))
    assert np.ptp(rows) >= markers.MIN_QUERY_PX - 2


@pytest.mark.parametrize(
    ("frames", "options", "message"),
    [
        (BLACK, {"style": "heats"}, "Did you mean 'heat'"),
        (BLACK.astype(float), {}, "Expected uint8 RGB frames"),
        (BLACK[..., 0], {}, "Expected uint8 RGB frames"),
    ],
)
def test_invalid_styles_and_arrays_are_refused(frames, options, message):
    with pytest.raises(ValueError, match=message):
        attention_plot.draw_clip(frames, attention_of(ZEROS), **options)


def test_names_are_written_below_frames():
    attention = attention_of(ZEROS)
    numbered = np.asarray(attention_plot.draw_clip(BLACK, attention))
    named = attention_plot.draw_clip(
        BLACK, attention, names=["frame 0", "x", "frame 2"]
    )
    _, columns, _ = np.nonzero(numbered != np.asarray(named))
    layout = FrameLayout.all_frames(SHAPE, NAMES, 1800)
    assert layout.corner(1)[0] - 1 <= columns.min()  # anti-aliased letters
    assert columns.max() < layout.corner(2)[0]


@pytest.mark.parametrize("style", attention_plot.STYLES)
@pytest.mark.parametrize("size", [(8, 12), (90, 20)])
@pytest.mark.parametrize("count", [1, 3])
def test_texts_are_neither_cut_nor_overlapping(style, size, count, monkeypatch):
    frames = np.zeros((count, *size, 3), "uint8")
    weights = np.linspace(0.1, 2000, count * 24).reshape(count, 4, 6)
    stride = (1.0, size[0] / 4, size[1] / 6)
    attention = AttentionMap("b", (0, 1, 1), weights, stride)
    names = [f"frame {n} of a video with a lóng name" for n in range(count)]
    options = {"style": style, "names": names}
    with rendered_text.recorded(monkeypatch) as texts:
        attention_plot.draw_clip(frames, attention, width_px=420, **options)
        list(attention_plot.draw_video(frames, attention, **options))
    rendered_text.check(texts)
