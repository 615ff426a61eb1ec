"""Image networks, trained on single frames and then inflated to clips."""

from nonlocal_tf.models.convnet import convnet
from nonlocal_tf.models.registry import register_model
from nonlocal_tf.models.specs import C2D_SMALL


@register_model
def image_small(num_classes=60, image_shape=(32, 32, 3)):
    return convnet(
        C2D_SMALL, "image_small", num_classes, image_shape, of="images"
    )
