"""Networks with weights that others have published."""

from nonlocal_tf.pretrained.create import (
    accept_licenses,
    create_model,
    download_weights,
)
from nonlocal_tf.pretrained.published_weights import list_weights

__all__ = [
    "accept_licenses",
    "create_model",
    "download_weights",
    "list_weights",
]
