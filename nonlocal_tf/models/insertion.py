"""Insert non-local blocks into a trained network."""

import difflib
import fnmatch
import itertools
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import keras

from nonlocal_tf.layers.nonlocal_block import NonLocalBlock
from nonlocal_tf.models import flattening
from nonlocal_tf.models.layer_copy import copy_layer

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
    frozen layers are frozen, the blocks are not. Nested models stay nested.

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
        ValueError: the model is neither functional nor Sequential, or has
            channels first; a pattern matches no layer, or one whose output is
            not a feature map; an argument of the blocks is invalid.

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
            f"{type(model).__name__} {model.name!r}"
        )
    patterns = [after] if isinstance(after, str) else after
    if not isinstance(patterns, Collection) or not all(
        isinstance(pattern, str) for pattern in patterns
    ):
        raise ValueError(
            "Expected names or patterns of layers in `after`. "
            f"Received: after={after!r}"
        )
    layers = dict(_layers(model))
    for path, layer in layers.items():
        if getattr(layer, "data_format", None) == "channels_first":
            raise ValueError(
                "Expected a model with channels last; build it with "
                "data_format='channels_last'. Received: layer "
                f"{path!r} with data_format='channels_first'"
            )
    names = {layer.name for layer in layers.values()}
    targets = _match(patterns, layers)
    return _Insertion(targets, names, block_options).copy_model(model)


def _layers(
    model: keras.Model, prefix: str = ""
) -> Iterator[tuple[str, keras.Layer]]:
    """List the layers of a model and of its nested models by path."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        path = prefix + layer.name
        yield path, layer
        if flattening.is_graph(layer):
            yield from _layers(layer, f"{path}/")


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
                f"{len(layers)} layers that model.summary() lists."
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


class _Insertion:
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
        self._targets = {id(layer) for layer in targets}
        self._names = names
        self._options = options
        self._copies: dict[int, keras.Layer] = {}
        self._blocks: dict[int, NonLocalBlock] = {}  # by id of the copy before

    def copy_model(self, model: keras.Model) -> keras.Model:
        """Copy a model with its weights and insert the blocks."""
        if isinstance(model, keras.Sequential):
            copy = self._copy_sequential(model)
        else:
            copy = keras.models.clone_model(
                model, clone_function=self._copy, call_function=self._call
            )
        for layer in model.layers:
            if not flattening.is_graph(layer) and layer.weights:
                self._copies[id(layer)].set_weights(layer.get_weights())
        return copy

    def _copy_sequential(self, model: keras.Sequential) -> keras.Sequential:
        (x,) = model.inputs
        inputs = keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name)
        copy = keras.Sequential([inputs], name=model.name)
        for layer in model.layers:
            copy.add(self._copy(layer))
            if id(copy.layers[-1]) in self._blocks:
                copy.add(self._blocks[id(copy.layers[-1])])
        return copy

    def _copy(self, layer: keras.Layer) -> keras.Layer:
        """Copy a layer, with a block to follow it where one is wanted."""
        if id(layer) not in self._copies:
            if flattening.is_graph(layer):
                copy = self.copy_model(layer)
            else:
                copy = copy_layer(layer)
            self._copies[id(layer)] = copy
            if id(layer) in self._targets:
                self._blocks[id(copy)] = self._new_block(layer)
        return self._copies[id(layer)]

    def _call(self, layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        output = layer(*args, **kwargs)
        block = self._blocks.get(id(layer))
        return output if block is None else block(output)

    def _new_block(self, layer: keras.Layer) -> NonLocalBlock:
        names = (f"{layer.name}_nonlocal{i or ''}" for i in itertools.count())
        name = next(name for name in names if name not in self._names)
        dtype = {"dtype": layer.dtype_policy}
        return NonLocalBlock(name=name, **{**dtype, **self._options})
