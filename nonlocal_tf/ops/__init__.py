"""The non-local operation as free functions of (theta, phi, g)."""

from nonlocal_tf.ops.concatenation import (
    concatenation,
    concatenation_affinity,
)
from nonlocal_tf.ops.dot_product import dot_product, dot_product_affinity
from nonlocal_tf.ops.softmax import softmax, softmax_affinity

__all__ = [
    "concatenation",
    "concatenation_affinity",
    "dot_product",
    "dot_product_affinity",
    "softmax",
    "softmax_affinity",
]
