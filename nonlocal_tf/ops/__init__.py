"""Non-local operations as free functions of (theta, phi, g), and their parts.

The pairwise functions are `softmax` (Gaussian and embedded Gaussian),
`dot_product` and `concatenation`, and of linear cost, not in the paper,
`efficient` and `global_context`; each `*_affinity` returns the matrix of
attention weights that the function applies to g.
"""

from nonlocal_tf.ops._concatenation import (
    CONCATENATION_METHODS,
    ConcatenationMethod,
    concatenation,
    concatenation_affinity,
)
from nonlocal_tf.ops._convolution import convolution, output_sizes
from nonlocal_tf.ops._dot_product import (
    DOT_PRODUCT_METHODS,
    DotProductMethod,
    dot_product,
    dot_product_affinity,
)
from nonlocal_tf.ops._efficient import efficient, efficient_affinity
from nonlocal_tf.ops._global_context import (
    global_context,
    global_context_affinity,
)
from nonlocal_tf.ops._pooling import max_pool
from nonlocal_tf.ops._precision import at_least_float32
from nonlocal_tf.ops._rows import take_rows
from nonlocal_tf.ops._softmax import (
    SOFTMAX_BUDGET_MB,
    SOFTMAX_METHODS,
    SoftmaxMethod,
    check_budget,
    softmax,
    softmax_affinity,
)

__all__ = [
    "CONCATENATION_METHODS",
    "DOT_PRODUCT_METHODS",
    "SOFTMAX_BUDGET_MB",
    "SOFTMAX_METHODS",
    "ConcatenationMethod",
    "DotProductMethod",
    "SoftmaxMethod",
    "at_least_float32",
    "check_budget",
    "concatenation",
    "concatenation_affinity",
    "convolution",
    "dot_product",
    "dot_product_affinity",
    "efficient",
    "efficient_affinity",
    "global_context",
    "global_context_affinity",
    "max_pool",
    "output_sizes",
    "softmax",
    "softmax_affinity",
    "take_rows",
]
