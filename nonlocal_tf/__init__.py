"""Non-local Neural Networks for video, in Keras 3."""

from nonlocal_tf.layers import (
    Concatenation,
    DotProduct,
    EmbeddedGaussian,
    Gaussian,
    NonLocalBlock,
    Pairwise,
    register_pairwise,
)
from nonlocal_tf.models import (
    create_model,
    inflate,
    list_models,
    register_model,
)
from nonlocal_tf.version import __version__
from nonlocal_tf.visualize import affinity

__all__ = [
    "Concatenation",
    "DotProduct",
    "EmbeddedGaussian",
    "Gaussian",
    "NonLocalBlock",
    "Pairwise",
    "__version__",
    "affinity",
    "create_model",
    "inflate",
    "list_models",
    "register_model",
    "register_pairwise",
]
