"""Write the model card (README.md) of an exported version."""

import dataclasses
import pathlib
import statistics
import timeit
from collections.abc import Callable, Sequence
from typing import Any

from ..data.sampling_config import SamplingConfig
from ..evaluation import video_scores
from ..evaluation.classifier import Classifier
from ..io import quoting, tables
from ..io.versions import machine
from . import comparison, saved_model_writer
from .comparison import Examples
from .inference_model import InferenceModel
from .saved_model import SavedModel

CARD = "README.md"
NO_LICENSE = "The license of the weights was not given."
MAX_CLASSES = 20  # that are named
CALLS = 5  # of which the median is the latency
MEANINGS = {
    "serving_default": "classes of clips",
    "serve_frames": "classes of a whole video, from its encoded frames: "
    "{clips} x {crops} views of {frames} frames, {pooled}",
    "features": "inputs of the last layer with weights, for clips",
    "serve_views": "classes of views as evaluation scores them: the mean over "
    "windows of the training size",
    "attention": "attention map of a query pixel, in one of the blocks "
    "{blocks}",
}


@dataclasses.dataclass(frozen=True)
class ModelDescription:
    """Facts on a model and its training, for its card.

    Attributes:
        name: of the model.
        summary: one sentence on the model.
        dataset: name of the training data set; "" if unknown.
        license: sentences on the license of the weights.
        sampling: of training clips; None for synthetic data.
        results: Markdown sections on results and training.
        reproduction: Markdown sections on command and environment.
        made_by: command or function that exports the model.
    """

    name: str
    summary: str
    dataset: str
    license: str
    sampling: SamplingConfig | None = None
    results: Sequence[str] = ()
    reproduction: Sequence[str] = ()
    made_by: str = "nonlocal-tf export"


def render(
    description: ModelDescription,
    model: InferenceModel,
    version: pathlib.Path,
    dtype: str,
    trained: Classifier,
    examples: Examples,
) -> str:
    """Format the card as Markdown.

    Args:
        description: of the model and its training.
        model: the exported network.
        version: directory of the export; it is loaded and timed.
        dtype: storage of the weights.
        trained: the network that was exported.
        examples: to compare the outputs on.
    """
    exported = SavedModel(version)
    return page(
        description,
        _signatures(description, model, exported),
        _speed(model, exported, trained, dtype, examples),
        _data(description, model),
    )


def page(
    description: ModelDescription, signatures: str, speed: str, data: str
) -> str:
    """Format a card from its Markdown sections."""
    summary = quoting.one_line(description.summary)
    parts = [
        f"# {quoting.one_line(description.name)}",
        f"{summary[:1].upper()}{summary[1:]}. A SavedModel, made by "
        f"`{description.made_by}`; loading it takes TensorFlow alone.",
        signatures,
        speed,
        *description.results,
        data,
        f"## Licence\n\nThe code is Apache-2.0. {description.license}",
        *description.reproduction,
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _signatures(
    description: ModelDescription, model: InferenceModel, exported: SavedModel
) -> str:
    rows: list[tuple[str, ...]] = [("signature", "gives", "inputs", "outputs")]
    for name in MEANINGS:
        if name in exported.signatures:
            signature = exported.signatures[name]
            rows.append(
                (
                    f"`{name}`",
                    _meaning(name, model),
                    _specs(signature.structured_input_signature[1]),
                    _specs(signature.structured_outputs),
                )
            )
    trained_on = _trained_on(model.info.element_shape, description.sampling)
    return (
        f"## Signatures\n\n{tables.markdown(rows)}\n\n"
        "Sizes that are not given may be any; `clips` and `images` are uint8 "
        f"RGB, frames JPEG or PNG. It was trained on {trained_on}."
    )


def _data(description: ModelDescription, model: InferenceModel) -> str:
    """Format the data section: the data set and the classes."""
    info = model.info
    parts = [classes_sentence(info.classes)]
    if description.dataset:
        name = quoting.markdown_code(description.dataset)
        about = quoting.one_line(info.description)
        parts = [f"{name}: {about}. {parts[0]}", info.overview()]
    return "\n\n".join(filter(None, ["## Data", *parts]))


def classes_sentence(classes: Sequence[str]) -> str:
    """Format a sentence on the classes."""
    names = ", ".join(map(quoting.one_line, classes[:MAX_CLASSES]))
    remaining = len(classes) - MAX_CLASSES
    rest = f" and {remaining} more (assets/classes.txt)" * (remaining > 0)
    return f"It knows {len(classes)} classes and nothing else: {names}{rest}."


def _meaning(name: str, model: InferenceModel) -> str:
    meaning, averaging = MEANINGS[name], model.averaging
    blocks = ", ".join(f"`{block}`" for block in model.blocks)
    if averaging is None:
        meaning = meaning.replace("clips", model.input_name)
        return meaning.format(blocks=blocks)
    return meaning.format(
        clips=averaging.views.clips,
        crops=averaging.views.crops or 1,
        frames=averaging.sampling.frames,
        pooled=video_scores.POOL_NAMES[averaging.views.pool],
        blocks=blocks,
    )


def _trained_on(
    element_shape: tuple[int, ...], sampling: SamplingConfig | None
) -> str:
    shape = " x ".join(str(side) for side in element_shape[:-1])
    if sampling is None:
        return f"{shape} pixels"
    rate = f", at {sampling.fps:g} frames a second" if sampling.fps else ""
    return (
        f"{shape} (frames, height, width), with a frame stride of "
        f"{sampling.frame_stride}{rate}"
    )


def _specs(specs) -> str:
    """Format `name`: dtype (sizes), of each tensor."""
    return ", ".join(
        f"`{key}` {spec.dtype.name} "
        f"({', '.join('?' if n is None else str(n) for n in spec.shape)})"
        for key, spec in sorted(specs.items())
    )


def _speed(
    model: InferenceModel,
    exported: SavedModel,
    trained: Classifier,
    dtype: str,
    examples: Examples,
) -> str:
    """Format size, latency, and the difference from the trained network."""
    request = saved_model_writer.requests(model)["serving_default"]
    (gray,) = request.values()
    seconds = median_seconds(lambda: exported.probabilities(gray))

    error = comparison.largest_difference(
        exported.probabilities, trained.probabilities, examples.pixels
    )
    size = folder_bytes(exported.path)
    rows = [
        ("", ""),
        ("weights", f"{dtype}, {model.network.count_params():,}"),
        ("size on disk", f"{size / 1e6:.1f} MB"),
        (
            f"largest difference from the network's probabilities, of "
            f"{examples.name}",
            f"{error:.1e}",
        ),
        (f"seconds a clip of that size, median of {CALLS}", f"{seconds:.3f}"),
        ("on", machine()),
    ]
    return f"## Size and speed\n\n{tables.markdown(rows)}"


def median_seconds(call: Callable[[], object]) -> float:
    """Return the median time of `CALLS` calls after a first one."""
    call()  # traces and allocates
    return statistics.median(timeit.repeat(call, number=1, repeat=CALLS))


def folder_bytes(version: Any) -> int:
    """Return the total size of a version's files."""
    return sum(f.stat().st_size for f in version.rglob("*") if f.is_file())
