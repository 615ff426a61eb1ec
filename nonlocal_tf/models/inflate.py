"""Starts a clip network from a trained image network."""

import dataclasses

import keras
import numpy as np

from nonlocal_tf.layers.nonlocal_block import NonLocalBlock

NEW_LAYERS = ("logits",)


@dataclasses.dataclass(frozen=True)
class InflationReport:
    """What became of every layer with weights, on both sides.

    Attributes:
        loaded: layers whose weights were copied or inflated.
        kept: layers of the clip network that stay as they were initialised.
        unused: layers of the image network that nothing was taken from.
    """

    loaded: tuple[str, ...]
    kept: tuple[str, ...]
    unused: tuple[str, ...]


def inflate_kernel(kernel: np.ndarray, kernel_t: int) -> np.ndarray:
    """A 2-D kernel repeated `kernel_t` times in time and divided by it.

    On a clip whose frames are all the same, the inflated convolution gives
    what the 2-D one gives on each frame, away from the ends in time.

    Args:
        kernel: `(height, width, in, out)`.
        kernel_t: frames the clip network's kernel sees.

    Returns:
        `(kernel_t, height, width, in, out)`.

    Reference:
        Non-local Neural Networks, section 4 ("inflated 3D ConvNet").
    """
    return np.repeat(kernel[None], kernel_t, axis=0) / kernel_t


def inflate(
    image_model: keras.Model,
    clip_model: keras.Model,
    new_layers: tuple[str, ...] = NEW_LAYERS,
) -> InflationReport:
    """Copies an image network's weights into a clip network, by layer name.

    Kernels gain a time axis (`inflate_kernel`), everything else is copied.
    Non-local blocks and `new_layers` keep their initialisation. Either all
    other layers match or nothing is changed.

    Args:
        image_model: the trained network on images.
        clip_model: the network on clips to fill.
        new_layers: layers of the clip network with a task of their own.

    Returns:
        An `InflationReport`.

    Raises:
        ValueError: a layer of either side has no partner, or their shapes do
            not fit.
    """
    source = _weighted_layers(image_model)
    target = _weighted_layers(clip_model)
    kept = tuple(
        name
        for name, layer in target.items()
        if name in new_layers or isinstance(layer, NonLocalBlock)
    )
    unused = tuple(n for n in source if n in new_layers)
    wanted = [name for name in target if name not in kept]
    missing = [name for name in wanted if name not in source]
    left = [n for n in source if n not in wanted and n not in unused]
    if missing or left:
        raise ValueError(
            f"Cannot inflate {image_model.name!r} to {clip_model.name!r}. "
            f"Not in the image network: {missing}. "
            f"Not in the clip network: {left}."
        )
    values = [_fit(name, source[name], target[name]) for name in wanted]
    for name, arrays in zip(wanted, values, strict=True):
        target[name].set_weights(arrays)
    return InflationReport(tuple(wanted), kept, unused)


def _weighted_layers(model: keras.Model) -> dict[str, keras.Layer]:
    return {layer.name: layer for layer in model.layers if layer.weights}


def _fit(name: str, source: keras.Layer, target: keras.Layer) -> list:
    """The source's weights in the target's shapes."""
    if len(source.weights) != len(target.weights):
        raise ValueError(
            f"Cannot inflate layer {name!r}: expected "
            f"{len(target.weights)} weights. Received: {len(source.weights)}"
        )
    arrays = []
    for array, variable in zip(
        source.get_weights(), target.weights, strict=True
    ):
        shape = tuple(variable.shape)
        if array.ndim == 4 and len(shape) == 5:
            array = inflate_kernel(array, shape[0])
        if array.shape != shape:
            raise ValueError(
                f"Cannot inflate layer {name!r}: expected the shape {shape} "
                f"for {variable.path!r}. Received: {array.shape}"
            )
        arrays.append(array)
    return arrays
