"""The model card of an exported version: README.md, made from its run."""

import dataclasses
import pathlib
import time

import keras
import numpy as np

from nonlocal_tf import preprocess

from .. import report
from ..evaluation import video_scores
from ..io import quoting, tables
from ..recipes.schema import Recipe
from ..runs import provenance, report_sections, report_tests, run_folder
from ..runs.run_folder import RunFolder
from . import comparison, saved_model_writer
from .saved_model import SavedModel
from .served_model import ServedModel

CARD = "README.md"
MOST_CLASSES = 20  # of their names
CALLS = 5  # of which the median is the latency
# Of `DataConfig`.
PATHS = ("root", "train", "validation", "test", "classes", "cache")
MEANINGS = {
    "serving_default": "classes of clips",
    "serve_frames": "classes of a whole video, from its encoded frames: "
    "{clips} x {crops} views of {frames} frames, {pooled}",
    "features": "what the last layer sees of clips",
    "attention": "where the cell at a pixel looks, in one of the blocks "
    "{blocks}",
}


def render(
    name: str,
    run: RunFolder,
    served: ServedModel,
    version: pathlib.Path,
    dtype: str,
    trained: keras.Model,
) -> str:
    """The card as Markdown.

    Args:
        name: of the model.
        run: that it was exported from.
        served: what was exported.
        version: where it was, all but the card; it is loaded and timed.
        dtype: of the weights as they are kept.
        trained: the network that the version answers for.
    """
    recipe = _without_folders(run.read_recipe(Recipe))
    model = SavedModel(version)
    rows = report.read_metrics(run)
    description = quoting.one_line(recipe.description)
    parts = [
        f"# {quoting.one_line(name)}",
        f"{description[:1].upper()}{description[1:]}. A "
        "SavedModel, made by `nonlocal-tf export`; loading it takes "
        "TensorFlow alone.",
        _signatures(served, model),
        _speed(served, model, trained, _bytes_of(version), dtype),
        report_sections.result(run, recipe, rows),
        report_tests.section(run),
        report_sections.trained(run, recipe),
        _data(served),
        "## Licence\n\nThe code is Apache-2.0. "
        + provenance.licences(run.read_origins()),
        report_sections.repeat(recipe),
        report_sections.machines(run),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _without_folders(recipe: Recipe) -> Recipe:
    """The recipe with names in place of paths: a card is for others."""

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


def _signatures(served: ServedModel, model: SavedModel) -> str:
    """What may be asked of the model."""
    rows: list[tuple[str, ...]] = [("signature", "gives", "inputs", "outputs")]
    for name in MEANINGS:
        if name in model.signatures:
            signature = model.signatures[name]
            rows.append(
                (
                    f"`{name}`",
                    _meaning(name, served),
                    _specs(signature.structured_input_signature[1]),
                    _specs(signature.structured_outputs),
                )
            )
    return (
        f"## Signatures\n\n{tables.markdown(rows)}\n\n"
        "Sizes that are not given may be any; `clips` and `images` are uint8 "
        f"RGB, frames JPEG or PNG. It was trained on {_trained_on(served)}."
    )


def _data(served: ServedModel) -> str:
    """What it was trained on, and so what it can know."""
    dataset = served.dataset
    shown = map(quoting.one_line, dataset.classes[:MOST_CLASSES])
    classes = ", ".join(shown)
    more = len(dataset.classes) - MOST_CLASSES
    rest = f" and {more} more (assets/classes.txt)" if more > 0 else ""
    parts = [
        f"## Data\n\n{quoting.markdown_code(served.recipe.dataset)}: "
        f"{quoting.one_line(dataset.description)}. It "
        f"knows {len(dataset.classes)} classes and nothing else: {classes}"
        f"{rest}.",
        dataset.overview(),
    ]
    return "\n\n".join(filter(None, parts))


def _meaning(name: str, served: ServedModel) -> str:
    seen = served.of_videos
    if seen is None:
        return MEANINGS[name].replace("clips", "images")
    blocks = saved_model_writer.blocks(served)
    return MEANINGS[name].format(
        clips=seen.views.clips,
        crops=seen.views.crops or 1,
        frames=seen.sampling.frames,
        pooled=video_scores.POOL_NAMES[seen.views.pool],
        blocks=", ".join(f"`{block}`" for block in blocks),
    )


def _trained_on(served: ServedModel) -> str:
    shape = " x ".join(str(side) for side in served.dataset.element_shape[:-1])
    sampling = served.recipe.sampling
    if sampling is None:
        return f"{shape} pixels"
    rate = f", at {sampling.fps:g} frames a second" if sampling.fps else ""
    return (
        f"{shape} (frames, height, width), each {sampling.frame_stride} frames "
        f"of a video apart{rate}"
    )


def _specs(specs) -> str:
    """`name`: dtype (sizes), of each tensor."""
    return ", ".join(
        f"`{key}` {spec.dtype.name} "
        f"({', '.join('?' if n is None else str(n) for n in spec.shape)})"
        for key, spec in sorted(specs.items())
    )


def _speed(
    served: ServedModel,
    model: SavedModel,
    trained: keras.Model,
    size: int,
    dtype: str,
) -> str:
    """Size, latency, and that it computes what the trained network does."""
    request = saved_model_writer.requests(served)["serving_default"]
    (gray,) = request.values()
    seconds = _median_seconds(model, gray)
    name, pixels = comparison.examples(served.dataset, served.recipe)

    def expected(batch):
        logits = trained(preprocess.normalize(batch), training=False)
        return served.scores(logits)

    error = comparison.furthest(model.probabilities, expected, pixels)
    rows = [
        ("", ""),
        ("weights", f"{dtype}, {served.network.count_params():,}"),
        ("size on disk", f"{size / 1e6:.1f} MB"),
        (
            f"probabilities of {name}, at most this far from the run's",
            f"{error:.1e}",
        ),
        (f"seconds a clip of that size, median of {CALLS}", f"{seconds:.3f}"),
        ("on", str(run_folder.versions()["machine"])),
    ]
    return f"## Size and speed\n\n{tables.markdown(rows)}"


def _median_seconds(model: SavedModel, pixels: np.ndarray) -> float:
    model.probabilities(pixels)  # traces and allocates
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        model.probabilities(pixels)
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def _bytes_of(version: pathlib.Path) -> int:
    return sum(f.stat().st_size for f in version.rglob("*") if f.is_file())
