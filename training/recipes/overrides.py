"""Recipes as text: `--set` settings, and JSON in run folders."""

import dataclasses
import json
import reprlib
import typing
from collections.abc import Callable, Iterable
from typing import Any

from nonlocal_tf.choices import unknown

from ..data.data_config import SPLITS
from ..io import json_text
from ..io.user_error import UserError
from . import detection_schema, field_values, validation
from .schema import AnyRecipe, BaseRecipe, Recipe

# Fields that describe a run and decide nothing.
DESCRIPTIVE = ("description", "reference")


@dataclasses.dataclass(frozen=True)
class Schema:
    """Recipes of one task as text.

    Attributes:
        recipe: their dataclass.
        check: validates and returns a recipe.
        data_paths: fields of `data` that are paths. A run may be resumed with
            others if the data there is the same.
    """

    recipe: type[BaseRecipe]
    check: Callable[[Any], Any]
    data_paths: tuple[str, ...]


class OtherVersionError(UserError):
    """The fields of a recipe are those of another version."""


# By the field that the recipes of no other task have.
SCHEMAS = {
    "model": Schema(
        Recipe,
        validation.check,
        ("root", *SPLITS, "classes", "groups", "cache"),
    ),
    "detector": Schema(
        detection_schema.DetectionRecipe,
        detection_schema.check,
        ("train", "images", "validation", "validation_images"),
    ),
}


def schema_of(recipe: BaseRecipe) -> Schema:
    """The schema of a recipe's task."""
    return next(s for s in SCHEMAS.values() if isinstance(recipe, s.recipe))


def override(recipe: AnyRecipe, settings: Iterable[str]) -> AnyRecipe:
    """Applies `--set` settings such as "optimizer.base_lr=0.02".

    Values are spelt as in JSON or Python, in any case, and must be of the
    field's type: `training.recipes.field_values`.

    Raises:
        UserError: a field does not exist or a value does not fit it.
    """
    try:
        return schema_of(recipe).check(apply(recipe, settings))
    except ValueError as error:  # a detector's configuration checks itself
        raise UserError(str(error)) from error


def apply(config: Any, settings: Iterable[str]) -> Any:
    """Applies `--set` settings to any dataclass; what `override` does first.

    A dataclass checks itself once all settings are applied. A value in braces,
    such as `sampling={"fps": 30, "flip": false}`, sets the fields it names.

    Raises:
        UserError: a field does not exist or a value does not fit it.
    """
    draft = _draft(config)
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise UserError(
                f"Expected --set field=value. Received: {setting!r}"
            )
        try:
            _set(draft, path.strip().split("."), text, setting)
        except _UnknownFieldError as error:
            raise UserError(_elsewhere(config, error)) from None
    return _final(draft)


def to_json(recipe: Any) -> str:
    """The resolved recipe as text; `from_json` gives it back."""
    return json.dumps(dataclasses.asdict(recipe), indent=2)


def from_json(text: str, is_checked: bool = True) -> Any:
    """Read a recipe of any task that `to_json` wrote.

    Args:
        text: the JSON.
        is_checked: whether its values must go together; `override` checks it.

    Raises:
        OtherVersionError: its fields are not those of this version.
        UserError: the text is not a recipe.
    """
    try:
        values = json_text.parse_as(text, {str: object})
        schemas = [SCHEMAS[field] for field in SCHEMAS if field in values]
        if len(schemas) != 1:
            raise TypeError(f"expected one of the fields {', '.join(SCHEMAS)}")
        (schema,) = schemas
        recipe = _build(schema.recipe, values)
        return schema.check(recipe) if is_checked else recipe
    except json_text.FieldsError as error:
        raise OtherVersionError(
            f"Not a recipe of this version of nonlocal-tf: {error}"
        ) from error
    except (ValueError, TypeError) as error:  # JSON's is a ValueError
        raise UserError(f"Not a recipe of this version: {error}") from error


def differences(
    first: BaseRecipe, second: BaseRecipe, ignore_data_paths: bool = False
) -> list[str]:
    """Settings in which two recipes differ, as "field: first, second".

    Descriptions and references do not count: they decide nothing.

    Args:
        first: a recipe.
        second: another one.
        ignore_data_paths: whether the paths of the data do not count either.
    """
    before, after = _flatten(first), _flatten(second)
    ignored: set[tuple[str, ...]] = set()
    if ignore_data_paths:
        ignored = {("data", field) for field in schema_of(first).data_paths}
    return [
        f"{key}: {before.get(key)!r}, {after.get(key)!r}"
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
        and not set(key.split(".")) & set(DESCRIPTIVE)
        and tuple(key.split(".")[-2:]) not in ignored
    ]


def settings(start: BaseRecipe, target: BaseRecipe) -> list[str] | None:
    """Return the `--set` settings that turn one recipe into another.

    Descriptions and references are left as they are: they decide nothing.

    Returns:
        Settings such as "optimizer.base_lr=0.02", or None where none can:
        a recipe keeps its name, and gets no image stage.
    """
    before, after = _flatten(start), _flatten(target)
    changes = [
        f"{key}={field_values.write(value)}"
        for key, value in after.items()
        if (key not in before or before[key] != value)
        and not set(key.split(".")) & set(DESCRIPTIVE)
    ]
    try:
        reached = override(start, changes)
    except UserError:
        return None
    return None if differences(reached, target) else changes


