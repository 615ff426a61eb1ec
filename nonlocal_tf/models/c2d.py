"""C2D: networks whose convolutions see one frame at a time.

They do not see motion: a clip and its frames in another order have the same
logits, with non-local blocks and without.
"""

from nonlocal_tf.models.convnet import register_convnets
from nonlocal_tf.models.specs import C2D_SMALL
from nonlocal_tf.models.video import register_resnets

register_resnets("c2d")
register_convnets("c2d", C2D_SMALL)
