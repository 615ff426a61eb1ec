"""The networks in plain Keras layers, as a careful user would write them.

3-D convolutions, pooling and batch normalization of `keras.layers` with the
authors' zero padding, and the embedded Gaussian by its formula. Layer names
equal ours.
"""

import keras
from keras import layers, ops

EXPANSION = 4


def resnet(spec: dict, stem: dict, shape, classes: int = 400) -> keras.Model:
    """Build C2D, I3D or a non-local variant, to logits `(batch, classes)`.

    Args:
        spec: of `ResNetConfig`, as a dictionary.
        stem: of `Stem`, as a dictionary.
        shape: of a clip.
        classes: number of logits.
    """
    x = inputs = keras.Input(tuple(shape))
    strides = (stem["stride_t"], 2, 2)
    x = conv_norm(x, 64, (spec["stem_kernel_t"], 7, 7), strides, "conv1")
    x = layers.ReLU()(x)
    pad = stem["pool_padding"]
    if pad:
        x = layers.ZeroPadding3D((0, pad, pad))(x)  # after a ReLU
    x = layers.MaxPooling3D(stem["pool"], stem["pool_strides"])(x)
    for index, stage in enumerate(("res2", "res3", "res4", "res5")):
        for i, kernel_t in enumerate(spec["kernels_t"][index]):
            s = 2 if i == 0 and index > 0 else 1
            x = bottleneck(x, 64 * 2**index, kernel_t, s, f"{stage}_block{i}")
            if i in spec["nonlocal_after"][index]:
                x = nonlocal_block(x, f"{stage}_block{i}_nonlocal")
        if index == 0:
            x = layers.MaxPooling3D((2, 1, 1))(x)
    x = layers.GlobalAveragePooling3D()(x)
    x = layers.Dropout(0.5)(x)
    return keras.Model(inputs, layers.Dense(classes, name="logits")(x))


def bottleneck(x, width, kernel_t, stride, name):
    shortcut, strides = x, (1, stride, stride)
    if stride > 1 or x.shape[-1] != EXPANSION * width:
        shortcut = conv_norm(
            x, EXPANSION * width, (1, 1, 1), strides, f"{name}_shortcut"
        )
    x = conv_norm(x, width, (kernel_t, 1, 1), (1, 1, 1), f"{name}_conv1")
    x = layers.ReLU()(x)
    x = conv_norm(x, width, (1, 3, 3), strides, f"{name}_conv2")
    x = layers.ReLU()(x)
    x = conv_norm(x, EXPANSION * width, (1, 1, 1), (1, 1, 1), f"{name}_conv3")
    return layers.ReLU()(layers.Add()([x, shortcut]))


def conv_norm(x, filters, kernel, strides, name):
    padding = "valid"
    if max(strides) == 1:
        padding = "same"  # symmetric without strides
    elif max(kernel) > 1:
        x = layers.ZeroPadding3D(tuple(k // 2 for k in kernel))(x)
    x = layers.Conv3D(
        filters, kernel, strides, padding, use_bias=False, name=name
    )(x)
    return layers.BatchNormalization(
        momentum=0.9, epsilon=1e-5, name=f"{name}_bn"
    )(x)


def nonlocal_block(x, name):
    *_, time, height, width, channels = x.shape
    d, n = channels // 2, time * height * width
    pooled = layers.MaxPooling3D((1, 2, 2))(x)
    m = time * (height // 2) * (width // 2)
    theta, phi, g = (
        layers.Reshape((rows, d))(
            layers.Conv3D(d, 1, name=f"{name}_{part}")(source)
        )
        for part, source, rows in (
            ("theta", x, n),
            ("phi", pooled, m),
            ("g", pooled, m),
        )
    )
    logits = ops.matmul(theta, ops.transpose(phi, (0, 2, 1))) * d**-0.5
    y = ops.matmul(ops.softmax(logits, axis=-1), g)
    y = layers.Reshape((time, height, width, d))(y)
    y = layers.Conv3D(channels, 1, name=f"{name}_out")(y)
    y = layers.BatchNormalization(
        momentum=0.9, epsilon=1e-5, name=f"{name}_bn"
    )(y)
    return layers.Add()([x, y])
