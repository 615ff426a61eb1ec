"""The non-local operation as free functions of (theta, phi, g)."""

from nonlocal_tf.ops.concatenation import (
    CONCATENATION_METHODS,
    concatenation,
    concatenation_affinity,
)
from nonlocal_tf.ops.dot_product import (
    DOT_PRODUCT_METHODS,
    dot_product,
    dot_product_affinity,
)
from nonlocal_tf.ops.softmax import SOFTMAX_METHODS, softmax, softmax_affinity

__all__ = [
    "CONCATENATION_METHODS",
    "DOT_PRODUCT_METHODS",
    "SOFTMAX_METHODS",
    "concatenation",
    "concatenation_affinity",
    "dot_product",
    "dot_product_affinity",
    "softmax",
    "softmax_affinity",
]
