"""Loading of weights: whole detectors, and ImageNet weights of a backbone.

Detectors are torchvision's and detectron2's Mask and Keypoint R-CNNs. PyTorch
is not needed, and no code in a file is run.
"""

import dataclasses
import os
import re
from collections.abc import Collection, Mapping, Sequence

import keras
import numpy as np

from nonlocal_tf.checkpoints.assign import assign
from nonlocal_tf.checkpoints.errors import CheckpointError, MismatchError
from nonlocal_tf.checkpoints.load_report import LoadReport
from nonlocal_tf.checkpoints.read import (
    NamedArrays,
    check_finite,
    read_checkpoint,
    read_named_arrays,
)
from nonlocal_tf.detection.detector_formats import (
    FORMATS,
    DetectorFormat,
    check_supported,
    format_of,
    weight_names,
)
from nonlocal_tf.detection.heads import BOX_CELLS
from nonlocal_tf.detection.model import MaskRCNN

# Layers with a row for each class or keypoint: new with other classes.
CLASS_LAYERS = ("box_logits", "box_deltas", "mask_logits", "keypoint_deconv")
HINT = "Give its DetectorConfig the layers and heads of the file."
IGNORED = r".*\.num_batches_tracked|pixel_(mean|std)|.*cell_anchors\.\d+"
NORM_ROLES = ("weight", "bias", "running_mean", "running_var")
# A bias of MSRA's ResNet-50 that Detectron ignores too.
IGNORED_BIAS = "conv1_b"


def load_detector_weights(
    model: MaskRCNN,
    source: str | os.PathLike | Mapping[str, np.ndarray],
    norm_epsilon: float | None = None,
    new_classes: bool = False,
) -> LoadReport:
    """Load a detector's weights from a file, all or none of them.

    Non-local blocks keep their initial weights, the identity. A detector takes
    pixels as it was trained: `preprocessing.RGB` for torchvision's,
    `preprocessing.BGR` for detectron2's.

    Args:
        model: a detector with the layers, classes and heads of the file.
        source: torchvision's `.pth` or detectron2's `.pkl` or `.pth` (or
            `.safetensors` with their names), or the arrays of one by name.
            Others of their detectors, such as `maskrcnn_resnet50_fpn_v2` with
            its convolutional box head, are refused by name.
        norm_epsilon: added to the variances of the frozen normalizations.
            Default: 0 for torchvision, as for its first weights of COCO, and
            1e-5 for detectron2.
        new_classes: keep the initial weights of the layers of classes and
            keypoints, to fine-tune them on others.

    Returns:
        A `LoadReport`; its `kept` are the variables of non-local blocks and of
        new classes.

    Raises:
        CheckpointError: the file is damaged, of another source, or does not
            fit the model; it names the weight.
        OSError: the file cannot be opened.
    """
    checkpoint = (
        NamedArrays("arrays", source)
        if isinstance(source, Mapping)
        else read_detector(source)
    )
    return assign_detector(model, checkpoint, norm_epsilon, new_classes)


def load_backbone_weights(
    model: MaskRCNN, path: str | os.PathLike
) -> LoadReport:
    """Load the weights of an ImageNet network into a detector's ResNet.

    Non-local blocks, the FPN and the heads keep their initial weights. The
    statistics of normalizations become their scales and shifts.

    Args:
        model: a detector with the layers of the file and its `stride_on`:
            "1x1" for ResNets of Detectron and of `keras.applications`.
        path: a file that `nonlocal_tf.load_weights` reads: ResNets and
            ResNeXts of Detectron (`R-50.pkl`, `X-152-32x8d-IN5k.pkl`) and
            torchvision, ResNets of `keras.applications`.

    Returns:
        A `LoadReport`; its `unused` is the classifier.

    Raises:
        CheckpointError: the file is damaged or does not fit the model.
        OSError: the file cannot be opened.
    """
    last_layer = [
        layer
        for layer in model.pyramid.layers
        if layer.name.startswith("res5_")
    ][-1]
    resnet = keras.Model(model.pyramid.input, last_layer.output)
    checkpoint = read_checkpoint(path)
    arrays = {k: v for k, v in checkpoint.arrays.items() if k != IGNORED_BIAS}
    ignored = (IGNORED_BIAS,) * (len(arrays) < len(checkpoint.arrays))
    report = assign(resnet, dataclasses.replace(checkpoint, arrays=arrays))
    # A file does not say which convolution has the stride.
    return dataclasses.replace(
        report, ignored=report.ignored + ignored, differences=()
    )


def read_detector(path: str | os.PathLike) -> NamedArrays:
    """Read the arrays of a file for `load_detector_weights`.

    Raises:
        CheckpointError: the file is damaged.
        OSError: it cannot be opened.
    """
    return read_named_arrays(path, lambda names: format_of(names) is not None)


