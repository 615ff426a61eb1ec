"""Operators and layers of Keras, for the TensorFlow and JAX workers."""

import functools

import numpy as np


def operator(case):
    """Return a function of `nonlocal_tf.ops`, or Keras' attention."""
    from keras import ops

    from nonlocal_tf import ops as nonlocal_ops

    if case["method"] == "attention":

        def attention(theta, phi, g):
            heads = (ops.expand_dims(x, 2) for x in (theta, phi, g))
            y = ops.dot_product_attention(*heads, scale=1.0)
            return ops.squeeze(y, 2)

        return attention
    function = getattr(nonlocal_ops, case["function"])
    options = {"method": case["method"]}
    if case["function"] == "softmax":
        options["training"] = case["pass"] == "train"
    return lambda *arrays: function(*arrays, **options)


def block_part(case):
    """Return (function, input shapes, variables) of a block or a part."""
    from keras import layers

    from nonlocal_tf.layers import PAIRWISE, NonLocalBlock
    from nonlocal_tf.ops import max_pool

    shape, pairwise = tuple(case["shape"]), case["pairwise"]
    batch, channels, d = shape[0], shape[-1], shape[-1] // 2
    n, pool = int(np.prod(shape[1:-1])), case["subsample"]
    m = int(np.prod([s // p for s, p in zip(shape[1:-1], pool, strict=True)]))
    kind = case["layer"]
    if kind == "block":
        block = NonLocalBlock(pairwise, subsample=tuple(pool), gamma_init=1.0)
        block.build(shape)
        return block, [shape], block.trainable_variables
    if kind == "pairwise":
        layer = PAIRWISE[pairwise]()
        width = channels if pairwise == "gaussian" else d
        shapes = [(batch, n, width), (batch, m, width), (batch, m, d)]
        layer.build(*shapes)
        return _in_training(layer), shapes, layer.trainable_variables
    if kind == "pool":
        return lambda x, training: max_pool(x, tuple(pool)), [shape], []
    if kind == "add":
        return lambda x, y, training: x + y, [shape, shape], []
    if kind == "bn":
        layer = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
        layer.build((None, None, channels))
        return layer, [(batch, n, channels)], layer.trainable_variables
    if kind in ("three products", "one product"):
        names = ("theta", "phi", "g")
        products = [layers.Dense(d, name=name) for name in names]
        for layer in products:
            layer.build((None, None, channels))
        variables = [v for layer in products for v in layer.variables]
        run = _three_products if kind == "three products" else _one_product
        return (
            functools.partial(run, products),
            [(batch, n, channels)],
            variables,
        )
    rows, width, units = {
        "theta": (n, channels, d),
        "phi": (m, channels, d),
        "g": (m, channels, d),
        "out": (n, d, channels),
    }[kind]
    layer = layers.Dense(units)
    layer.build((None, None, width))
    shapes = [(batch, rows, width)]
    return _in_training(layer), shapes, layer.trainable_variables


def _three_products(products, x, training):
    """Project by three products, as a block does, and concatenate."""
    from keras import ops

    return ops.concatenate([layer(x) for layer in products], axis=-1)


def _one_product(products, x, training):
    """Project by one product, split and concatenate."""
    from keras import ops

    kernel = ops.concatenate([layer.kernel for layer in products], axis=1)
    bias = ops.concatenate([layer.bias for layer in products], axis=0)
    parts = ops.split(ops.matmul(x, kernel) + bias, len(products), axis=-1)
    return ops.concatenate(parts, axis=-1)


def _in_training(layer):
    """Ignore the argument `training`."""
    return lambda *inputs, training: layer(*inputs)