@dataclasses.dataclass
class _Draft:
    """A dataclass that is being changed: checked when it is made, at the end.

    Attributes:
        kind: the dataclass.
        values: of its fields; of dataclasses, their drafts.
    """

    kind: type
    values: dict[str, Any]


def _draft(config: Any) -> Any:
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        return config
    names = [field.name for field in dataclasses.fields(config)]
    return _Draft(
        type(config), {name: _draft(getattr(config, name)) for name in names}
    )


def _final(draft: Any) -> Any:
    if not isinstance(draft, _Draft):
        return draft
    return draft.kind(**{n: _final(value) for n, value in draft.values.items()})


class _UnknownFieldError(UserError):
    """A dataclass does not have the field of a setting.

    Attributes:
        name: of the field.
        beginning: of the message, which names the setting.
    """

    def __init__(self, beginning: str, kind: type, name: str, names):
        super().__init__(
            f"{beginning}{unknown(f'field of {kind.__name__}', name, names)}"
        )
        self.name, self.beginning = name, beginning


def _elsewhere(config: Any, error: _UnknownFieldError) -> str:
    """Say which groups of settings have an unknown field, if any."""
    paths = _paths_to(error.name, type(config))
    if not paths:
        return str(error)
    return f"{error.beginning}there is no such field. Did you mean " + (
        f"{' or '.join(paths)}?"
    )


def _paths_to(name: str, kind: type, prefix: str = "") -> list[str]:
    """List the fields of a name in a dataclass and in those it holds."""
    paths = []
    for field, hint in typing.get_type_hints(kind).items():
        if field == name:
            paths.append(prefix + field)
        for inner in _dataclasses_of(hint):
            if not issubclass(inner, BaseRecipe):  # an image stage
                paths += _paths_to(name, inner, f"{prefix}{field}.")
    return paths


def _set(draft: _Draft, path: list[str], text: str, setting: str) -> None:
    """Sets the field at `path` to what `text` says."""
    name, *rest = path
    hints = typing.get_type_hints(draft.kind)
    if name not in hints:
        raise _UnknownFieldError(
            f"In --set {setting}: ", draft.kind, name, hints
        )
    if name == "name" and issubclass(draft.kind, BaseRecipe):
        raise UserError(f"In --set {setting}: a recipe keeps its name.")
    inner = [(rest, text)] if rest else _inner_settings(text, hints[name])
    if inner is None:
        draft.values[name] = _parse(text, draft.kind, name, setting)
        return
    if draft.values[name] is None:
        draft.values[name] = _draft(_defaults(hints[name]))
    child = draft.values[name]
    if not isinstance(child, _Draft):
        raise UserError(
            f"In --set {setting}: {name!r} is {child!r} in this recipe and "
            "has no fields."
        )
    for inner_path, inner_text in inner:
        _set(child, inner_path, inner_text, setting)


def _inner_settings(text: str, hint: Any) -> list[tuple[list[str], str]] | None:
    """The settings in braces for a dataclass; None for any other text."""
    if not _dataclasses_of(hint):
        return None
    try:
        pairs = field_values.pairs(text)
    except ValueError:
        return None
    return [(key.split("."), value) for key, value in pairs]


def _defaults(hint: Any):
    """A dataclass that `hint` allows, with its defaults, or None."""
    for kind in _dataclasses_of(hint):
        return None if issubclass(kind, BaseRecipe) else kind()
    return None


def _parse(text: str, kind: type, name: str, setting: str):
    """The value that `text` stands for in a field of a dataclass."""
    hint = typing.get_type_hints(kind)[name]
    (field,) = (f for f in dataclasses.fields(kind) if f.name == name)
    words = field.metadata.get(field_values.TEXT_WORDS, ())
    try:
        return field_values.read(text, hint, words)
    except ValueError as error:
        raise UserError(
            f"In --set {setting}: expected {field_values.expected(hint)}. "
            f"Received: {text!r}"
        ) from error


def _build(cls, values: Any, prefix: str = ""):
    if not isinstance(values, dict):
        raise TypeError(
            f"expected the fields of {cls.__name__}: {reprlib.repr(values)}"
        )
    hints = typing.get_type_hints(cls)
    fields = {
        name: _build(_dataclass_of(hints[name]), value, f"{prefix}{name}.")
        if isinstance(value, dict) and not _may_be(hints.get(name), dict)
        else tuple(value)
        if isinstance(value, list)
        else value
        for name, value in values.items()
    }
    for name, value in fields.items():
        if name in hints and not field_values.fits(value, hints[name]):
            expected = field_values.expected(hints[name])
            raise TypeError(
                f"expected {name} to be {expected}: {reprlib.repr(value)}"
            )
    return json_text.build(cls, fields, prefix)


def _may_be(hint: Any, kind: type) -> bool:
    """Return whether a field accepts a type; an unknown field accepts all."""
    kinds = [] if hint is None else field_values.types_of(hint)
    return not kinds or kind in [typing.get_origin(k) or k for k in kinds]


def _dataclass_of(hint: Any):
    for kind in _dataclasses_of(hint):
        return kind
    raise TypeError(f"a field of {hint} has fields of its own")


def _dataclasses_of(hint: Any) -> list[type]:
    return [
        kind
        for kind in field_values.types_of(hint)
        if isinstance(kind, type) and dataclasses.is_dataclass(kind)
    ]


def _flatten(config, prefix: str = "") -> dict[str, Any]:
    flat = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            flat.update(_flatten(value, f"{prefix}{field.name}."))
        else:
            flat[prefix + field.name] = value
    return flat
