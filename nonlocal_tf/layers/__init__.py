"""Keras layers: the non-local block and the layers of its networks."""

from nonlocal_tf.layers.convolution import Conv2D, Conv3D
from nonlocal_tf.layers.linear_pairwise import (
    EfficientAttention,
    GlobalContext,
)
from nonlocal_tf.layers.nonlocal_block import NonLocalBlock
from nonlocal_tf.layers.normalization import Affine, BatchNormalization
from nonlocal_tf.layers.pairwise import (
    PAIRWISE,
    Concatenation,
    DotProduct,
    EmbeddedGaussian,
    Gaussian,
    Pairwise,
    register_pairwise,
)
from nonlocal_tf.layers.pooling import MaxPool

__all__ = [
    "PAIRWISE",
    "Affine",
    "BatchNormalization",
    "Concatenation",
    "Conv2D",
    "Conv3D",
    "DotProduct",
    "EfficientAttention",
    "EmbeddedGaussian",
    "Gaussian",
    "GlobalContext",
    "MaxPool",
    "NonLocalBlock",
    "Pairwise",
    "register_pairwise",
]
