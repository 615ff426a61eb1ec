"""Everyone's checkpoints: read without running what is in them, and written."""

from nonlocal_tf.checkpoints.errors import CheckpointError
from nonlocal_tf.checkpoints.load import from_checkpoint, load_weights
from nonlocal_tf.checkpoints.load_report import Report
from nonlocal_tf.checkpoints.write import WRITERS, form_of, save_weights

__all__ = [
    "WRITERS",
    "CheckpointError",
    "Report",
    "form_of",
    "from_checkpoint",
    "load_weights",
    "save_weights",
]
