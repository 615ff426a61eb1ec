"""Insert non-local blocks into a trained network."""

import difflib
import fnmatch
import itertools
from collections.abc import Collection, Sequence
from typing import Any

import keras

from nonlocal_tf.layers.nonlocal_block import NonLocalBlock
from nonlocal_tf.models import flattening
from nonlocal_tf.models.layer_copy import ModelCopy, check_not_quantized
from nonlocal_tf.typing import Tensor

RANKS = (3, 4, 5)  # of the feature maps of a block


def insert_blocks(
    model: keras.Model, after: str | Sequence[str], **block_options: Any
) -> keras.Model:
    """Insert non-local blocks into a trained model.

    Each block follows a layer, and all consumers of this layer's output, the
    model's outputs included, take the block's instead. By default blocks are
    initialized as the identity, so that the outputs of the new model equal
    those of `model` until it is trained.

    The layers of the new model are copies with copies of the weights: `model`
    does not change, neither now nor while the new model trains. Copies of
    frozen layers are frozen, the blocks are not. Nested models stay nested,
    those in `keras.layers.TimeDistributed` too.

    Args:
        model: functional or built Sequential model with channels last, such as
            one of `keras.applications`, on images, clips or sequences.
        after: names of layers, or shell-style patterns such as
            "conv4_block[35]_out". Layers and patterns of nested models may be
            given by their paths, such as "resnet50/conv4_block6_out".
        **block_options: arguments of each `NonLocalBlock`, such as `pairwise`
            or `subsample`. `dtype` is by default that of the layer before.

    Returns:
        A model of the same name, inputs and outputs; compile it before
        training. The block after layer `x` is called `x_nonlocal`.

    Raises:
        ValueError: the model is neither functional nor Sequential, is
            quantized, or has channels first; a pattern matches no layer, or
            one whose output is not a feature map; an argument of the blocks is
            invalid.

    Reference:
        Non-local Neural Networks, section 3.3 ("we can insert a new non-local
        block into any pre-trained model, without breaking its initial
        behavior").

    Example:

    >>> import keras, nonlocal_tf as nl
    >>> trained = keras.Sequential(
    ...     [
    ...         keras.Input((32, 32, 3)),
    ...         keras.layers.Conv2D(8, 3, 2, name="conv1"),
    ...         keras.layers.Conv2D(16, 3, 2, name="conv2"),
    ...     ]
    ... )
    >>> model = nl.insert_blocks(trained, after="conv[12]", subsample=2)
    >>> [layer.name for layer in model.layers]
    ['conv1', 'conv1_nonlocal', 'conv2', 'conv2_nonlocal']
    """
    if not flattening.is_graph(model):
        raise ValueError(
            "Expected a functional or Sequential model. Received: "
            f"{type(model).__name__} {model.name!r}, whose `call` is code: "
            "insert the blocks there, or into the models that it calls."
        )
    check_not_quantized(model, "Insert the blocks before it is quantized.")
    patterns = [after] if isinstance(after, str) else after
    if not isinstance(patterns, Collection) or not all(
        isinstance(pattern, str) for pattern in patterns
    ):
        raise ValueError(
            "Expected names or patterns of layers in `after`. "
            f"Received: after={after!r}"
        )
    layers = _layers(model)
    for path, layer in layers.items():
        if getattr(layer, "data_format", None) == "channels_first":
            raise ValueError(
                "Expected a model with channels last; build it with "
                "data_format='channels_last'. Received: layer "
                f"{path!r} with data_format='channels_first'"
            )
    names = {layer.name for layer in layers.values()}
    targets = _match(patterns, layers)
    return _Insertion(targets, names, block_options).copy(model)


def _layers(model: keras.Model) -> dict[str, keras.Layer]:
    """Return the layers that a block can follow, by path.

    Layers in the `call` of subclassed models and layers are none of them, nor
    the layer of a `TimeDistributed`, unlike those of a model in it.
    """
    reachable: dict[str, keras.Layer] = {}
    closed: list[str] = []
    for path, layer in flattening.walk(model):
        if path.startswith(tuple(closed)):
            continue
        if flattening.is_composite(layer):
            closed.append(f"{path}/")
        outer = reachable.get(path.rpartition("/")[0])
        if not isinstance(outer, flattening.WRAPPERS):
            reachable[path] = layer
    return reachable


def _match(
    patterns: Collection[str], layers: dict[str, keras.Layer]
) -> list[keras.Layer]:
    """Return the layers whose names or paths match one of the patterns."""
    if not patterns:
        raise ValueError("Expected layers in `after`. Received: after=[]")
    matches: dict[str, keras.Layer] = {}
    for pattern in patterns:
        new = {
            path: layer
            for path, layer in layers.items()
            if fnmatch.fnmatchcase(layer.name, pattern)
            or fnmatch.fnmatchcase(path, pattern)
        }
        if not new:
            near = difflib.get_close_matches(pattern, layers, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"Expected names or patterns of layers in `after`.{hint} "
                f"Received: {pattern!r}, which matches none of the "
                f"{len(layers)} layers{_closed(layers)}."
            )
        matches |= new
    for path, layer in matches.items():
        shapes = [x.shape for x in keras.tree.flatten(layer.output)]
        if len(shapes) != 1 or len(shapes[0]) not in RANKS:
            raise ValueError(
                "Expected layers in `after` with one output of rank 3, 4 or "
                "5, such as (batch, height, width, channels). Received: "
                f"{path!r} with {shapes}"
            )
    return list(matches.values())


def _closed(layers: dict[str, keras.Layer]) -> str:
    """Describe the layers whose `call` is code, where no block can go."""
    paths = [
        repr(path)
        for path, layer in layers.items()
        if flattening.is_composite(layer)
    ]
    if not paths:
        return " that model.summary() lists"
    return (
        f" outside of {' and '.join(paths)}, whose `call` is code: insert "
        "blocks there"
    )


class _Insertion(ModelCopy):
    """Copies of layers, with a block after some of them.

    Args:
        targets: layers to be followed by a block.
        names: names of all layers.
        options: arguments of the blocks.
    """

    def __init__(
        self,
        targets: Sequence[keras.Layer],
        names: Collection[str],
        options: dict[str, Any],
    ):
        super().__init__()
        self._targets = {id(layer) for layer in targets}
        self._names = names
        self._options = options
        self._blocks: dict[int, NonLocalBlock] = {}

    def replacements(self, layer: keras.Layer, x: Tensor) -> list[keras.Layer]:
        copies = super().replacements(layer, x)
        if id(layer) not in self._targets:
            return copies
        if id(layer) not in self._blocks:
            self._blocks[id(layer)] = self._new_block(layer)
        return [*copies, self._blocks[id(layer)]]

    def _new_block(self, layer: keras.Layer) -> NonLocalBlock:
        names = (f"{layer.name}_nonlocal{i or ''}" for i in itertools.count())
        name = next(name for name in names if name not in self._names)
        dtype = {"dtype": layer.dtype_policy}
        return NonLocalBlock(name=name, **{**dtype, **self._options})
