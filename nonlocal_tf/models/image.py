"""Image networks, trained on single frames and then inflated to clips."""

import functools

import keras

from nonlocal_tf.models import specs
from nonlocal_tf.models.convnet import convnet
from nonlocal_tf.models.registry import add_model, register_model
from nonlocal_tf.models.resnet3d import (
    Head,
    HeadKind,
    Norm,
    Outputs,
    StrideOn,
    Style,
    resnet,
)

IMAGE_SHAPE = (224, 224, 3)


def image_resnet(
    spec: specs.ResNetSpec,
    *,
    name: str = "resnet",
    num_classes: int = 1000,
    image_shape: tuple[int | None, ...] = IMAGE_SHAPE,
    pool_padding: int = 1,
    stride_on: StrideOn = "3x3",
    head: HeadKind = "classification",
    outputs: Outputs = "logits",
    dropout: float = 0.0,
    norm: Norm = "batch",
    bn_synchronized: bool = False,
    zero_init_residual: bool | None = None,
    width: int = 64,
) -> keras.Model:
    """ResNet on images, with the layer names of the networks on clips.

    Args:
        spec: its stages; what it says of time does not matter.
        name: of the model.
        num_classes: how many logits.
        image_shape: `(height, width, channels)`; all but the channels may be
            None.
        pool_padding: of the max pool, in pixels: 1 as everywhere, or 0 as in
            the authors' networks on clips.
        stride_on: the convolution of a block that has the stride: "3x3", or
            "1x1" as in the original paper and in Keras' weights.
        head: "classification", "multi_label" or "none".
        outputs: "logits" or "probabilities".
        dropout: share of features dropped before the linear map, in training.
        norm: "batch" normalisation, or "affine", which stays as loaded.
        bn_synchronized: batch statistics over all devices of a strategy.
        zero_init_residual: residual blocks start as their shortcuts. Default:
            with batch normalisation, as an affine one would stay so.
        width: channels of the first convolution; all others follow.

    Returns:
        A model of images `(batch, height, width, channels)`.

    Raises:
        ValueError: an argument is not one of those above.

    Reference:
        He et al., Deep Residual Learning for Image Recognition, CVPR 2016.
    """
    if head == "fully_convolutional":
        raise ValueError(
            "An image network has no fully convolutional head. Received: "
            f"head={head!r}"
        )
    return resnet(
        spec,
        name,
        num_classes,
        image_shape,
        specs.Stem(1, (1, 3, 3), (1, 2, 2), pool_padding),
        Style(
            rank=2,
            norm=norm,
            bn_synchronized=bn_synchronized,
            zero_init_residual=zero_init_residual,
            stride_on=stride_on,
        ),
        Head(head, outputs, dropout),
        width,
    )


for _depth in specs.DEPTHS:
    _name = f"image_r{_depth}"
    _spec = specs.resnet_spec("c2d", _depth)
    add_model(_name, functools.partial(image_resnet, _spec, name=_name))


@register_model
def image_small(
    num_classes: int = 60, image_shape: tuple[int | None, ...] = (32, 32, 3)
) -> keras.Model:
    return convnet(
        specs.C2D_SMALL, "image_small", num_classes, image_shape, of="images"
    )
