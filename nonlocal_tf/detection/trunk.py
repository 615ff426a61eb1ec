"""ImageNet weights for the trunk of a detector."""

import dataclasses
import os

import keras

from nonlocal_tf.detection.detector import MaskRCNN
from nonlocal_tf.weights import assign
from nonlocal_tf.weights.read import read
from nonlocal_tf.weights.report import Report

# A bias of MSRA's ResNet-50 that Detectron leaves out, and so do we.
LEFT_OUT = "conv1_b"


def load_trunk_weights(model: MaskRCNN, path: str | os.PathLike) -> Report:
    """Fills the trunk of a detector with an ImageNet network.

    Blocks, the pyramid and the heads stay as they start. The fixed statistics
    of normalisations become their scales and shifts.

    Args:
        model: with the layers of the file, and its `stride_on`: "1x1" for
            Detectron's ResNets and those of `keras.applications`.
        path: of what `nonlocal_tf.load_weights` reads: ResNets and ResNeXts
            of Detectron (`R-50.pkl`, `X-152-32x8d-IN5k.pkl`) and torchvision,
            ResNets of `keras.applications`.

    Returns:
        A `Report`; its `unused` is the classifier.

    Raises:
        CheckpointError: the file is damaged or does not fit the model.
        OSError: the file cannot be opened.
    """
    stages = [
        layer
        for layer in model.pyramid.layers
        if layer.name.startswith("res5_")
    ]
    trunk = keras.Model(model.pyramid.input, stages[-1].output)
    found = read(path)
    arrays = {k: v for k, v in found.arrays.items() if k != LEFT_OUT}
    left_out = (LEFT_OUT,) * (len(arrays) < len(found.arrays))
    report = assign.load(trunk, dataclasses.replace(found, arrays=arrays))
    # Which convolution has the stride is not in a file.
    return dataclasses.replace(
        report, ignored=report.ignored + left_out, differs=()
    )
