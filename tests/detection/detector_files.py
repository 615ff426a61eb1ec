"""Made-up checkpoints of torchvision and detectron2 of small detectors."""

import pickle

import numpy as np

from nonlocal_tf import detection
from nonlocal_tf.detection import detector_formats
from nonlocal_tf.detection.config import DetectorConfig
from nonlocal_tf.detection.model import MaskRCNN

SMALL = {
    "layers": (1, 1, 2, 1),
    "width": 8,
    "fpn_channels": 5,
    "box_units": 7,
    "mask_channels": (3,) * 4,
    "mask_deconv_channels": 4,
    "keypoint_channels": (6,) * 8,
}


def config_of(source, name, **options):
    """Return the configuration of a network of torchvision or detectron2."""
    has_masks = "mask" in name
    coco_classes = 91 if source == "torchvision" else 81
    options = {"keypoint_channels": (512,) * 8, **options}
    mask_channels = options.pop("mask_channels", (256,) * 4)
    return DetectorConfig(
        num_classes=coco_classes if has_masks else 2,
        mask_channels=mask_channels if has_masks else (),
        num_keypoints=0 if has_masks else 17,
        stride_on="3x3" if source == "torchvision" else "1x1",
        **options,
    )


def random_arrays(shapes, seed=0):
    """Return random arrays by name."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.uniform(0.5, 1.5, shape).astype("float32")
        for name, shape in shapes.items()
    }


def shapes_of(source, model):
    """Return the names and shapes in a file with the weights of a model."""
    shapes = {}
    file_format = detector_formats.FORMATS[source]
    for variable in model.weights:
        *_, layer, role = variable.path.split("/")
        name = next(detector_formats.weight_names(file_format, layer))
        shape = tuple(variable.shape)
        if role in ("gamma", "beta"):
            for key in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"{name}.{key}"] = shape
        else:
            key = {"kernel": "weight", "bias": "bias"}[role]
            shapes[f"{name}.{key}"] = shape[::-1]
    return shapes


def without_background(arrays):
    """Remove deltas and masks of the background, as detectron2 has none."""
    rows = {"bbox_pred": 4, "mask_head.predictor": 1}
    return {
        key: value[sum(n for part, n in rows.items() if part in key) :]
        for key, value in arrays.items()
    }


def write(folder, source, name, **options):
    """Write a checkpoint; return its path and the detector it belongs to."""
    model = MaskRCNN(config_of(source, name, **{**SMALL, **options}))
    arrays = random_arrays(shapes_of(source, model))
    if source == "detectron2":
        arrays = without_background(arrays)
    path = folder / "model_final.pkl"
    path.write_bytes(pickle.dumps({"model": arrays}))
    detection.load_detector_weights(model, path)
    return path, model
