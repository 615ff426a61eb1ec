"""Copy a layer without its weights."""

import keras
from keras import layers


def copy_layer(layer: keras.Layer, dtype: str | None = None) -> keras.Layer:
    """Return a new layer with the configuration of another, without weights.

    A `Lambda` layer keeps its Python function, which Keras would restore from
    bytecode in unsafe mode alone.

    Args:
        layer: any layer.
        dtype: dtype policy of the new layer. Default: that of `layer`.
    """
    if isinstance(layer, layers.Lambda):
        return layers.Lambda(
            layer.function,
            output_shape=layer._output_shape,
            arguments=layer.arguments,
            name=layer.name,
            dtype=dtype or layer.dtype_policy,
        )
    config = layer.get_config()
    if dtype is not None:
        config["dtype"] = dtype
    return type(layer).from_config(config)
