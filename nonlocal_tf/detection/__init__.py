"""Mask R-CNN with non-local blocks: boxes, masks and keypoints.

The mathematics is `keras.ops` and NumPy. What `keras.ops` lacks is in
`tf_ops`, the one file here that imports TensorFlow, so that detection runs on
that backend alone; `import nonlocal_tf` pulls in neither.

Boxes are `x1, y1, x2, y2` in pixels, and a box is x2 - x1 wide: there is no
+ 1, as in torchvision and detectron2 and unlike Detectron.
"""

from nonlocal_tf.detection.checkpoints import load_detector_weights
from nonlocal_tf.detection.config import X152_32X8D, DetectorConfig
from nonlocal_tf.detection.detector import Detections, MaskRCNN, detect
from nonlocal_tf.detection.infer import detector_of, is_detector
from nonlocal_tf.detection.training import TrainingConfig, batch_losses
from nonlocal_tf.detection.transform import BGR, RGB, Pixels
from nonlocal_tf.detection.trunk import load_trunk_weights

__all__ = [
    "BGR",
    "RGB",
    "X152_32X8D",
    "Detections",
    "DetectorConfig",
    "MaskRCNN",
    "Pixels",
    "TrainingConfig",
    "batch_losses",
    "detect",
    "detector_of",
    "is_detector",
    "load_detector_weights",
    "load_trunk_weights",
]
