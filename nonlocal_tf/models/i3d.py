"""I3D: networks some of whose convolutions see several frames."""

from nonlocal_tf.models.convnet import convnet
from nonlocal_tf.models.registry import register_model
from nonlocal_tf.models.specs import I3D_NL1_SMALL, I3D_SMALL
from nonlocal_tf.models.video import register_resnets

register_resnets("i3d")


@register_model
def i3d_small(num_classes=10, clip_shape=(8, 32, 32, 3)):
    return convnet(I3D_SMALL, "i3d_small", num_classes, clip_shape)


@register_model
def i3d_nl1_small(
    num_classes=10, clip_shape=(8, 32, 32, 3), nonlocal_block=None
):
    return convnet(
        I3D_NL1_SMALL,
        "i3d_nl1_small",
        num_classes,
        clip_shape,
        nonlocal_block=nonlocal_block,
    )
