"""Keras layers: the non-local block, and what networks are made of."""

from nonlocal_tf.layers.affine import Affine
from nonlocal_tf.layers.batch_normalization import BatchNormalization
from nonlocal_tf.layers.convolution import Conv2D, Conv3D
from nonlocal_tf.layers.nonlocal_block import NonLocalBlock
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
    "EmbeddedGaussian",
    "Gaussian",
    "MaxPool",
    "NonLocalBlock",
    "Pairwise",
    "register_pairwise",
]
