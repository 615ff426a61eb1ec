"""Describe a run for the model card of its export."""

import dataclasses
import pathlib

from ..exporting.model_card import ModelDescription
from ..recipes.schema import Recipe
from . import provenance, report_sections, report_tests, run_report
from .run_folder import RunFolder

# Fields of `DataConfig` that are paths.
PATHS = ("root", "train", "validation", "test", "classes", "cache")


def describe(run: RunFolder, name: str) -> ModelDescription:
    """Collect results, license and provenance of a run.

    Args:
        run: the trained run.
        name: of the model.
    """
    recipe = without_folders(run.read_recipe())
    rows = run_report.read_metrics(run)
    return ModelDescription(
        name=name,
        summary=recipe.description,
        dataset=recipe.dataset,
        license=provenance.licences(run.read_provenance()),
        sampling=recipe.sampling,
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


def without_folders(recipe: Recipe) -> Recipe:
    """Shorten paths of a recipe to file names, for publication."""

    def name(path: str | None) -> str | None:
        return path and pathlib.PurePath(path.partition("?")[0]).name

    model = dataclasses.replace(
        recipe.model, weights=name(recipe.model.weights)
    )
    data = recipe.data
    if data is not None:
        named: dict = {field: name(getattr(data, field)) for field in PATHS}
        data = dataclasses.replace(data, **named)
    return dataclasses.replace(recipe, model=model, data=data)
