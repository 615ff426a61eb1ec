"""Architecture metadata stored beside the weights: stem, strides, subsampling.

Weights do not determine a network: `embedded_gaussian` and `dot_product`, for
example, have the same. `save_weights` stores such arguments of `create_model`
as JSON. For files of other software the defaults of that software hold.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import keras

from nonlocal_tf.checkpoints.errors import CheckpointError
from nonlocal_tf.checkpoints.formats import Format
from nonlocal_tf.choices import is_positive_integer
from nonlocal_tf.layers import NonLocalBlock
from nonlocal_tf.layers.attention_layout import AXES
from nonlocal_tf.layers.pairwise import PAIRWISE, Pairwise, Softmax
from nonlocal_tf.layers.position_encoding import POSITIONS
from nonlocal_tf.layers.residual_block import GATES
from nonlocal_tf.models import backbones
from nonlocal_tf.models.resnet_layers import STRIDES_ON

KEY = "nonlocal_tf"  # of the metadata in a file
MAX_FRAMES = 100_000
MAX_JSON_LENGTH = 10_000
# Pairwise functions that weights cannot tell apart.
SAME_WEIGHTS = ("embedded_gaussian", "dot_product", "efficient")
IN_OTHER_SOFTWARE = ("embedded_gaussian", "dot_product")
# Names of built-in pairwise functions; users may register others.
PAIRWISE_NAMES: dict[type, str] = {cls: name for name, cls in PAIRWISE.items()}


def _is_scale(value: object) -> bool:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return 0 < value <= sys.float_info.max
    return value == "rsqrt"


# Arguments of `create_model` and checks of their values. "frames" are part of
# its `clip_shape`, `BLOCK_ARGUMENTS` part of its `nonlocal_block`.
VALIDATORS: dict[str, Callable[[object], bool]] = {
    "frames": lambda v: type(v) is int and v in range(1, MAX_FRAMES),
    "stem": lambda v: v in tuple(backbones.STEMS),
    "stride_on": lambda v: v in STRIDES_ON,
    "pool_padding": lambda v: v in (0, 1) and not isinstance(v, bool),
    "inflation": lambda v: v in backbones.INFLATIONS,
    "pairwise": lambda v: isinstance(v, str),
    "scale": _is_scale,
    "axes": lambda v: v in tuple(AXES),
    "nonlocal_groups": lambda v: (
        isinstance(v, dict)
        and set(v) <= set(backbones.STAGES)
        and all(map(is_positive_integer, v.values()))
    ),
    "pool_position": lambda v: v in ("before", "after"),
    "subsample": lambda v: (
        v is None or (isinstance(v, list) and all(map(is_positive_integer, v)))
    ),
    "position": lambda v: v in POSITIONS,
    "value_channels": is_positive_integer,
    "heads": is_positive_integer,
    "gate": lambda v: v in GATES,
    "causal": lambda v: v is True,
}
# Options of blocks beyond the paper's, stored where they differ from these
# defaults. No other software has them.
EXTENSIONS = {
    "position": None,
    "value_channels": None,
    "heads": 1,
    "gate": None,
    "causal": False,
}
BLOCK_ARGUMENTS = (
    "pool_position",
    "subsample",
    "value_channels",
    "heads",
    "gate",
    "causal",
)


def pairwise_name(pairwise: str | type[Pairwise] | Pairwise) -> str:
    """Return the name of a pairwise function; a user's own: its class name."""
    if isinstance(pairwise, str):
        pairwise = PAIRWISE.get(pairwise, pairwise)
    kind = pairwise if isinstance(pairwise, type) else type(pairwise)
    return PAIRWISE_NAMES.get(kind, kind.__name__)


def metadata_of(model: keras.Model) -> dict[str, Any]:
    """Return the arguments with which a residual network was built.

    Args:
        model: a model of `create_model` or `from_checkpoint`.

    Returns:
        Applicable arguments out of `VALIDATORS`; empty if the network is not
        residual.
    """
    layers = {layer.name: layer for layer in model.layers}
    if not {"conv1", "pool1", "res3_block0_conv1"} <= set(layers):
        return {}
    conv, pool = layers["conv1"], layers["pool1"]
    strided = layers["res3_block0_conv1"].strides[-1] > 1
    metadata: dict = {"stride_on": "1x1" if strided else "3x3"}
    if len(pool.padding) == 2:
        return {**metadata, "pool_padding": pool.padding[-1]}
    pool2_t = layers["pool2"].pool_size[0] if "pool2" in layers else 1
    shape = (
        *(conv.strides[0], pool.pool_size, pool.strides, pool.padding[-1]),
        pool2_t,
    )
    stems = [
        n for n, s in backbones.STEMS.items() if backbones.Stem(*shape) == s
    ]
    if stems:
        metadata["stem"] = stems[0]
    if model.input_shape[1] is not None:
        metadata["frames"] = model.input_shape[1]
    if conv.kernel_size[0] > 1:
        second = layers["res2_block0_conv2"].kernel_size[0] > 1
        metadata["inflation"] = "3x3x3" if second else "3x1x1"
    blocks = [x for x in model.layers if isinstance(x, NonLocalBlock)]
    return {**metadata, **(_block_metadata(blocks) if blocks else {})}