def assign_detector(
    model: MaskRCNN,
    checkpoint: NamedArrays,
    norm_epsilon: float | None = None,
    new_classes: bool = False,
) -> LoadReport:
    """Assign what `read_detector` read; as `load_detector_weights`."""
    path = checkpoint.path
    arrays = _float_arrays(checkpoint)
    name = detector_format(checkpoint)
    if norm_epsilon is None:
        norm_epsilon = FORMATS[name].norm_epsilon
    loader = _Loader(path, FORMATS[name], arrays, norm_epsilon)
    values, loaded, kept = {}, {}, []
    for variable in model.weights:
        *_, layer, role = variable.path.split("/")
        is_new = new_classes and layer in CLASS_LAYERS
        if is_new or "nonlocal" in variable.path:
            kept.append(variable.path)
            continue
        value, names = loader.value(layer, role)
        loader.check(variable, value, names)
        values[variable.path], loaded[variable.path] = value, names
    loaded_names = {name for names in loaded.values() for name in names}
    unused = [name for name in arrays if name not in loaded_names]
    allowed = loader.names_of(CLASS_LAYERS) if new_classes else set()
    unmatched = [name for name in unused if name not in allowed]
    if unmatched:
        raise MismatchError(
            f"{path}: the model has nothing for {unmatched[0]!r}"
            + f" and {len(unmatched) - 1} more" * (len(unmatched) > 1)
            + ".",
            HINT,
        )
    for variable in model.weights:
        if variable.path in values:
            variable.assign(values[variable.path])
    ignored = tuple(name for name in checkpoint.arrays if name not in arrays)
    return LoadReport(
        path,
        name,
        loaded,
        kept=tuple(kept),
        unused=tuple(unused),
        ignored=(*ignored, *checkpoint.ignored),
        selected=checkpoint.selected,
    )


def detector_format(checkpoint: NamedArrays) -> str:
    """Return the key in `FORMATS` of a checkpoint.

    Raises:
        CheckpointError: it has none.
    """
    try:
        check_supported(checkpoint.arrays)
    except CheckpointError as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from error
    name = format_of(checkpoint.arrays)
    if name is not None:
        return name
    first = ", ".join(name[:80] for name in list(checkpoint.arrays)[:3])
    keys = ""
    if checkpoint.keys:
        keys = f". The file has the keys: {checkpoint.keys}"
    raise CheckpointError(
        f"{checkpoint.path}: expected weights of a Mask or Keypoint R-CNN of "
        f"{' or '.join(FORMATS)}. Received {len(checkpoint.arrays)} arrays, "
        f"such as: {first or 'none'}{keys}"
    )


def _float_arrays(checkpoint: NamedArrays) -> dict[str, np.ndarray]:
    """Return the weights of a checkpoint in float32.

    Raises:
        CheckpointError: a number is not finite.
    """
    arrays = {
        name: np.asarray(value)
        for name, value in checkpoint.arrays.items()
        if not re.fullmatch(IGNORED, name)
    }
    try:
        check_finite(arrays)
    except CheckpointError as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from error
    return {n: a.astype("float32", copy=False) for n, a in arrays.items()}


@dataclasses.dataclass
class _Loader:
    """Values of variables from the arrays of a file."""

    path: str
    format: DetectorFormat
    arrays: Mapping[str, np.ndarray]
    norm_epsilon: float

    def value(
        self, layer: str, role: str
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        """Return the value of a variable and the names that it is made of."""
        if role in ("gamma", "beta"):
            return self._affine(layer, role)
        name = self._find(layer, {"kernel": "weight", "bias": "bias"}[role])
        value = self._background_first(layer, self.arrays[name])
        return _keras_order(value, layer), (name,)

    def names_of(self, layers: Collection[str]) -> set[str]:
        """Return the names that a file may have for some layers."""
        return {
            f"{name}.{role}"
            for layer in layers
            for name in weight_names(self.format, layer)
            for role in ("weight", "bias")
        }

    def check(
        self, variable: keras.Variable, value: np.ndarray, names: Sequence[str]
    ) -> None:
        """Raise an error unless the value fits a variable and is finite."""
        if value.shape != tuple(variable.shape):
            raise MismatchError(
                f"{self.path}: {names[0]!r} has the shape "
                f"{self.arrays[names[0]].shape}. Expected "
                f"{tuple(variable.shape)} for {variable.path!r}, in the order "
                f"of Keras; received {value.shape} in that order.",
                HINT,
            )
        if not np.isfinite(value).all():
            raise CheckpointError(
                f"{self.path}: {variable.path!r} would not be finite in "
                f"float32, made of {', '.join(names)}: is a variance negative "
                "or zero?"
            )

    def _affine(
        self, layer: str, role: str
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        """Fold the statistics of a normalization into its scale or shift."""
        names = tuple(self._find(layer, role) for role in NORM_ROLES)
        weight, bias, mean, variance = (
            self.arrays[name].astype("float64") for name in names
        )
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            scale = weight / np.sqrt(variance + self.norm_epsilon)
            value = scale if role == "gamma" else bias - mean * scale
            return value.astype("float32"), names

    def _find(self, layer: str, role: str) -> str:
        names = [f"{name}.{role}" for name in weight_names(self.format, layer)]
        for name in names:
            if name in self.arrays:
                return name
        raise MismatchError(
            f"{self.path}: {names[0] if names else role!r} is missing, for the "
            f"model's {layer!r}.",
            HINT,
        )

    def _background_first(self, layer: str, value: np.ndarray) -> np.ndarray:
        """Make class 0 the background in arrays with a row for each class."""
        if not self.format.background_last:
            return value
        if layer == "box_logits":
            return np.roll(value, 1, axis=0)
        rows = {"box_deltas": 4, "mask_logits": 1}.get(layer, 0)
        return np.pad(value, ((rows, 0), *((0, 0) for _ in value.shape[1:])))


def _keras_order(value: np.ndarray, layer: str) -> np.ndarray:
    """Transpose an array from PyTorch's order of axes to that of Keras."""
    if value.ndim == 4:  # transposed convolutions too
        return value.transpose(2, 3, 1, 0)
    if layer == "box_fc1" and value.ndim == 2:
        channels_first = value.reshape(len(value), -1, BOX_CELLS, BOX_CELLS)
        channels_last = channels_first.transpose(2, 3, 1, 0)
        return channels_last.reshape(-1, len(value))
    return value.T
