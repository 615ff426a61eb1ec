"""Keras layers: the non-local block and its pairwise functions."""

from nonlocal_tf.layers.affine import Affine
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

__all__ = [
    "PAIRWISE",
    "Affine",
    "Concatenation",
    "DotProduct",
    "EmbeddedGaussian",
    "Gaussian",
    "NonLocalBlock",
    "Pairwise",
    "register_pairwise",
]
