"""Checkpoints: reading of untrusted files in many formats, loading, saving."""

from nonlocal_tf.checkpoints.errors import CheckpointError
from nonlocal_tf.checkpoints.load import from_checkpoint, load_weights
from nonlocal_tf.checkpoints.load_report import LoadReport
from nonlocal_tf.checkpoints.write import (
    WRITABLE_FORMATS,
    format_of_path,
    save_weights,
)

__all__ = [
    "WRITABLE_FORMATS",
    "CheckpointError",
    "LoadReport",
    "format_of_path",
    "from_checkpoint",
    "load_weights",
    "save_weights",
]
