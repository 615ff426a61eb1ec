"""Recipes as text: `--set` settings, and JSON in run folders."""

import ast
import dataclasses
import json
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from nonlocal_tf.choices import unknown
from training.errors import UserError
from training.recipe import Plan, Recipe
from training.recipe_check import check

AnyRecipe = TypeVar("AnyRecipe", bound=Plan)
# What is said of a run but decides nothing.
WORDS = ("description", "reference")


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of recipes.

    Attributes:
        recipe: its dataclass.
        mark: a field that no other kind has.
        check: returns a recipe if its numbers fit together.
        commands: the package of the commands that take its runs.
    """

    recipe: type[Plan]
    mark: str
    check: Callable[[Any], Any]
    commands: str


VIDEOS = Kind(Recipe, "model", check, "training")


def override(
    recipe: AnyRecipe, settings: Iterable[str], kind: Kind = VIDEOS
) -> AnyRecipe:
    """Applies `--set` settings such as "optimizer.base_lr=0.02".

    Values are read as Python literals where they are one, else as text, and
    must be of the field's type.

    Raises:
        UserError: a field does not exist or a value does not fit it.
    """
    return kind.check(apply(recipe, settings))


def apply(config: Any, settings: Iterable[str]) -> Any:
    """Applies `--set` settings to any dataclass; what `override` does first.

    Raises:
        UserError: a field does not exist or a value does not fit it.
    """
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise UserError(
                f"Expected --set field=value. Received: {setting!r}"
            )
        config = _replace(config, path.split("."), text, setting)
    return config


def to_json(recipe: Any) -> str:
    """The resolved recipe as text; `from_json` gives it back."""
    return json.dumps(dataclasses.asdict(recipe), indent=2)


def from_json(text: str, kind: Kind = VIDEOS) -> Any:
    """Reads what `to_json` wrote.

    Raises:
        UserError: the text is not a recipe of this version, or not of this
            kind.
    """
    try:
        values = json.loads(text)
        if isinstance(values, dict) and kind.mark not in values:
            raise TypeError(
                f"it has no {kind.mark!r}, which the runs of {kind.commands}.* "
                "have"
            )
        return kind.check(_build(kind.recipe, values))
    except (ValueError, TypeError) as error:  # JSON's is a ValueError
        raise UserError(f"Not a recipe of this version: {error}") from error


def differences(first: Plan, second: Plan) -> list[str]:
    """Settings in which two recipes differ, as "field: first, second".

    Descriptions and references do not count: they decide nothing.
    """
    one, two = _flatten(first), _flatten(second)
    return [
        f"{key}: {one.get(key)!r}, {two.get(key)!r}"
        for key in dict.fromkeys([*one, *two])
        if one.get(key) != two.get(key) and not set(key.split(".")) & set(WORDS)
    ]


def settings(start: Recipe, end: Recipe) -> list[str] | None:
    """The `--set` settings that make one recipe of another.

    Descriptions and references are left as they are: they decide nothing.

    Returns:
        Settings such as "optimizer.base_lr=0.02", or None where none can:
        a recipe keeps its name, and gets no image stage.
    """
    one, two = _flatten(start), _flatten(end)
    found = [
        f"{key}={value}"
        for key, value in two.items()
        if (key not in one or one[key] != value)
        and not set(key.split(".")) & set(WORDS)
    ]
    try:
        reached = override(start, found)
    except UserError:
        return None
    return None if differences(reached, end) else found


def _replace(config, path: list[str], text: str, setting: str):
    """`config` with the field at `path` set to what `text` says."""
    name, *rest = path
    hints = typing.get_type_hints(type(config))
    if name not in hints:
        raise UserError(
            f"In --set {setting}: "
            + unknown(f"field of {type(config).__name__}", name, hints)
        )
    if name == "name" and isinstance(config, Plan):
        raise UserError(f"In --set {setting}: a recipe keeps its name.")
    child = getattr(config, name)
    if rest and child is None:
        child = _defaults(hints[name])
    if rest and not dataclasses.is_dataclass(child):
        raise UserError(
            f"In --set {setting}: {name!r} is {child!r} in this recipe and "
            "has no fields."
        )
    if rest:
        value = _replace(child, rest, text, setting)
    else:
        value = _parse(text, hints[name], setting)
    return dataclasses.replace(config, **{name: value})


def _defaults(hint: Any):
    """A dataclass that `hint` allows, with its defaults, or None."""
    for kind in typing.get_args(hint):
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            if issubclass(kind, Plan):
                return None
            return kind()
    return None


def _parse(text: str, hint: Any, setting: str):
    """The value that `text` stands for, of a type that `hint` allows."""
    kinds = typing.get_args(hint) if _is_union(hint) else (hint,)
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = text
    if type(value) is int and float in kinds and int not in kinds:
        value = float(value)
    for kind in kinds:
        if typing.get_origin(kind) is tuple:
            found = _numbers(value, kind)
            if found is not None:
                return found
    if type(value) not in kinds and str in kinds:
        value = text  # a folder may be called 2024
    if type(value) not in kinds:
        expected = " or ".join(map(_called, kinds))
        raise UserError(
            f"In --set {setting}: expected {expected}. Received: {text!r}"
        )
    return value


def _numbers(value, kind) -> tuple | None:
    """A value as numbers of a kind of tuple, or None if it is none."""
    item, *others = typing.get_args(kind)
    values = value if isinstance(value, tuple) else (value,)
    count = None if Ellipsis in others else 1 + len(others)
    allowed = (int, float) if item is float else (item,)
    if count not in (None, len(values)):
        return None
    if not all(type(one) in allowed for one in values):
        return None
    return tuple(map(item, values))


def _called(kind) -> str:
    """A type in a user's words."""
    if kind is type(None):
        return "None"
    if typing.get_origin(kind) is not tuple:
        return kind.__name__
    item, *others = typing.get_args(kind)
    numbers = "numbers" if item is float else "whole numbers"
    if Ellipsis in others:
        return f"{numbers} such as 150000,300000"
    return f"{1 + len(others)} {numbers}, separated by commas"


def _build(cls, values: Any):
    if not isinstance(values, dict):
        raise TypeError(f"expected the fields of {cls.__name__}: {values!r}")
    hints = typing.get_type_hints(cls)
    return cls(
        **{
            name: _build(_dataclass_of(hints[name]), value)
            if isinstance(value, dict) and not _may_be(hints.get(name), dict)
            else tuple(value)
            if isinstance(value, list)
            else value
            for name, value in values.items()
        }
    )


def _may_be(hint: Any, kind: type) -> bool:
    """Whether a field takes a value of a kind; an unknown one takes all."""
    return hint is None or kind in (typing.get_args(hint) or (hint,))


def _dataclass_of(hint: Any):
    kinds = typing.get_args(hint) if _is_union(hint) else (hint,)
    for kind in kinds:
        if dataclasses.is_dataclass(kind):
            return kind
    raise TypeError(f"a field of {hint} has fields of its own")


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _flatten(config, prefix: str = "") -> dict[str, Any]:
    flat = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            flat.update(_flatten(value, f"{prefix}{field.name}."))
        else:
            flat[prefix + field.name] = value
    return flat
