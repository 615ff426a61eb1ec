"""Small plain convolutional networks, for clips and for single images.

They are the family in which the library can be tried in minutes. The clip
network and the image network of a spec have the same layer names, so
`inflate` carries weights from one to the other.
"""

import keras
from keras import layers

from nonlocal_tf.layers.nonlocal_block import NonLocalBlock
from nonlocal_tf.models.shapes import checked_shape
from nonlocal_tf.models.specs import ConvNetSpec

BN_MOMENTUM = 0.9
BN_EPSILON = 1e-5


def convnet(
    spec: ConvNetSpec,
    name: str,
    num_classes: int,
    input_shape: tuple[int | None, ...],
    of: str = "clips",
    nonlocal_block: dict | None = None,
) -> keras.Model:
    """Builds a spec for clips or, leaving out everything about time, images.

    Args:
        spec: the network.
        name: of the model.
        num_classes: how many logits.
        input_shape: `(time, height, width, channels)` of clips,
            `(height, width, channels)` of images; all but the channels may be
            None.
        of: "clips" or "images".
        nonlocal_block: arguments for each `NonLocalBlock`.

    Returns:
        A functional model to logits `(batch, num_classes)`.
    """
    is_clip = of == "clips"
    x = inputs = keras.Input(checked_shape(input_shape, of), name=of)
    for stage, kernels in enumerate(spec.temporal_kernels, start=1):
        x = conv_stage(x, spec.widths[stage - 1], kernels, f"stage{stage}")
        if stage in spec.nonlocal_after:
            x = NonLocalBlock(
                **(nonlocal_block or {}), name=f"stage{stage}_nonlocal"
            )(x)
    x = conv_bn_relu(x, spec.widths[-1], spec.head_kernel, 1, "head_conv")
    if is_clip:
        x = layers.GlobalAveragePooling3D(name="pool")(x)
    else:
        x = layers.GlobalAveragePooling2D(name="pool")(x)
    # float32 under every policy: the loss and the softmax follow.
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)


def conv_stage(x, filters, temporal_kernels, name):
    """Convolutions of one width; the first halves height and width."""
    for index, kernel_t in enumerate(temporal_kernels, start=1):
        stride = 2 if index == 1 else 1
        x = conv_bn_relu(x, filters, kernel_t, stride, f"{name}_conv{index}")
    return x


def conv_bn_relu(x, filters, kernel_t, stride, name):
    """Convolution (kernel_t x) 3 x 3, batch normalisation, ReLU."""
    is_clip = len(x.shape) == 5
    conv = layers.Conv3D if is_clip else layers.Conv2D
    x = conv(
        filters,
        kernel_size=(kernel_t, 3, 3) if is_clip else (3, 3),
        strides=(1, stride, stride) if is_clip else (stride, stride),
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)
    x = layers.BatchNormalization(
        momentum=BN_MOMENTUM, epsilon=BN_EPSILON, name=f"{name}_bn"
    )(x)
    return layers.ReLU(name=f"{name}_relu")(x)
