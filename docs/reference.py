"""Generate the reference pages of the site from the code.

`hooks.py` adds these pages to the site when MkDocs builds it.
"""

import contextlib
import dataclasses
import importlib
import inspect
import io
import os
import re
import sys
import tempfile
import typing
from collections.abc import Callable, Iterator, Sequence
from unittest import mock

import nonlocal_tf as nl
from nonlocal_tf import detection
from nonlocal_tf.pretrained import published_weights, weights_sources
from training import export
from training.__main__ import GROUPS
from training.data import DATASETS
from training.data.sampling_config import SamplingConfig
from training.io import tables
from training.recipes import RECIPES, overrides, schema

# Names of `training` for scripts, with the members to document.
TRAINING = {
    "Data": (
        ("training.data.load",),
        ("training.data.Dataset", "splits", "batches", "source", "set_epoch"),
    ),
    "Export and prediction": (
        ("training.export.saved_model",),
        ("training.predict.predict",),
    ),
    "Evaluation": (
        ("training.evaluation.evaluate",),
        ("training.evaluation.Evaluation", "metrics", "accuracy"),
        ("training.evaluation.Classifier",),
    ),
    "Detection": (
        ("training.data.load_coco",),
        ("training.evaluation.evaluate_detector",),
        ("training.export.detector",),
    ),
    "Callbacks": tuple(
        (f"training.loop.callbacks.{name}",)
        for name in (
            "ExactResume",
            "MovingAverage",
            "PreciseBatchNorm",
            "ListBadVideos",
        )
    ),
}
# Sizes of the example of an export.
TINY = {"sampling": "8x8", "clip_shape": (8, 32, 32, 3), "width": 4}
# Public names that are values, which mkdocstrings has no documentation of.
VALUES = ("__version__", "BGR", "RGB", "X152_32X8D")


def python() -> str:
    """Document the names of `nonlocal_tf`."""
    return _names(
        "nonlocal_tf",
        nl.__all__,
        "`import nonlocal_tf as nl` gives these names. They run on TensorFlow "
        "and JAX.",
    )


def detection_in_python() -> str:
    """Document the names of `nonlocal_tf.detection`."""
    return _names(
        "nonlocal_tf.detection",
        detection.__all__,
        "`from nonlocal_tf import detection` gives these names. They need the "
        "TensorFlow backend.",
    )


def _names(module: str, names: Sequence[str], introduction: str) -> str:
    directives = [
        f"::: {module}.{name}" for name in sorted(set(names) - set(VALUES))
    ]
    return "\n\n".join([f"# {module}", introduction, *directives])


def training_in_python() -> str:
    """Document the names of `nonlocal_tf.training` for scripts."""
    parts = [
        "# nonlocal_tf.training",
        "`from nonlocal_tf.training import data, evaluation, export` gives "
        "what a [script](../own_script.md) needs. In a clone that is not "
        "installed, the package is called `training`.",
    ]
    for title, names in TRAINING.items():
        parts.append(f"## {title}")
        parts += [_directive(name, *members) for name, *members in names]
    return "\n\n".join(parts)


def _directive(name: str, *members: str) -> str:
    """Return a directive of mkdocstrings, under the installed name."""
    listed = ", ".join(members)
    return (
        f"::: {name}\n    options:\n"
        f'      heading: "nonlocal_tf.{name}"\n      heading_level: 3\n'
        f"      members: [{listed}]"
    )


def commands() -> str:
    """Print the help of every command."""
    parts = [
        "# Commands",
        "What `nonlocal-tf COMMAND --help` prints. User errors print one line "
        "and exit with code 2.",
    ]
    for title, names in GROUPS.items():
        parts.append(f"## {title}")
        parts += [f"### {name}\n\n```text\n{_help(name)}```" for name in names]
    return "\n\n".join(parts)


def _help(command: str) -> str:
    """Return the help of a command."""
    module = importlib.import_module(f"training.{command}")
    with (
        contextlib.redirect_stdout(io.StringIO()) as printed,
        contextlib.suppress(SystemExit),
        mock.patch.dict(os.environ, {"COLUMNS": "80"}),
    ):
        module.main(["--help"])
    return printed.getvalue()


def recipes() -> str:
    """Document the fields of recipes, and list the recipes."""
    parts = [
        "# Recipe fields",
        "`nonlocal-tf train --set FIELD=VALUE` changes a field; "
        "`nonlocal-tf train --recipe NAME --print` prints all fields of a "
        "recipe. Values are spelt as in JSON or Python.",
    ]
    titles = {"model": "Video classification", "detector": "Detection"}
    for key, description in overrides.SCHEMAS.items():
        parts.append(f"## {titles[key]}")
        for prefix, config in _configs("", description.recipe):
            title = f"`{prefix}*`" if prefix else "Top level"
            parts.append(f"### {title} {{ #{key}-{prefix.strip('.')} }}")
            parts.append(tables.markdown(_fields(prefix, config)))
    parts.append("## Recipes")
    rows = [("recipe", "")]
    rows += [(f"`{name}`", make().description) for name, make in _sorted()]
    return "\n\n".join([*parts, tables.markdown(rows)])


