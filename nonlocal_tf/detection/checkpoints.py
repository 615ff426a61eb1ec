"""Weights of torchvision's and detectron2's Mask and Keypoint R-CNNs.

PyTorch is not needed, and no code in a file is run.
"""

import dataclasses
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import keras
import numpy as np

from nonlocal_tf.checkpoints.errors import CheckpointError, MisfitError
from nonlocal_tf.checkpoints.load_report import Report
from nonlocal_tf.checkpoints.read import NamedArrays, check_numbers, read_arrays
from nonlocal_tf.detection.detector import MaskRCNN
from nonlocal_tf.detection.heads import BOX_CELLS

# Of a layer's last name: those in torchvision, the first that is there.
BLOCK = r"res(\d)_block(\d+)_"
TORCHVISION = (
    (r"conv1", "backbone.body.conv1"),
    (r"conv1_affine", "backbone.body.bn1"),
    (BLOCK + r"conv(\d)", "backbone.body.layer{0-1}.{1}.conv{2}"),
    (
        BLOCK + r"conv(\d)_affine",
        "backbone.body.layer{0-1}.{1}.bn{2}",
    ),
    (
        BLOCK + r"shortcut",
        "backbone.body.layer{0-1}.{1}.downsample.0",
    ),
    (
        BLOCK + r"shortcut_affine",
        "backbone.body.layer{0-1}.{1}.downsample.1",
    ),
    (r"fpn_lateral(\d)", "backbone.fpn.inner_blocks.{0-2}.0"),
    (r"fpn_lateral(\d)", "backbone.fpn.inner_blocks.{0-2}"),
    (r"fpn_output(\d)", "backbone.fpn.layer_blocks.{0-2}.0"),
    (r"fpn_output(\d)", "backbone.fpn.layer_blocks.{0-2}"),
    (r"rpn_conv", "rpn.head.conv.0.0"),
    (r"rpn_conv", "rpn.head.conv"),
    (r"rpn_logits", "rpn.head.cls_logits"),
    (r"rpn_deltas", "rpn.head.bbox_pred"),
    (r"box_fc(\d)", "roi_heads.box_head.fc{0+5}"),
    (r"box_logits", "roi_heads.box_predictor.cls_score"),
    (r"box_deltas", "roi_heads.box_predictor.bbox_pred"),
    (r"mask_conv(\d)", "roi_heads.mask_head.{0-1}.0"),
    (r"mask_conv(\d)", "roi_heads.mask_head.mask_fcn{0}"),
    (r"mask_deconv", "roi_heads.mask_predictor.conv5_mask"),
    (r"mask_logits", "roi_heads.mask_predictor.mask_fcn_logits"),
    (r"keypoint_conv(\d)", "roi_heads.keypoint_head.{0*2-2}"),
    (r"keypoint_deconv", "roi_heads.keypoint_predictor.kps_score_lowres"),
)
DETECTRON2 = (
    (r"conv1", "backbone.bottom_up.stem.conv1"),
    (r"conv1_affine", "backbone.bottom_up.stem.conv1.norm"),
    (BLOCK + r"conv(\d)", "backbone.bottom_up.res{0}.{1}.conv{2}"),
    (
        BLOCK + r"conv(\d)_affine",
        "backbone.bottom_up.res{0}.{1}.conv{2}.norm",
    ),
    (BLOCK + r"shortcut", "backbone.bottom_up.res{0}.{1}.shortcut"),
    (
        BLOCK + r"shortcut_affine",
        "backbone.bottom_up.res{0}.{1}.shortcut.norm",
    ),
    (r"fpn_lateral(\d)", "backbone.fpn_lateral{0}"),
    (r"fpn_output(\d)", "backbone.fpn_output{0}"),
    (r"rpn_conv", "proposal_generator.rpn_head.conv"),
    (r"rpn_logits", "proposal_generator.rpn_head.objectness_logits"),
    (r"rpn_deltas", "proposal_generator.rpn_head.anchor_deltas"),
    (r"box_fc(\d)", "roi_heads.box_head.fc{0}"),
    (r"box_logits", "roi_heads.box_predictor.cls_score"),
    (r"box_deltas", "roi_heads.box_predictor.bbox_pred"),
    (r"mask_conv(\d)", "roi_heads.mask_head.mask_fcn{0}"),
    (r"mask_deconv", "roi_heads.mask_head.deconv"),
    (r"mask_logits", "roi_heads.mask_head.predictor"),
    (r"keypoint_conv(\d)", "roi_heads.keypoint_head.conv_fcn{0}"),
    (r"keypoint_deconv", "roi_heads.keypoint_head.score_lowres"),
)
# Of the layers that have rows for classes: with other classes they are new.
OF_CLASSES = ("box_logits", "box_deltas", "mask_logits", "keypoint_deconv")
ITS_CONFIG = "Give its DetectorConfig the layers and heads of the file."
IGNORED = r".*\.num_batches_tracked|pixel_(mean|std)|.*cell_anchors\.\d+"


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a file comes from.

    Attributes:
        mark: a name that only its files have.
        names: patterns of our layers' names, and names there.
        background_last: of the classes; there are no deltas and masks of it.
        norm_epsilon: added to the variance of a normalisation.
    """

    mark: str
    names: tuple[tuple[str, str], ...]
    background_last: bool
    norm_epsilon: float


SOURCES = {
    "torchvision": Source(
        "backbone.body.conv1.weight", TORCHVISION, False, 0.0
    ),
    "detectron2": Source(
        "backbone.bottom_up.stem.conv1.weight", DETECTRON2, True, 1e-5
    ),
}


def load_detector_weights(
    model: MaskRCNN,
    source: str | os.PathLike | Mapping[str, np.ndarray],
    norm_epsilon: float | None = None,
    new_classes: bool = False,
) -> Report:
    """Fills a detector from a file; changes nothing if something is wrong.

    Non-local blocks stay as they start, as the identity. Detectors want the
    pixels that they were trained on: `transform.RGB` for torchvision's,
    `transform.BGR` for detectron2's.

    Args:
        model: built, with the layers, classes and heads of the file.
        source: torchvision's `.pth` or detectron2's `.pkl` or `.pth`, or the
            arrays of one by name.
        norm_epsilon: added to the variances of the frozen normalisations.
            Default: 0 for torchvision, as of its first weights of COCO, and
            1e-5 for detectron2.
        new_classes: whether the layers of classes and keypoints stay as they
            start, to be trained on others.

    Returns:
        A `Report`; its `kept` are the variables of non-local blocks and of
        new classes.

    Raises:
        CheckpointError: the file is damaged, of another source, or does not
            fit the model; it names the weight.
        OSError: the file cannot be opened.
    """
    file = (
        NamedArrays("arrays", source)
        if isinstance(source, Mapping)
        else read_detector(source)
    )
    return fill(model, file, norm_epsilon, new_classes)


def read_detector(path: str | os.PathLike) -> NamedArrays:
    """Reads the arrays of a file of `load_detector_weights`.

    Raises:
        CheckpointError: the file is damaged.
        OSError: it cannot be opened.
    """
    return read_arrays(path, _is_source)


def _is_source(names: Collection[str]) -> bool:
    return any(source.mark in names for source in SOURCES.values())


def fill(
    model: MaskRCNN,
    file: NamedArrays,
    norm_epsilon: float | None = None,
    new_classes: bool = False,
) -> Report:
    """Fills a detector as `load_detector_weights`, with what was read."""
    path = file.path
    arrays = _floating(file)
    name = source_of(file)
    if norm_epsilon is None:
        norm_epsilon = SOURCES[name].norm_epsilon
    loader = _Loader(path, SOURCES[name], arrays, norm_epsilon)
    values, loaded, kept = {}, {}, []
    for variable in model.weights:
        *_, layer, role = variable.path.split("/")
        if "nonlocal" in variable.path or (new_classes and layer in OF_CLASSES):
            kept.append(variable.path)
            continue
        values[variable.path], used = loader.value(layer, role)
        loaded[variable.path] = used
        loader.check(variable, values[variable.path], used)
    taken = {one for used in loaded.values() for one in used}
    unused = [one for one in arrays if one not in taken]
    others = loader.names_of(OF_CLASSES) if new_classes else set()
    if set(unused) - others:
        unused = [one for one in unused if one not in others]
        raise MisfitError(
            f"{path}: the model has nothing for {unused[0]!r}"
            + f" and {len(unused) - 1} more" * (len(unused) > 1)
            + ".",
            ITS_CONFIG,
        )
    for variable in model.weights:
        if variable.path in values:
            variable.assign(values[variable.path])
    ignored = tuple(one for one in file.arrays if one not in arrays)
    return Report(
        path,
        name,
        loaded,
        kept=tuple(kept),
        unused=tuple(unused),
        ignored=(*ignored, *file.ignored),
        selected=file.selected,
    )


def _floating(file: NamedArrays) -> dict[str, np.ndarray]:
    """The weights of a file in float32.

    Raises:
        CheckpointError: one is not of finite numbers.
    """
    arrays = {
        name: np.asarray(value)
        for name, value in file.arrays.items()
        if not re.fullmatch(IGNORED, name)
    }
    try:
        check_numbers(arrays)
    except CheckpointError as error:
        raise CheckpointError(f"{file.path}: {error}") from error
    return {n: a.astype("float32", copy=False) for n, a in arrays.items()}


def source_of(file: NamedArrays) -> str:
    """Which of `SOURCES` arrays are from."""
    for name, source in SOURCES.items():
        if source.mark in file.arrays:
            return name
    some = ", ".join(name[:80] for name in list(file.arrays)[:3]) or "none"
    keys = f". The file has the keys: {file.keys}" if file.keys else ""
    raise CheckpointError(
        f"{file.path}: expected weights of a Mask or Keypoint R-CNN of "
        f"{' or '.join(SOURCES)}. Received {len(file.arrays)} arrays, such as: "
        f"{some}{keys}"
    )


@dataclasses.dataclass
class _Loader:
    """Finds what a file has for a variable."""

    path: str
    source: Source
    arrays: Mapping[str, np.ndarray]
    norm_epsilon: float

    def value(
        self, layer: str, role: str
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        """What a variable gets, and from which names."""
        if role in ("gamma", "beta"):
            return self._affine(layer, role)
        end = {"kernel": "weight", "bias": "bias"}[role]
        name = self._find(layer, end)
        value = self.arrays[name]
        return _in_our_order(self._classes(layer, value), layer), (name,)

    def names_of(self, layers: Collection[str]) -> set[str]:
        """What a file may have for some layers."""
        return {
            f"{name}.{end}"
            for layer in layers
            for name in names_in(self.source, layer)
            for end in ("weight", "bias")
        }

    def check(
        self, variable: keras.Variable, value: np.ndarray, used: Sequence[str]
    ) -> None:
        if value.shape != tuple(variable.shape):
            given = self.arrays[used[0]].shape
            raise MisfitError(
                f"{self.path}: {used[0]!r} has the shape {given}. Expected "
                f"{tuple(variable.shape)} for {variable.path!r}, in the order "
                f"of Keras; received {value.shape} in that order.",
                ITS_CONFIG,
            )
        if not np.isfinite(value).all():
            raise CheckpointError(
                f"{self.path}: {variable.path!r} would not be finite in "
                f"float32, made of {', '.join(used)}: is a variance negative "
                "or zero?"
            )

    def _affine(
        self, layer: str, role: str
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        """The scale and shift that fixed statistics amount to."""
        ends = ("weight", "bias", "running_mean", "running_var")
        names = tuple(self._find(layer, end) for end in ends)
        weight, bias, mean, variance = (
            self.arrays[name].astype("float64") for name in names
        )
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            gain = weight / np.sqrt(variance + self.norm_epsilon)
            value = gain if role == "gamma" else bias - mean * gain
            return value.astype("float32"), names

    def _find(self, layer: str, end: str) -> str:
        names = [f"{name}.{end}" for name in names_in(self.source, layer)]
        for name in names:
            if name in self.arrays:
                return name
        raise MisfitError(
            f"{self.path}: {names[0] if names else end!r} is missing, for the "
            f"model's {layer!r}.",
            ITS_CONFIG,
        )

    def _classes(self, layer: str, value: np.ndarray) -> np.ndarray:
        """Class 0 is the background, in what has a row a class."""
        if not self.source.background_last:
            return value
        if layer == "box_logits":
            return np.roll(value, 1, axis=0)
        rows = {"box_deltas": 4, "mask_logits": 1}.get(layer, 0)
        return np.pad(value, ((rows, 0), *((0, 0) for _ in value.shape[1:])))


def names_in(source: Source, layer: str) -> Iterator[str]:
    """What a layer may be called there."""
    for pattern, name in source.names:
        found = re.fullmatch(pattern, layer)
        if found:
            numbers = [int(group) for group in found.groups()]
            yield re.sub(r"\{(\d)([^}]*)\}", _number(numbers), name)


def _number(numbers: list[int]) -> Callable[[re.Match], str]:
    """Fills `{0}`, `{0-1}` and `{0*2-2}` from groups of a pattern."""

    def fill(match: re.Match) -> str:
        value = numbers[int(match[1])]
        for sign, by in re.findall(r"([*+-])(\d+)", match[2]):
            value = {
                "*": value * int(by),
                "+": value + int(by),
                "-": value - int(by),
            }[sign]
        return str(value)

    return fill


def _in_our_order(value: np.ndarray, layer: str) -> np.ndarray:
    """From PyTorch's order of axes to Keras'."""
    if value.ndim == 4:  # transposed convolutions too
        return value.transpose(2, 3, 1, 0)
    if layer == "box_fc1" and value.ndim == 2:
        channels_first = value.reshape(len(value), -1, BOX_CELLS, BOX_CELLS)
        channels_last = channels_first.transpose(2, 3, 1, 0)
        return channels_last.reshape(-1, len(value))
    return value.T
