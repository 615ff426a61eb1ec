"""Non-local Neural Networks for video, in Keras 3."""

from nonlocal_tf import preprocess
from nonlocal_tf.attention.block_attention import attention_map
from nonlocal_tf.checkpoints import (
    CheckpointError,
    from_checkpoint,
    load_weights,
    save_weights,
)
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
    fold,
    inflate,
    insert_blocks,
    list_models,
    register_model,
)
from nonlocal_tf.models.flops import cost
from nonlocal_tf.models.summary import summary
from nonlocal_tf.version import __version__

__all__ = [
    "CheckpointError",
    "Concatenation",
    "DotProduct",
    "EmbeddedGaussian",
    "Gaussian",
    "NonLocalBlock",
    "Pairwise",
    "__version__",
    "attention_map",
    "cost",
    "create_model",
    "fold",
    "from_checkpoint",
    "inflate",
    "insert_blocks",
    "list_models",
    "load_weights",
    "preprocess",
    "register_model",
    "register_pairwise",
    "save_weights",
    "summary",
]
