"""Mask and Keypoint R-CNN with non-local blocks, on TensorFlow.

Detection needs the TensorFlow backend, for what `keras.ops` lacks: NMS, crops
of feature maps, stateless random numbers. `import nonlocal_tf` does not import
it.

Boxes are `x1, y1, x2, y2` in pixels, and a box is x2 - x1 wide: there is no
+ 1, as in torchvision and detectron2 and unlike Detectron.

A guide to the modules: `config` has all options; `model` is the detector, of
`backbone`, `rpn` and `heads`, between `preprocessing` and `postprocessing`;
`losses` are those of training, with `anchors`, `matching`, `targets` and
`target_sampling`; `detectors` has detectors by name; `detector_checkpoints`
loads weights.
"""

from nonlocal_tf.detection.config import (
    X152_32X8D,
    DetectorConfig,
    TargetSamplingConfig,
)
from nonlocal_tf.detection.detector_checkpoints import (
    load_backbone_weights,
    load_detector_weights,
)
from nonlocal_tf.detection.detectors import create_detector, freeze
from nonlocal_tf.detection.infer_config import (
    from_checkpoint,
    is_detector_checkpoint,
)
from nonlocal_tf.detection.losses import batch_losses
from nonlocal_tf.detection.model import MaskRCNN, detect
from nonlocal_tf.detection.output_checks import NonFiniteOutputsError
from nonlocal_tf.detection.postprocessing import Detections
from nonlocal_tf.detection.preprocessing import (
    BGR,
    RGB,
    ImagePreprocessing,
    PixelNormalization,
)

__all__ = [
    "BGR",
    "RGB",
    "X152_32X8D",
    "Detections",
    "DetectorConfig",
    "ImagePreprocessing",
    "MaskRCNN",
    "NonFiniteOutputsError",
    "PixelNormalization",
    "TargetSamplingConfig",
    "batch_losses",
    "create_detector",
    "detect",
    "freeze",
    "from_checkpoint",
    "is_detector_checkpoint",
    "load_backbone_weights",
    "load_detector_weights",
]
