"""Card of a published model: README.md with front matter that hubs read."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import keras

# By the rank of the input.
TASKS = {4: "image-classification", 5: "video-classification"}
USE = """\
```python
import nonlocal_tf as nl

model = nl.from_pretrained("{address}")
logits = model(nl.preprocess.normalize(clips))
```"""


def render(
    model: keras.Model,
    name: str,
    *,
    license: str,
    description: str,
    tags: Sequence[str],
    base_model: str,
    dataset: str,
    metrics: Mapping[str, float],
    preprocessor: Mapping[str, Any],
) -> str:
    """Format the card; see `save_pretrained` for the arguments."""
    task = TASKS[len(model.input_shape)]
    front = {
        "library_name": "keras",
        "pipeline_tag": task,
        "license": license,
        "base_model": base_model,
        "datasets": [dataset] if dataset else [],
        "tags": [task, "non-local", *tags],
        "model-index": _results(task, name, dataset, metrics),
    }
    # JSON is YAML; so no text can end its value.
    lines = [f"{key}: {json.dumps(v)}" for key, v in front.items() if v]
    parts = [
        "\n".join(["---", *lines, "---"]),
        f"# {_line(name)}",
        _line(description) or f"The network {_line(model.name)}.",
        f"License of the weights: {_line(license) or 'not stated'}.",
    ]
    if base_model:
        parts.append(f"Fine-tuned from {_line(base_model)}.")
    if metrics:
        parts.append(
            "\n".join(f"- {_line(k)}: {v:.4g}" for k, v in metrics.items())
        )
    parts += [
        "## Use",
        "Replace the address by that of this folder.",
        USE.format(address="hf://user/model"),
        "## Input",
        f"`{tuple(model.input_shape)}`; preprocessor_config.json has what "
        "comes before:",
        "```json\n" + json.dumps(preprocessor, indent=2) + "\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _results(
    task: str, name: str, dataset: str, metrics: Mapping[str, float]
) -> list[dict]:
    """Return metrics as hubs index them."""
    if not metrics:
        return []
    result = {
        "task": {"type": task},
        "dataset": {"name": dataset or "unknown", "type": dataset or "unknown"},
        "metrics": [{"type": k, "value": float(v)} for k, v in metrics.items()],
    }
    return [{"name": name, "results": [result]}]


def _line(text: str) -> str:
    """Return text without line ends."""
    return " ".join(text.split())
