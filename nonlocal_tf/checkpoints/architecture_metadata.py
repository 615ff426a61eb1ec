"""What of a network its weights do not show, noted in the files we write."""

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import keras

from nonlocal_tf.checkpoints.errors import CheckpointError
from nonlocal_tf.checkpoints.formats import Format
from nonlocal_tf.choices import is_positive_integer
from nonlocal_tf.layers import NonLocalBlock
from nonlocal_tf.layers.attention_layout import AXES
from nonlocal_tf.layers.pairwise import PAIRWISE, Pairwise, Softmax
from nonlocal_tf.models import configs
from nonlocal_tf.models.resnet_layers import STRIDES_ON

# What the note is called in a file, beside the weights.
NOTE = "nonlocal_tf"
MOST_FRAMES = 100_000
LONGEST_NOTE = 10_000
# They have the same weights.
ALIKE = ("embedded_gaussian", "dot_product")
# Ours, by class; users may register others later.
FUNCTIONS: dict[type, str] = {cls: name for name, cls in PAIRWISE.items()}


def _is_scale(value: object) -> bool:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return 0 < value <= sys.float_info.max
    return value == "rsqrt"


# Arguments of `create_model`, and what they may be; `frames` are part of its
# `clip_shape`, the last two part of its `nonlocal_block`.
KNOWN: dict[str, Callable[[object], bool]] = {
    "frames": lambda v: type(v) is int and v in range(1, MOST_FRAMES),
    "stem": lambda v: v in tuple(configs.STEMS),
    "stride_on": lambda v: v in STRIDES_ON,
    "pool_padding": lambda v: v in (0, 1) and not isinstance(v, bool),
    "inflation": lambda v: v in configs.INFLATIONS,
    "pairwise": lambda v: isinstance(v, str),
    "scale": _is_scale,
    "axes": lambda v: v in tuple(AXES),
    "nonlocal_groups": lambda v: (
        isinstance(v, dict)
        and set(v) <= set(configs.STAGES)
        and all(map(is_positive_integer, v.values()))
    ),
    "pool_position": lambda v: v in ("before", "after"),
    "subsample": lambda v: (
        v is None or (isinstance(v, list) and all(map(is_positive_integer, v)))
    ),
}
OF_BLOCKS = ("pool_position", "subsample")


def function_of(pairwise: str | type[Pairwise] | Pairwise) -> str:
    """What a pairwise function is called; a user's own, by its class."""
    if isinstance(pairwise, str):
        pairwise = PAIRWISE.get(pairwise, pairwise)
    kind = pairwise if isinstance(pairwise, type) else type(pairwise)
    return FUNCTIONS.get(kind, kind.__name__)


def graph_of(model: keras.Model) -> dict[str, Any]:
    """The arguments in `KNOWN` with which a residual network is made.

    Args:
        model: of `create_model` or `from_checkpoint`.

    Returns:
        Those that apply; none if the network is not residual.
    """
    layers = {layer.name: layer for layer in model.layers}
    if not {"conv1", "pool1", "res3_block0_conv1"} <= set(layers):
        return {}
    conv, pool = layers["conv1"], layers["pool1"]
    strided = layers["res3_block0_conv1"].strides[-1] > 1
    graph: dict = {"stride_on": "1x1" if strided else "3x3"}
    if len(pool.padding) == 2:
        return {**graph, "pool_padding": pool.padding[-1]}
    shape = (conv.strides[0], pool.pool_size, pool.strides, pool.padding[-1])
    stems = [n for n, s in configs.STEMS.items() if configs.Stem(*shape) == s]
    if stems:
        graph["stem"] = stems[0]
    if model.input_shape[1] is not None:
        graph["frames"] = model.input_shape[1]
    if conv.kernel_size[0] > 1:
        second = layers["res2_block0_conv2"].kernel_size[0] > 1
        graph["inflation"] = "3x3x3" if second else "3x1x1"
    blocks = [one for one in model.layers if isinstance(one, NonLocalBlock)]
    return {**graph, **(_of_blocks(blocks) if blocks else {})}


def _of_blocks(blocks: list[NonLocalBlock]) -> dict[str, Any]:
    first = blocks[0]
    graph: dict = {
        "pairwise": function_of(first.pairwise),
        "axes": first.axes,
        "nonlocal_groups": {
            block.name.split("_")[0]: block.temporal_group_size
            for block in blocks
            if block.temporal_group_size
        },
        "subsample": None,
    }
    if isinstance(first.pairwise, Softmax):
        graph["scale"] = first.pairwise.scale or 1.0  # the paper's
    if max(first.pool_size) > 1:
        graph["subsample"] = list(first.pool_size)
        graph["pool_position"] = first.pool_position
    return graph


def note(model: keras.Model) -> str:
    """What a file says of its graph."""
    return json.dumps(graph_of(model), sort_keys=True)


def read_note(text: object) -> dict[str, Any]:
    """The arguments in a note; none without a note.

    Raises:
        CheckpointError: it is none of ours.
    """
    if text is None:
        return {}
    text = text if isinstance(text, str) else ""
    text = text if len(text) <= LONGEST_NOTE else text[:200]
    try:
        graph = json.loads(text)
    except (ValueError, RecursionError):
        graph = None
    if not isinstance(graph, dict) or not all(
        name in KNOWN and KNOWN[name](value) for name, value in graph.items()
    ):
        raise CheckpointError(
            f"Expected the note {NOTE!r} to say how the network is built, by "
            f"arguments of create_model. Received: {text[:200]!r}"
        )
    return graph


def stem_of(form: Format, is_inflated: bool) -> str | None:
    """The stem of a format's networks; None for the authors', by sampling."""
    # mmaction2's C2D is the authors' network, its I3D is its own.
    if form.name == "mmaction2" and not is_inflated:
        return "official"
    return form.stem


def expected_of(
    form: Format, noted: dict[str, Any], is_inflated: bool
) -> dict[str, Any]:
    """What a network is like whose weights a file has, as far as is known.

    Args:
        form: of the file.
        noted: what the file says itself.
        is_inflated: whether the network is an I3D.
    """
    if form.name == "ours":
        return {k: v for k, v in noted.items() if k != "frames"}
    known: dict = {"stride_on": form.stride_on}
    stem = stem_of(form, is_inflated)
    known |= {} if stem is None else {"stem": stem}
    if form.scale is not None:
        known |= {"pool_position": form.pool_position, "axes": "spacetime"}
        known["scale"] = form.scale
        known |= {} if form.groups else {"nonlocal_groups": {}}
        # mmaction2 names its weights after it.
        if form.name != "mmaction2":
            known |= {"subsample": [1, 2, 2], "inflation": "3x1x1"}
    known |= noted
    known.pop("frames", None)
    return known


def differences(
    model: keras.Model, expected: dict, of: str = "the file's network"
) -> Iterator[tuple[str, str]]:
    """In what a model is not as a file's network.

    Args:
        model: into which the weights fit.
        expected: of `expected_of`.
        of: what is expected so.

    Yields:
        (the argument, a sentence about it).
    """
    graph = graph_of(model)
    for name, value in expected.items():
        if name == "scale":
            # Others' code has a factor on embedded Gaussians alone.
            kind = expected.get("pairwise", "embedded_gaussian")
            if graph.get("pairwise") != kind:
                continue
        if name in graph and graph[name] != value:
            yield (
                name,
                f"{name} is {graph[name]!r}, in {of} {value!r}",
            )
