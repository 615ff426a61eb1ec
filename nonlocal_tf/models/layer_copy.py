"""Copy a layer without its weights."""

import keras
from keras import layers


def copy_layer(layer: keras.Layer) -> keras.Layer:
    """Return a new layer with the configuration of another, without weights.

    A `Lambda` layer keeps its Python function, which Keras would restore from
    bytecode in unsafe mode alone.
    """
    if isinstance(layer, layers.Lambda):
        return layers.Lambda(
            layer.function,
            output_shape=layer._output_shape,
            arguments=layer.arguments,
            name=layer.name,
            dtype=layer.dtype_policy,
        )
    return type(layer).from_config(layer.get_config())
