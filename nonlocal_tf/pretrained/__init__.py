"""Networks with published weights, and models for hubs."""

from nonlocal_tf.pretrained.create import (
    accept_licenses,
    create_model,
    download_weights,
)
from nonlocal_tf.pretrained.model_folder import (
    from_pretrained,
    save_pretrained,
)
from nonlocal_tf.pretrained.published_weights import list_weights

__all__ = [
    "accept_licenses",
    "create_model",
    "download_weights",
    "from_pretrained",
    "list_weights",
    "save_pretrained",
]
