"""JSON of files that may be damaged or made to do harm."""

import dataclasses
import functools
import json
import re
import sys
from collections.abc import Mapping
from typing import Any

_WHOLE_NUMBER = re.compile(r"\s*([+-]?\d{1,17})(\.0*)?\s*", re.ASCII)


def parse(content: str | bytes) -> Any:
    """Parse JSON as text, or as bytes in UTF-8, 16 or 32, also with a BOM.

    Raises:
        ValueError: it is not JSON, or nested deeper than Python reads.
    """
    if isinstance(content, str):
        content = content.removeprefix("\ufeff")
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("its brackets are nested too deep") from None
    except json.JSONDecodeError:
        raise
    except ValueError as error:
        if "integer string conversion" not in str(error):
            raise
        raise ValueError("a number of it has thousands of digits") from None


def parse_as(content: str | bytes, shape: Any) -> Any:
    """Parse JSON of a shape, as of `matches`.

    Raises:
        ValueError: it is not JSON, of another shape, or has text that cannot
            be written (lone surrogates).
    """
    value = parse(content)
    if not matches(value, shape):
        raise ValueError("not what was written: a value is of another type")
    json.dumps(value, ensure_ascii=False).encode()
    return value


class FieldsError(ValueError):
    """The fields of a file are not those of this version."""


def build(kind: Any, values: Mapping[str, Any], prefix: str = "") -> Any:
    """Create a dataclass from the fields of a file.

    Args:
        kind: the dataclass.
        values: values by field.
        prefix: of the fields' names in the error, such as "detector.".

    Raises:
        FieldsError: a field is unknown, or one without a default is missing.
    """
    fields, required = _field_names(kind)
    for problem, names in (
        ("unknown", set(values) - fields),
        ("missing", required - set(values)),
    ):
        if names:
            listed = ", ".join(f"{prefix + name!r}" for name in sorted(names))
            plural = "s" * (len(names) > 1)
            raise FieldsError(f"{problem} field{plural} {listed}")
    return kind(**values)


@functools.cache
def _field_names(kind: Any) -> tuple[frozenset[str], frozenset[str]]:
    """Return the fields of a dataclass, and those without a default."""
    fields, none = dataclasses.fields(kind), dataclasses.MISSING
    required = [
        field.name
        for field in fields
        if field.default is none and field.default_factory is none
    ]
    return frozenset(field.name for field in fields), frozenset(required)


def matches(value: Any, shape: Any) -> bool:
    """Tell whether a value of JSON has a shape.

    Args:
        value: of JSON.
        shape: a type; float for all numbers that are floats, also NaN; None; a
            tuple of shapes of which one is to match; a list with the shape of
            each item; or a dictionary of the shapes at its keys, where a
            missing key has the value None, or at all keys if its key is `str`.

    >>> matches({"a": [1, 2.5]}, {"a": [float], "b": (str, None)})
    True
    """
    if isinstance(shape, tuple):
        return any(matches(value, option) for option in shape)
    if isinstance(shape, list):
        return isinstance(value, list) and all(
            matches(item, shape[0]) for item in value
        )
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return False
        if str in shape:
            return all(matches(item, shape[str]) for item in value.values())
        return all(matches(value.get(key), shape[key]) for key in shape)
    if shape is None:
        return value is None
    if isinstance(value, bool) or shape is bool:
        return isinstance(value, bool) and shape is bool
    if shape is float:
        return _is_float(value)
    return isinstance(value, shape)


def whole_number(value: Any) -> int | None:
    """Return a whole number, also of 1.0 or "1", or None for all else."""
    if isinstance(value, str):
        match = _WHOLE_NUMBER.fullmatch(value)
        return int(match[1]) if match else None
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None


def _is_float(value: Any) -> bool:
    return isinstance(value, float) or (
        isinstance(value, int) and abs(value) <= sys.float_info.max
    )
