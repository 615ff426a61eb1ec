"""I3D: networks some of whose convolutions see several frames, thus motion."""

from nonlocal_tf.models.convnet import register_convnets
from nonlocal_tf.models.specs import (
    I3D_SMALL,
    I3D_STRIDED_SMALL,
    STRIDED_PLACES,
)
from nonlocal_tf.models.video import register_resnets

register_resnets("i3d")
register_convnets("i3d", I3D_SMALL)
register_convnets("i3d_strided", I3D_STRIDED_SMALL, STRIDED_PLACES)
