"""Values of `--set` settings: text to values of the fields' types.

JSON's and Python's spellings are read, in any case: true and True, null and
None, [1, 2] and (1, 2) and 1,2, {"fps": 30} and {'fps': 30}, "text" and 'text'
and text.
"""

import ast
import dataclasses
import json
import math
import sys
import types
import typing
import warnings
from collections.abc import Iterator
from typing import Any

TRUE = ("true", "yes", "on", "1", "y", "t")
FALSE = ("false", "no", "off", "0", "n", "f")
NONE = ("none", "null", "")
MAX_INTEGER = 2**31 - 1  # TensorFlow's sizes and seeds have 32 bits
# Metadata of a dataclass field of text or None: words that are text there.
TEXT_WORDS = "text_words"
OPENING, CLOSING, QUOTES = "([{", ")]}", "\"'"


def read(text: str, hint: Any, text_words: tuple[str, ...] = ()) -> Any:
    """Read a value of a type that a field's type hint allows.

    Args:
        text: as it was typed.
        hint: a type of Python, a tuple of such, or a union of them. Fields of
            dataclasses are not read here.
        text_words: spellings of None that are text in this field.

    Raises:
        ValueError: the text is not such a value; `expected` says what is.
    """
    kinds = types_of(hint)
    word = text.strip()
    string = _unquoted(word)
    if string is not None and str in kinds:
        return string
    if types.NoneType in kinds and word.lower() in NONE:
        if word not in text_words:
            return None
    for kind in kinds:
        if kind not in (str, types.NoneType):
            try:
                return _read_kind(word if string is None else string, kind)
            except ValueError:
                continue
    if str in kinds:
        return word or text  # a separator may be a space
    raise ValueError(f"no {hint}: {text!r}")


def items(text: str, brackets: str) -> list[str]:
    """Split the text of a list, tuple or dictionary at its outer commas.

    Args:
        text: such as "[3, (4, 5)]".
        brackets: that may be around it, such as "[]()".

    Raises:
        ValueError: brackets or quotes are not closed, or an item is empty.
    """
    text = text.strip()
    is_open = not text or text[0] not in brackets
    parts = list(_split(text if is_open else _inner(text, brackets), ","))
    if not parts[-1].strip():  # nothing at all, or a comma at the end
        parts.pop()
    if not all(part.strip() for part in parts):
        raise ValueError(f"an empty item in {text!r}")
    return parts


def pairs(text: str) -> list[tuple[str, str]]:
    """Split the text of a dictionary, such as "{'fps': 30}", into its pairs.

    Raises:
        ValueError: it is not one.
    """
    if not text.strip().startswith("{"):
        raise ValueError(f"no dictionary: {text!r}")
    problems = []
    for item in items(text, "{}"):
        key, *values = _split(item, ":")
        if not values:
            raise ValueError(f"no key and value: {item!r}")
        key = key.strip()
        unquoted = _unquoted(key)
        problems.append(
            (key if unquoted is None else unquoted, ":".join(values))
        )
    return problems


def write(value: Any) -> str:
    """Write a value as text that `read` gives it back from."""
    if not isinstance(value, str):
        return str(value)
    is_plain = value == value.strip() and value.lower() not in NONE
    if is_plain and value[0] not in QUOTES:
        return value
    return json.dumps(value, ensure_ascii=False)


def expected(hint: Any) -> str:
    """Name what is accepted for a field, for error messages."""
    kinds = types_of(hint)
    return ", or ".join(
        _accepted(kind, types.NoneType in kinds) for kind in kinds
    )


def types_of(hint: Any) -> tuple:
    """The types of a union; of another hint, itself."""
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if is_union else (hint,)


def fits(value: Any, hint: Any) -> bool:
    """Tell whether a field of a type takes a value."""
    return any(_is_of(value, kind) for kind in types_of(hint))


def _is_of(value: Any, kind: Any) -> bool:
    if typing.get_origin(kind) is tuple:
        items = typing.get_args(kind)
        if items[1:] == (Ellipsis,):
            items = items[:1] * len(value) if isinstance(value, tuple) else ()
        return (
            isinstance(value, tuple)
            and len(value) == len(items)
            and all(map(fits, value, items))
        )
    if typing.get_origin(kind) is typing.Literal:
        return value in typing.get_args(kind)
    if kind is bool or isinstance(value, bool):
        return isinstance(value, bool) and kind in (bool, Any)
    if kind is int:
        return isinstance(value, int) and abs(value) <= MAX_INTEGER
    if kind is float:
        return isinstance(value, float) or (
            isinstance(value, int) and abs(value) <= sys.float_info.max
        )
    return kind is Any or isinstance(value, typing.get_origin(kind) or kind)


def _read_kind(text: str, kind: Any) -> Any:
    if typing.get_origin(kind) is tuple:
        return _read_tuple(text, kind)
    if _plain(kind) is dict:
        return {key: _read_any(value) for key, value in pairs(text)}
    if typing.get_origin(kind) is typing.Literal:
        return _read_word(text, typing.get_args(kind))
    if kind is bool:
        return _read_bool(text)
    if kind is int:
        return _read_int(text)
    if kind is float:
        return _read_float(text)
    raise ValueError(f"no {kind}: {text!r}")


