"""Describe a run for the model card of its export."""

import dataclasses
import pathlib

from ..data.sampling_config import SamplingConfig
from ..exporting.model_card import ModelDescription
from ..recipes import overrides
from ..recipes.schema import AnyRecipe
from . import provenance, report_sections, report_tests, run_report
from .run_folder import RunFolder


def describe(run: RunFolder, name: str) -> ModelDescription:
    """Collect results, license and provenance of a run.

    Args:
        run: the trained run.
        name: of the model.
    """
    recipe = without_folders(run.read_recipe())
    sampling = getattr(recipe, "sampling", None)
    rows = run_report.read_metrics(run)
    return ModelDescription(
        name=name,
        summary=recipe.description,
        dataset=getattr(recipe, "dataset", "Annotated images"),
        license=provenance.licences(run.read_provenance()),
        sampling=sampling if isinstance(sampling, SamplingConfig) else None,
        results=(
            report_sections.result(run, recipe, rows),
            report_tests.section(run),
            report_sections.trained(run, recipe),
        ),
        reproduction=(
            report_sections.repeat(recipe),
            report_sections.machines(run),
        ),
    )


def without_folders(recipe: AnyRecipe) -> AnyRecipe:
    """Shorten paths of a recipe to file names, for publication."""

    def name(path: str | None) -> str | None:
        return path and pathlib.PurePath(path.partition("?")[0]).name

    changes: dict = {}
    for field, paths in (
        ("model", ("weights",)),
        ("start", ("weights",)),
        ("data", overrides.schema_of(recipe).data_paths),
    ):
        config = getattr(recipe, field, None)
        if config is not None:
            named: dict = {path: name(getattr(config, path)) for path in paths}
            changes[field] = dataclasses.replace(config, **named)
    return dataclasses.replace(recipe, **changes)
