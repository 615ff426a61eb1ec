"""Network builders and the table that names them."""

from nonlocal_tf.models import c2d, i3d, image, resnet3d  # fills the table
from nonlocal_tf.models.fold import fold
from nonlocal_tf.models.inflate import InflationReport, inflate
from nonlocal_tf.models.registry import (
    create_model,
    list_models,
    register_model,
)

__all__ = [
    "InflationReport",
    "c2d",
    "create_model",
    "fold",
    "i3d",
    "image",
    "inflate",
    "list_models",
    "register_model",
    "resnet3d",
]
