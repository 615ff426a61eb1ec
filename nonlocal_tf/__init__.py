"""Non-local Neural Networks for video, in Keras 3."""

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from typing import Any

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
    EfficientAttention,
    EmbeddedGaussian,
    Gaussian,
    GlobalContext,
    NonLocalBlock,
    Pairwise,
    register_pairwise,
)
from nonlocal_tf.models import (
    fold,
    freeze,
    inflate,
    insert_blocks,
    list_models,
    register_model,
)
from nonlocal_tf.models.flops import cost
from nonlocal_tf.models.summary import summary
from nonlocal_tf.pretrained import (
    create_model,
    from_pretrained,
    list_weights,
    save_pretrained,
)
from nonlocal_tf.version import __version__

__all__ = [
    "CheckpointError",
    "Concatenation",
    "DotProduct",
    "EfficientAttention",
    "EmbeddedGaussian",
    "Gaussian",
    "GlobalContext",
    "NonLocalBlock",
    "Pairwise",
    "__version__",
    "attention_map",
    "cost",
    "create_model",
    "fold",
    "freeze",
    "from_checkpoint",
    "from_pretrained",
    "inflate",
    "insert_blocks",
    "list_models",
    "list_weights",
    "load_weights",
    "preprocess",
    "register_model",
    "register_pairwise",
    "save_pretrained",
    "save_weights",
    "summary",
]


def __getattr__(name: str) -> Any:
    """Import `predict` on first use: it needs TensorFlow, unlike the rest."""
    if name == "predict":
        return _predict()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _predict() -> Callable:
    """Import the training program, installed or beside this folder."""
    clone = importlib.util.find_spec("training")
    folder = os.path.dirname(os.path.realpath(__file__))
    is_clone = (
        clone is not None
        and clone.origin is not None
        and os.path.dirname(os.path.dirname(os.path.realpath(clone.origin)))
        == os.path.dirname(folder)
    )
    names = [*["training"] * is_clone, f"{__name__}.training"]
    # The one whose data sets the user has.
    package = next((name for name in names if name in sys.modules), names[0])
    return importlib.import_module(f"{package}.predict").predict
