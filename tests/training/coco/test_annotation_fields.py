"""Validation of fields of annotations, with arbitrary values."""

import math

import hypothesis
import pytest
from hypothesis import strategies as st

from training.coco import annotation_fields as fields
from training.coco.annotation_fields import InvalidEntry

SIZE = (31, 47)
QUICK = hypothesis.settings(max_examples=50, deadline=None)
NUMBERS = st.one_of(
    st.integers(), st.floats(), st.integers(-99, 99), st.just(10**400)
)
LEAVES = st.one_of(NUMBERS, st.text(max_size=5), st.none(), st.booleans())
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=8),
        st.dictionaries(st.sampled_from(["size", "counts", "a"]), inner),
    ),
    max_leaves=20,
)


def read(function, *arguments):
    """Return the result of a function, or None for an invalid entry."""
    try:
        return function(*arguments)
    except InvalidEntry as error:
        assert len(str(error)) < 1000
        return None


@QUICK
@hypothesis.given(VALUES)
def test_an_integer_has_the_value_that_was_written(value):
    number = read(fields.whole_number, {"id": value}, "id")
    if number is not None:
        assert type(number) is int and abs(number) <= fields.MAX_INTEGER
        assert float(value) == number


@QUICK
@hypothesis.given(st.one_of(VALUES, st.lists(NUMBERS, min_size=4, max_size=4)))
def test_a_box_has_sides_within_its_image(value):
    result = read(fields.box, {"bbox": value}, SIZE)
    if result is not None:
        (x1, y1, x2, y2), _ = result
        assert 0 <= x1 < x2 <= SIZE[1] and 0 <= y1 < y2 <= SIZE[0]


@QUICK
@hypothesis.given(
    st.one_of(VALUES, st.lists(st.lists(NUMBERS, min_size=6, max_size=9)))
)
def test_polygons_are_near_their_image(value):
    result = read(fields.segmentation, {"segmentation": value}, SIZE)
    if result is not None and isinstance(result[0], list):
        for polygon in result[0]:
            assert len(polygon) >= 6 and len(polygon) % 2 == 0
            assert max(map(abs, polygon)) <= 2 * max(SIZE)


@QUICK
@hypothesis.given(st.one_of(VALUES, st.lists(NUMBERS, min_size=6, max_size=6)))
def test_keypoints_are_near_their_image(value):
    keypoints = read(fields.keypoints, {"keypoints": value}, 2, SIZE)
    if keypoints is not None:
        assert len(keypoints) == 6
        assert max(map(abs, keypoints)) <= 2 * max(SIZE)


@QUICK
@hypothesis.given(VALUES)
def test_an_area_is_finite(value):
    area = fields.area({"area": value}, (1.0, 2.0, 4.0, 7.0))
    assert math.isfinite(area) and area >= 0


@QUICK
@hypothesis.given(VALUES)
def test_a_crowd_is_a_boolean_or_an_error(value):
    is_crowd = read(fields.is_crowd, {"iscrowd": value})
    if is_crowd is not None and value is not None:
        assert float(value) == is_crowd


@pytest.mark.parametrize(
    "sides", [(0, 5), (5, -1), (65_536, 5), (65_535, 65_535)]
)
def test_sides_of_an_image_are_bounded(sides):
    with pytest.raises(InvalidEntry, match=" pixels; expected "):
        fields.image_size(dict(zip(("height", "width"), sides, strict=True)))


@pytest.mark.parametrize(
    ("value", "message"),
    [("1.5", "to be an integer, not '1.5'"), (2**53 + 1, "of 2.53 at most")],
)
def test_an_error_explains_an_invalid_integer(value, message):
    with pytest.raises(InvalidEntry, match=message):
        fields.whole_number({"id": value}, "id")


def test_keypoints_may_be_null():
    assert fields.keypoints({"keypoints": None}, 2, SIZE) == (0.0,) * 6


def test_integers_of_rle_may_be_text_or_floats():
    mask = {"size": ["31", 47.0], "counts": ["1457"]}
    segmentation, _ = fields.segmentation({"segmentation": mask}, SIZE)
    assert segmentation == {"size": [31, 47], "counts": [1457]}


def test_an_error_names_an_invalid_character_of_rle():
    mask = {"size": list(SIZE), "counts": "长度"}
    with pytest.raises(InvalidEntry, match="is an invalid character"):
        fields.segmentation({"segmentation": mask}, SIZE)
