"""ResNet on images, to be trained on frames and inflated to clips."""

import functools

import keras

from nonlocal_tf.models import backbones
from nonlocal_tf.models.registry import add_model
from nonlocal_tf.models.resnet import resnet
from nonlocal_tf.models.resnet_head import Head, HeadKind, Outputs
from nonlocal_tf.models.resnet_layers import Norm, StrideOn, Style

IMAGE_SHAPE = (224, 224, 3)


def image_resnet(
    config: backbones.ResNetConfig,
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
    gradient_checkpointing: bool = False,
) -> keras.Model:
    """Build ResNet on images, with the layer names of the clip networks.

    Args:
        config: stages; the temporal sizes are ignored.
        name: name of the model.
        num_classes: number of logits.
        image_shape: `(height, width, channels)`; all but the channels may be
            None.
        pool_padding: padding of the max pool: 1, the usual, or 0 as in the
            authors' networks on clips.
        stride_on: the convolution of a block that has the stride: "3x3", or
            "1x1" as in the original paper and in Keras' weights.
        head: "classification", "multi_label" or "none".
        outputs: "logits" or "probabilities".
        dropout: share of features dropped before the dense layer in training.
        norm: "batch" normalization, or "affine", which is not trained.
        bn_synchronized: compute batch statistics over all devices.
        zero_init_residual: initialize residual blocks as their shortcuts.
            Default: with batch normalization only.
        width: channels of the first convolution; all others scale with it.
        gradient_checkpointing: as of `video_resnet`.

    Returns:
        A model on images `(batch, height, width, channels)`.

    Raises:
        ValueError: an argument is invalid.

    Reference:
        He et al., Deep Residual Learning for Image Recognition, CVPR 2016.
    """
    if head == "fully_convolutional":
        raise ValueError(
            "An image network has no fully convolutional head. Received: "
            f"head={head!r}"
        )
    return resnet(
        config,
        name,
        num_classes,
        image_shape,
        backbones.Stem(1, (1, 3, 3), (1, 2, 2), pool_padding),
        Style(
            rank=2,
            norm=norm,
            bn_synchronized=bn_synchronized,
            zero_init_residual=zero_init_residual,
            stride_on=stride_on,
        ),
        Head(head, outputs, dropout),
        width,
        gradient_checkpointing=gradient_checkpointing,
    )


for _depth in backbones.DEPTHS:
    _name = f"image_r{_depth}"
    _config = backbones.resnet_config("c2d", _depth)
    add_model(_name, functools.partial(image_resnet, _config, name=_name))
