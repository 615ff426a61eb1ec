"""JSON of files that someone else may have made."""

import dataclasses
import json

import pytest

from training.io import json_text


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000])
def test_brackets_nested_too_deep_are_a_value_error(text):
    with pytest.raises(ValueError, match="nested too deep"):
        json_text.parse(text)


@pytest.mark.parametrize("text", ["", "{", "[1,", "x", "1" * 5000])
def test_what_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError):
        json_text.parse(text)


@pytest.mark.parametrize("text", ['\ufeff{"a": 1}', b'\xef\xbb\xbf{"a": 1}'])
def test_a_byte_order_mark_is_passed_over(text):
    assert json_text.parse(text) == {"a": 1}


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (3, int),
        (3, float),
        (float("nan"), float),
        (None, (str, None)),
        ([], [str]),
        (["a", "b"], [str]),
        ({}, {"a": (int, None)}),
        ({"a": 1, "b": "other"}, {"a": (int, None)}),
        ({"x": 1.5, "y": 2}, {str: float}),
        (True, bool),
    ],
)
def test_a_value_matches_its_shape(value, shape):
    assert json_text.matches(value, shape)
    json_text.parse_as(json.dumps(value), shape)


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (True, int),
        (True, float),
        (1, bool),
        ("3", float),
        (10**400, float),
        (1.5, int),
        (["a", 1], [str]),
        ({}, {"a": int}),
        ([], {"a": (int, None)}),
        ({"x": "1"}, {str: float}),
        (None, dict),
    ],
)
def test_a_value_of_another_shape_is_a_value_error(value, shape):
    assert not json_text.matches(value, shape)
    with pytest.raises(ValueError, match="of another type"):
        json_text.parse_as(json.dumps(value), shape)


def test_a_number_of_thousands_of_digits_is_told_without_pythons_words():
    with pytest.raises(ValueError, match="thousands of digits"):
        json_text.parse("9" * 5000)


@pytest.mark.parametrize(
    ("value", "number"),
    [(3, 3), (3.0, 3), ("3", 3), (" -3.0 ", -3), (3.5, None), ("3.5", None)]
    + [(True, None), (None, None), (float("nan"), None), ([3], None)],
)
def test_whole_numbers_may_be_text_or_floats(value, number):
    assert json_text.whole_number(value) == number


@dataclasses.dataclass
class Size:
    height: int
    width: int = 5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"height": 3, "depth": 1, "area": 2}, "unknown fields 'area', 'dep"),
        ({"width": 3}, "missing field 'height'"),
    ],
)
def test_fields_that_a_dataclass_lacks_or_requires_are_named(values, message):
    with pytest.raises(json_text.FieldsError, match=message):
        json_text.build(Size, values)


def test_a_dataclass_is_built_with_its_defaults():
    assert json_text.build(Size, {"height": 3}) == Size(3, 5)
