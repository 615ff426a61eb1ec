"""What of a network its weights do not show, noted in the files we write."""

import json
from collections.abc import Callable, Iterator

import keras

from nonlocal_tf.layers import NonLocalBlock
from nonlocal_tf.layers.pairwise import PAIRWISE
from nonlocal_tf.layers.positions import is_positive_integer
from nonlocal_tf.models import specs
from nonlocal_tf.weights.errors import CheckpointError
from nonlocal_tf.weights.names import Format

# What the note is called in a file, beside the weights.
NOTE = "nonlocal_tf"
OF_BLOCKS = ("pool_position", "subsample")


def _is_text(value) -> bool:
    return isinstance(value, str)


def _is_scale(value) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value is None or value == "rsqrt" or (is_number and value > 0)


# Arguments of `create_model`, and what they may be. `frames` is part of one.
KNOWN: dict[str, Callable[[object], bool]] = {
    "frames": is_positive_integer,
    "stem": _is_text,
    "stride_on": _is_text,
    "pool_padding": lambda v: v in (0, 1),
    "pairwise": _is_text,
    "scale": _is_scale,
    "axes": _is_text,
    "nonlocal_groups": lambda v: (
        isinstance(v, dict) and all(map(is_positive_integer, v.values()))
    ),
    "nonlocal_block": lambda v: isinstance(v, dict) and set(v) <= {*OF_BLOCKS},
}


def graph_of(model: keras.Model) -> dict:
    """The arguments with which `create_model` made a residual network.

    Args:
        model: of `create_model` or `from_checkpoint`.

    Returns:
        Those in `KNOWN` that apply and are not the user's own classes; none
        of a network that is not residual.
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
    stems = (n for n, s in specs.STEMS.items() if specs.Stem(*shape) == s)
    graph["stem"] = next(stems, None)
    graph["frames"] = model.input_shape[1]
    blocks = [one for one in model.layers if isinstance(one, NonLocalBlock)]
    if blocks:
        graph.update(_of_blocks(blocks))
    return {k: v for k, v in graph.items() if v is not None}


def _of_blocks(blocks: list[NonLocalBlock]) -> dict:
    first = blocks[0]
    kinds = (n for n, c in PAIRWISE.items() if c is type(first.pairwise))
    return {
        "pairwise": next(kinds, None),
        "scale": getattr(first.pairwise, "scale", None),
        "axes": first.axes,
        "nonlocal_groups": {
            block.name.split("_")[0]: block.temporal_group_size
            for block in blocks
            if block.temporal_group_size
        },
        "nonlocal_block": {name: getattr(first, name) for name in OF_BLOCKS},
    }


def note(model: keras.Model) -> str:
    """What a file says of its graph."""
    return json.dumps(graph_of(model), sort_keys=True)


def read_note(text: object) -> dict:
    """The arguments in a note; none without a note.

    Raises:
        CheckpointError: it is none of ours.
    """
    if text is None:
        return {}
    try:
        graph = json.loads(str(text))
    except (ValueError, RecursionError):
        graph = None
    if not isinstance(graph, dict) or not all(
        name in KNOWN and KNOWN[name](value) for name, value in graph.items()
    ):
        raise CheckpointError(
            f"Expected the note {NOTE!r} to say how the network is built: "
            f"{', '.join(KNOWN)}. Received: {str(text)[:200]}"
        )
    return graph


def stem_of(form: Format, is_inflated: bool) -> str | None:
    """The stem of a format's networks; None for the authors', by sampling."""
    # mmaction2's C2D is the authors' network, its I3D is its own.
    if form.name == "mmaction2" and not is_inflated:
        return "official"
    return form.stem


def expected_of(form: Format, noted: dict, is_inflated: bool) -> dict:
    """What a network is like whose weights a file has, as far as is known.

    Args:
        form: of the file.
        noted: what the file says itself.
        is_inflated: whether the network is an I3D.
    """
    known: dict = {}
    if form.name != "ours":
        known["stride_on"] = form.stride_on
        known["stem"] = stem_of(form, is_inflated)
    if form.name != "ours" and form.scale is not None:
        known["pool_position"] = form.pool_position
        known["axes"] = "spacetime"
        known["scale"] = form.scale
    known |= {**noted, **noted.get("nonlocal_block", {})}
    for name in ("frames", "nonlocal_groups", "nonlocal_block"):
        known.pop(name, None)
    return {name: v for name, v in known.items() if v is not None}


def differences(
    model: keras.Model, expected: dict, of: str = "the file's network"
) -> Iterator[str]:
    """In what a model is not as a file's network, an argument each.

    Args:
        model: into which the weights fit.
        expected: of `expected_of`.
        of: what is expected so.
    """
    graph = json.loads(note(model))
    graph |= graph.pop("nonlocal_block", {})
    if graph.get("pairwise") == "embedded_gaussian":
        graph.setdefault("scale", 1.0)  # without a factor, the paper's
    for name, value in expected.items():
        if name == "scale" and graph.get("pairwise") != "embedded_gaussian":
            continue
        if name in graph and graph[name] != value:
            yield f"{name} is {graph[name]!r}, in {of} {value!r}"
