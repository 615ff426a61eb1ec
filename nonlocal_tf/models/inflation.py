"""Initialize a clip network with the weights of an image network."""

import collections
import dataclasses

import keras
import numpy as np

from nonlocal_tf.layers.nonlocal_block import NonLocalBlock
from nonlocal_tf.models import flattening

NEW_LAYERS = ("logits",)


@dataclasses.dataclass(frozen=True)
class InflationReport:
    """Layers with weights of both networks, by their part in an inflation.

    Attributes:
        loaded: layers whose weights were copied or inflated.
        kept: layers of the clip network that keep their initialization.
        unused: layers of the image network that were not used.
    """

    loaded: tuple[str, ...]
    kept: tuple[str, ...]
    unused: tuple[str, ...]


def inflate_kernel(kernel: np.ndarray, kernel_t: int) -> np.ndarray:
    """Repeat a 2-D kernel `kernel_t` times along time, divided by `kernel_t`.

    On a clip of equal frames, the inflated convolution equals the 2-D one on
    each frame, except at the ends of the clip.

    Args:
        kernel: `(height, width, in, out)`.
        kernel_t: temporal size of the inflated kernel.

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
    """Copy the weights of an image network into a clip network.

    Layers are matched by name, those of nested models too. Kernels gain a time
    axis (`inflate_kernel`), other weights are copied. Non-local blocks and
    `new_layers` keep their initialization. Unless all other layers match,
    nothing changes.

    Args:
        image_model: trained network on images.
        clip_model: network on clips, changed in place.
        new_layers: layers of the clip network that are not copied.

    Returns:
        An `InflationReport`.

    Raises:
        ValueError: a layer of either network has no counterpart, or their
            shapes do not fit.
    """
    source = _weighted_layers(image_model)
    target = _weighted_layers(clip_model)
    kept = tuple(
        name
        for name, layer in target.items()
        if name in new_layers or isinstance(layer, NonLocalBlock)
    )
    unused = tuple(n for n in source if n in new_layers)
    loaded = [name for name in target if name not in kept]
    missing = [name for name in loaded if name not in source]
    extra = [n for n in source if n not in loaded and n not in unused]
    if missing or extra:
        raise ValueError(
            f"Cannot inflate {image_model.name!r} to {clip_model.name!r}. "
            f"Not in the image network: {missing}. "
            f"Not in the clip network: {extra}."
        )
    weights = [_inflated(name, source[name], target[name]) for name in loaded]
    for name, arrays in zip(loaded, weights, strict=True):
        target[name].set_weights(arrays)
    return InflationReport(tuple(loaded), kept, unused)


def _weighted_layers(model: keras.Model) -> dict[str, keras.Layer]:
    """Return the layers with weights, those of nested models included.

    By name, or by path where several have this name.
    """
    paths = [
        (path, layer)
        for path, layer in flattening.walk(model)
        if layer.weights and not flattening.has_layers(layer)
    ]
    counts = collections.Counter(layer.name for _, layer in paths)
    return {
        layer.name if counts[layer.name] == 1 else path: layer
        for path, layer in paths
    }


def _inflated(name: str, source: keras.Layer, target: keras.Layer) -> list:
    """Return the weights of `source` in the shapes of `target`."""
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