def _sorted() -> list[tuple[str, Callable]]:
    return sorted(RECIPES.items())


def _configs(prefix: str, config: type) -> Iterator[tuple[str, type]]:
    """Yield a dataclass and those of its fields, with their prefixes."""
    yield prefix, config
    types = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        nested = _nested(types[field.name])
        if nested is not None and not issubclass(nested, schema.BaseRecipe):
            yield from _configs(f"{prefix}{field.name}.", nested)


def _nested(annotation: typing.Any) -> type | None:
    """Return the dataclass of an annotation such as `Config | None`."""
    for option in (annotation, *typing.get_args(annotation)):
        if dataclasses.is_dataclass(option) and isinstance(option, type):
            return option
    return None


def _fields(prefix: str, config: type) -> list[tuple[str, ...]]:
    """Return a table of the fields of a dataclass."""
    rows: list[tuple[str, ...]] = [("field", "type", "default", "meaning")]
    meanings = field_meanings(config)
    for field in dataclasses.fields(config):
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        is_shown = default is not dataclasses.MISSING
        is_shown = is_shown and not dataclasses.is_dataclass(default)
        rows.append(
            (
                f"`{prefix}{field.name}`",
                f"`{_type(field.type)}`",
                f"`{default!r}`" if is_shown else "",
                meanings.get(field.name, ""),
            )
        )
    return rows


def _type(annotation: typing.Any) -> str:
    text = annotation
    if not isinstance(annotation, str):
        text = inspect.formatannotation(annotation)
    text = re.sub(r"\b(?:[a-z_]\w*\.)+(?=\w)", "", text)  # modules
    return text.replace(" | ", " or ")  # a bar ends a cell


def field_meanings(config: type) -> dict[str, str]:
    """Read the `Attributes` of a dataclass and its bases from docstrings."""
    meanings: dict[str, str] = {}
    for cls in reversed(config.__mro__):
        text = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
        _, _, section = text.partition("Attributes:\n")
        section = re.split(r"^\S", section, maxsplit=1, flags=re.M)[0]
        for match in re.finditer(
            r"^    (\w+): (.*(?:\n {5,}.*)*)", section, re.M
        ):
            meanings[match[1]] = " ".join(match[2].split())
    return meanings


def datasets() -> str:
    """Document the layouts of the data sets."""
    parts = [
        "# Data sets",
        "`--set dataset=NAME` chooses one of these in a recipe, "
        "`--dataset NAME` in `nonlocal-tf check` and `shards`.",
    ]
    modules: dict[str, list[str]] = {}
    for name, cls in DATASETS.items():
        modules.setdefault(cls.__module__, []).append(name)
    for module, names in sorted(modules.items()):
        title = ", ".join(f"`{name}`" for name in sorted(names))
        text = inspect.getdoc(sys.modules[module]) or ""
        parts += [f"## {title}", text]
    return "\n\n".join(parts)


def weights() -> str:
    """List the published weights, by their sources."""
    parts = [
        "# Published weights",
        "`nl.create_model(network, weights=name)` downloads and loads them; "
        "[Networks and weights](../networks.md#published-weights) says how. "
        "The first are part of the package. Of the others, addresses and "
        "accuracies are those of the projects' own pages: the files were not "
        "downloaded here. The digits at the end of a file's "
        "name, where it has them, begin its SHA-256 and are verified.",
    ]
    for key, source in weights_sources.SOURCES.items():
        rows = [("network", "name", "clip", "accuracy", "file")]
        rows += [
            (
                f"`{row.network}`",
                f"`{row.name}`",
                row.clip,
                row.accuracy_text,
                "" if row.is_included else f"[{row.file}]({row.address})",
            )
            for row in published_weights.ROWS
            if row.source == key
        ]
        page = f", [their page]({source.page})" * bool(source.page)
        parts += [
            f"## {source.title[0].upper()}{source.title[1:]}",
            f"License: {source.license}{page}. Pixels: {source.pixels}.",
            tables.markdown(rows),
        ]
    return "\n\n".join(parts)


def signatures() -> str:
    """Describe the signatures of an exported network with a block."""
    model = nl.create_model("c2d_nl1_r50", num_classes=3, **TINY)
    with tempfile.TemporaryDirectory() as folder:
        version = export.saved_model(
            model,
            f"{folder}/example",
            classes=("jump", "run", "walk"),
            sampling=SamplingConfig(frames=8, crop_px=32),
        )
        card = (version / "README.md").read_text("utf-8")
    section = re.search(r"## Signatures\n+(.*?)(?=\n## )", card, re.S)
    return (
        "# Signatures\n\nOf `c2d_nl1_r50`, exported with three classes. The "
        "card of every exported model has this table; "
        "[SavedModels](../../../savedmodels/README.md) explains the tensors."
        f"\n\n{section[1]}"
    )


PAGES = {
    "reference/nonlocal_tf.md": python,
    "reference/training.md": training_in_python,
    "reference/weights.md": weights,
    "reference/detection.md": detection_in_python,
    "reference/signatures.md": signatures,
    "reference/commands.md": commands,
    "reference/recipes.md": recipes,
    "reference/datasets.md": datasets,
}
