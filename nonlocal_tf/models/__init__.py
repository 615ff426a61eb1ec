"""Networks and the registry of their names."""

# Importing the builders registers their models.
from nonlocal_tf.models import image_resnet, small_convnet, video_resnet
from nonlocal_tf.models.folding import fold
from nonlocal_tf.models.freezing import freeze
from nonlocal_tf.models.inflation import InflationReport, inflate
from nonlocal_tf.models.insertion import insert_blocks
from nonlocal_tf.models.registry import (
    create_model,
    list_models,
    register_model,
)

__all__ = [
    "InflationReport",
    "create_model",
    "fold",
    "freeze",
    "image_resnet",
    "inflate",
    "insert_blocks",
    "list_models",
    "register_model",
    "small_convnet",
    "video_resnet",
]