def _read_word(text: str, words: tuple[str, ...]) -> str:
    if text.lower() not in words:
        raise ValueError(f"none of {', '.join(words)}: {text!r}")
    return text.lower()


def _read_bool(text: str) -> bool:
    if text.lower() not in TRUE + FALSE:
        raise ValueError(f"neither true nor false: {text!r}")
    return text.lower() in TRUE


def _read_int(text: str) -> int:
    number = _whole(text)
    if abs(number) > MAX_INTEGER:
        raise ValueError(f"above {MAX_INTEGER}: {text!r}")
    return number


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        if text.lower().lstrip("+-").startswith(("0x", "0b", "0o")):
            return int(text, 0)
        number = float(text)
    if not number.is_integer():
        raise ValueError(f"no whole number: {text!r}")
    return int(number)


def _read_float(text: str) -> float:
    number = float(text)
    if math.isnan(number):
        raise ValueError("NaN is no value of a setting")
    return number


def _read_tuple(text: str, kind: Any) -> tuple:
    item, *further_types = typing.get_args(kind)
    is_none = text.strip().lower() in NONE
    parts = [] if is_none else items(text, "[]()")
    values = tuple(read(part, item) for part in parts)
    if Ellipsis not in further_types and len(values) != 1 + len(further_types):
        raise ValueError(f"{len(values)} values")
    return values


def _read_any(text: str) -> Any:
    """A value within a dictionary, which has no hint; lists as JSON's."""
    text = text.strip()
    if text.startswith("{"):
        return _read_kind(text, dict)
    if text.startswith(("[", "(")):
        return [_read_any(part) for part in items(text, "[]()")]
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return int(text)
    except ValueError:
        return read(text, float | str | None)


def _unquoted(text: str) -> str | None:
    """The content of a quoted string, or None for other text."""
    if len(text) < 2 or text[0] not in QUOTES or text[-1] != text[0]:
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # "\d" in a Windows path
                value = parse(text)
        except (ValueError, SyntaxError):
            continue
        return value if isinstance(value, str) else None
    return None


def _inner(text: str, brackets: str) -> str:
    """Return the text between enclosing brackets."""
    closing = brackets[brackets.index(text[0]) + 1]
    if len(text) < 2 or text[-1] != closing:
        raise ValueError(f"brackets that are not closed: {text!r}")
    return text[1:-1]


def _split(text: str, separator: str) -> Iterator[str]:
    """The parts of a text between separators outside of brackets and quotes."""
    start, quote, is_escaped = 0, "", False
    closing: list[str] = []
    for place, character in enumerate(text):
        if is_escaped:
            is_escaped = False
        elif quote:
            is_escaped = character == "\\"
            quote = "" if character == quote else quote
        elif character in QUOTES:
            quote = character
        elif character in OPENING:
            closing.append(CLOSING[OPENING.index(character)])
        elif character in CLOSING:
            if not closing or closing.pop() != character:
                raise ValueError(f"brackets that do not match: {text!r}")
        elif character == separator and not closing:
            yield text[start:place]
            start = place + 1
    if quote or closing:
        raise ValueError(f"not closed: {text!r}")
    yield text[start:]


def _plain(kind: Any) -> Any:
    """A type without what is in it: dict for `dict[str, Any]`."""
    return typing.get_origin(kind) or kind


def _accepted(kind: Any, is_optional: bool) -> str:
    if dataclasses.is_dataclass(kind):
        fields = [field.name for field in dataclasses.fields(kind)]
        return f"{{...}} with fields of {', '.join(fields)}"
    if typing.get_origin(kind) is tuple:
        return _accepted_tuple(kind, is_optional)
    if typing.get_origin(kind) is typing.Literal:
        return " or ".join(typing.get_args(kind))
    return {
        bool: "true or false (also yes, no, on, off, 1, 0)",
        int: "a whole number such as 8",
        float: "a number such as 0.5 or 1e-3",
        str: "text",
        dict: "a dictionary such as {} or {'norm': 'batch'}",
        types.NoneType: "none (also null, or nothing after the =)",
    }[_plain(kind)]


def _accepted_tuple(kind: Any, is_optional: bool) -> str:
    item, *further_types = typing.get_args(kind)
    numbers, value = {
        int: ("whole numbers", "800"),
        float: ("numbers", "0.5"),
    }.get(item, ("values", "a"))
    if Ellipsis in further_types:
        examples = f"{value} or {value},{value} or [{value}, {value}]"
        empty = "" if is_optional else f", or none or [] for no {numbers}"
        return f"{numbers} such as {examples}{empty}"
    listed = ",".join([value] * (1 + len(further_types)))
    return f"{1 + len(further_types)} {numbers} such as {listed} or [{listed}]"
