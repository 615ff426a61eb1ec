"""ImageNet weights for the trunk of a detector."""

import dataclasses
import os

import keras
from keras import layers

from nonlocal_tf.checkpoints import assign
from nonlocal_tf.checkpoints.load_report import Report
from nonlocal_tf.checkpoints.read import read
from nonlocal_tf.detection.config import DetectorConfig
from nonlocal_tf.detection.detector import MaskRCNN
from nonlocal_tf.detection.pyramid import stages

# A bias of MSRA's ResNet-50 that Detectron leaves out, and so do we.
LEFT_OUT = "conv1_b"


def build_classifier(config: DetectorConfig, classes: int) -> keras.Model:
    """The network of images that the trunk of a detector is trained as.

    Its normalisations are of batches. Saved as `.keras` it is a file for
    `load_trunk_weights`.

    Args:
        config: of the detector.
        classes: of images.

    Returns:
        A model of normalised images `(batch, height, width, 3)` to logits.
    """
    alone = dataclasses.replace(config, nonlocal_block=None)
    inputs = keras.Input((None, None, 3), name="images")
    x = stages(inputs, alone, "batch")[-1]
    x = layers.GlobalAveragePooling2D(name="pool5")(x)
    x = layers.Dense(classes, name="logits")(x)
    return keras.Model(inputs, x, name="trunk")


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
    res5 = [
        layer
        for layer in model.pyramid.layers
        if layer.name.startswith("res5_")
    ]
    trunk = keras.Model(model.pyramid.input, res5[-1].output)
    found = read(path)
    arrays = {k: v for k, v in found.arrays.items() if k != LEFT_OUT}
    left_out = (LEFT_OUT,) * (len(arrays) < len(found.arrays))
    report = assign.load(trunk, dataclasses.replace(found, arrays=arrays))
    # Which convolution has the stride is not in a file.
    return dataclasses.replace(
        report, ignored=report.ignored + left_out, differs=()
    )
