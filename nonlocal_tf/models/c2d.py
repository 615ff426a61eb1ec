"""C2D: networks whose convolutions see one frame at a time."""

from nonlocal_tf.models.convnet import convnet
from nonlocal_tf.models.registry import register_model
from nonlocal_tf.models.specs import C2D_NL1_SMALL, C2D_SMALL
from nonlocal_tf.models.video import register_resnets

register_resnets("c2d")


@register_model
def c2d_small(num_classes=10, clip_shape=(8, 32, 32, 3)):
    return convnet(C2D_SMALL, "c2d_small", num_classes, clip_shape)


@register_model
def c2d_nl1_small(
    num_classes=10, clip_shape=(8, 32, 32, 3), nonlocal_block=None
):
    return convnet(
        C2D_NL1_SMALL,
        "c2d_nl1_small",
        num_classes,
        clip_shape,
        nonlocal_block=nonlocal_block,
    )