def _block_metadata(blocks: list[NonLocalBlock]) -> dict[str, Any]:
    first = blocks[0]
    metadata: dict = {
        "pairwise": pairwise_name(first.pairwise),
        "axes": first.axes,
        "nonlocal_groups": {
            block.name.split("_")[0]: block.temporal_group_size
            for block in blocks
            if block.temporal_group_size
        },
        "subsample": None,
    }
    if isinstance(first.pairwise, Softmax):
        metadata["scale"] = first.pairwise.scale or 1.0  # the paper's
    if max(first.pool_size) > 1:
        metadata["subsample"] = list(first.pool_size)
        metadata["pool_position"] = first.pool_position
    options = {name: getattr(first, name) for name in EXTENSIONS}
    return metadata | {k: v for k, v in options.items() if v != EXTENSIONS[k]}


def dumps(model: keras.Model) -> str:
    """Return the metadata of a model as JSON."""
    return json.dumps(metadata_of(model), sort_keys=True)


def loads(text: object) -> dict[str, Any]:
    """Parse and validate metadata of a file; empty for None.

    Raises:
        CheckpointError: the metadata are invalid.
    """
    if text is None:
        return {}
    text = text if isinstance(text, str) else ""
    text = text if len(text) <= MAX_JSON_LENGTH else text[:200]
    try:
        metadata = json.loads(text)
    except (ValueError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict) or not all(
        name in VALIDATORS and VALIDATORS[name](value)
        for name, value in metadata.items()
    ):
        raise CheckpointError(
            f"Expected the entry {KEY!r} to have arguments of create_model as "
            f"JSON. Received: {text[:200]!r}"
        )
    return metadata


def default_stem(
    file_format: Format, is_inflated: bool, is_heavy: bool = False
) -> str | None:
    """Return the stem of a format's networks; None if the sampling decides.

    Args:
        file_format: format of the file.
        is_inflated: True for I3D.
        is_heavy: True for I3D with temporal kernels in every block.
    """
    if file_format.name == "mmaction2":
        # Its C2D is the authors' network, its I3D is its own.
        if not is_inflated:
            return "official"
        return "slowfast" if is_heavy else "mmaction2"
    return file_format.stem


def expected(
    file_format: Format,
    metadata: dict[str, Any],
    is_inflated: bool,
    is_heavy: bool = False,
) -> dict[str, Any]:
    """Return the known arguments of a file's network.

    Args:
        file_format: format of the file.
        metadata: metadata of the file, which override the format's defaults.
        is_inflated: True for I3D.
        is_heavy: True for I3D with temporal kernels in every block.
    """
    arguments: dict = {}
    if file_format.name != "nonlocal_tf":
        arguments = _defaults(file_format, is_inflated, is_heavy)
    arguments |= metadata
    arguments.pop("frames", None)
    return arguments


def _defaults(
    file_format: Format, is_inflated: bool, is_heavy: bool
) -> dict[str, Any]:
    arguments: dict = {"stride_on": file_format.stride_on}
    stem = default_stem(file_format, is_inflated, is_heavy)
    # The weights of mmaction2's C2D with and without pools are the same.
    if stem is not None and (file_format.name, stem) != (
        "mmaction2",
        "official",
    ):
        arguments["stem"] = stem
    if file_format.scale is not None:
        arguments["pool_position"] = file_format.pool_position
        arguments["axes"] = "spacetime"
        arguments["scale"] = file_format.scale
        if not file_format.has_temporal_groups:
            arguments["nonlocal_groups"] = {}
        # The weights' names determine it in files of mmaction2.
        if file_format.name != "mmaction2":
            arguments["subsample"] = [1, 2, 2]
    if file_format.name in ("caffe2", "slowfast", "pytorchvideo"):
        arguments["inflation"] = "3x1x1"
    return arguments


def differences(
    model: keras.Model,
    expected_arguments: dict,
    owner: str = "the file's network",
) -> dict[str, str]:
    """Compare a model with the known arguments of a network.

    Args:
        model: a model that the network's weights fit.
        expected_arguments: from `expected`.
        owner: whose arguments they are, for the sentences.

    Returns:
        A sentence for each argument that differs, by argument.
    """
    metadata = metadata_of(model)
    sentences = {}
    for name, value in expected_arguments.items():
        if name == "scale":
            # Other software scales the embedded Gaussian alone.
            kind = expected_arguments.get("pairwise", "embedded_gaussian")
            if metadata.get("pairwise") != kind:
                continue
        if name in metadata and metadata[name] != value:
            sentences[name] = (
                f"{name} is {metadata[name]!r}, in {owner} {value!r}"
            )
    return sentences
