"""Freeze parts of a network, for fine-tuning."""

from collections.abc import Iterator, Sequence

import keras

from nonlocal_tf.layers.nonlocal_block import NonLocalBlock

ALL, BLOCKS = "all", "nonlocal"


def freeze(model: keras.Model, parts: str | Sequence[str]) -> list[str]:
    """Freeze parts of a model; compile it afterwards.

    Frozen layers keep their weights in training. Frozen batch normalizations
    keep their moving statistics too, and normalize by them. Layers that are in
    no part stay as they are.

    A part is the layers whose names begin with the same word, up to "_": of
    the paper's networks "conv1", "res2" to "res5" and "logits", of the small
    ones "stage1" to "stage3", "head" and "logits". Non-local blocks belong to
    none of them: they stay trainable unless "nonlocal" is named.

    Args:
        model: to freeze, of any kind; layers of nested models have their own
            names.
        parts: names, as a sequence or separated by commas: of parts, of layers,
            "nonlocal" for all blocks, or "all" for everything but the
            classifier, which is the last layer with weights.

    Returns:
        The names of the frozen layers, in the order of the model.

    Raises:
        ValueError: a part does not exist, or nothing is left to train.

    Example:

    >>> import nonlocal_tf as nl
    >>> model = nl.create_model("c2d_nl1_small", num_classes=3)
    >>> nl.freeze(model, "stage1")
    ['stage1_conv1', 'stage1_conv1_bn', 'stage1_conv2', 'stage1_conv2_bn']
    >>> linear_probe = nl.create_model("c2d_nl1_small", num_classes=3)
    >>> frozen = nl.freeze(linear_probe, "all")
    >>> [weight.path for weight in linear_probe.trainable_variables]
    ['logits/kernel', 'logits/bias']
    """
    if isinstance(parts, str):
        parts = [part.strip() for part in parts.split(",")]
    layers = [layer for layer in _layers(model) if layer.weights]
    chosen: dict[int, keras.layers.Layer] = {}
    for part in parts:
        members = _members(layers, part)
        if not members:
            raise ValueError(
                f"Expected parts of {model.name!r}: "
                f"{', '.join(_parts(layers))} or {ALL}. Received: {part!r}"
            )
        chosen |= {id(layer): layer for layer in members}
    if all(
        id(layer) in chosen for layer in layers if layer.trainable_variables
    ):
        raise ValueError(
            f"Nothing of {model.name!r} is left to train. Received: parts="
            f"{', '.join(parts)}"
        )
    for layer in chosen.values():
        layer.trainable = False
    return [layer.name for layer in layers if id(layer) in chosen]


def _layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yield the layers of a model and of nested models, in order."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer


def _members(
    layers: Sequence[keras.layers.Layer], part: str
) -> list[keras.layers.Layer]:
    """List the layers of a part."""
    if part == ALL:
        return list(layers[:-1])
    return [layer for layer in layers if part in (layer.name, _part_of(layer))]


def _part_of(layer: keras.layers.Layer) -> str:
    if isinstance(layer, NonLocalBlock):
        return BLOCKS
    return layer.name.split("_")[0]


def _parts(layers: Sequence[keras.layers.Layer]) -> list[str]:
    return list(dict.fromkeys(map(_part_of, layers)))
