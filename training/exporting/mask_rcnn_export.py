"""Export a detector as a SavedModel."""

from collections.abc import Sequence

from nonlocal_tf.detection import MaskRCNN

from ..coco.annotations import Category
from ..coco.trained_detector import TrainedDetector
from ..data import CocoDataset
from ..data.coco_dataset import check_is_detector
from ..io import paths
from ..io.paths import Path
from ..io.user_error import UserError
from . import detector_card, saved_detector, version_folder
from . import saved_model as saved_models
from .model_card import NO_LICENSE, ModelDescription


def detector(
    model: MaskRCNN,
    out: str | Path,
    coco: CocoDataset | None = None,
    *,
    classes: Sequence[str] | None = None,
    name: str | None = None,
    description: str = "",
    license: str = "",
    dtype: str = "float32",
) -> Path:
    """Export a detector as the next version of a SavedModel.

    The SavedModel takes encoded images (`serving_default`) or the pixels of one
    (`serve_pixels`), of any size, and loads with TensorFlow alone. `nonlocal-tf
    predict`, `app` and `serve_config` take it too. `exporting.saved_detector`
    documents its outputs. The model card (README.md) and warm-up requests are
    written beside them.

    Args:
        model: a trained detector.
        out: directory of versions, a path or a URL, created if needed.
        coco: from `data.load_coco`: gives the classes, with names of keypoints.
        classes: class names without the background, in place of `coco`.
            Default: those of `model`.
        name: of the model on its card. Default: the name of `out`.
        description: one sentence on the model, for its card.
        license: sentences on the license of the weights, for its card.
        dtype: storage of the weights: "float32", "bfloat16" or "int8".

    Returns:
        The version's directory, such as savedmodels/mine/1.

    Raises:
        TypeError: `model` or `coco` are of another type.
        ValueError: class names are not known, or are given twice.
        UserError: another number of classes or another pre-processing than
            those of the data, outputs that are not finite, or a directory that
            cannot be written or has another purpose.

    Example:

    >>> export.detector(model, "savedmodels/mine", coco)
    """
    out = paths.as_path(out)
    check_out(out)
    check_is_detector(model)
    if coco is not None:
        if not isinstance(coco, CocoDataset):
            raise TypeError(
                "Expected coco from data.load_coco. Received: a "
                f"{type(coco).__name__}"
            )
        coco.check_detector(model)
    about = ModelDescription(
        name=name or out.resolve().name,
        summary=description or "Detector of objects in images",
        dataset="" if coco is None else coco.train.path.name,
        license=license or NO_LICENSE,
        made_by="export.detector",
    )
    images = model.image_preprocessing
    trained = TrainedDetector(
        about.name,
        model,
        _categories(model, coco, classes),
        images.short_side_px,
        images.long_side_px,
        images.normalization,
    )
    return version_folder.write_version(
        out,
        check=lambda: check_out(out),
        write=lambda path: write_files(path, trained, about, dtype),
    )


def write_files(
    path,
    model: TrainedDetector,
    description: ModelDescription,
    dtype: str = "float32",
    recipe_json: str | None = None,
) -> str:
    """Write the files of a version, and return its model card.

    Args:
        path: directory of the version, empty.
        model: the detector.
        description: of the model, for its card.
        dtype: storage of the weights, of `quantization.DTYPES`.
        recipe_json: recipe of a training run, if any.

    Raises:
        UserError: outputs are not finite, or the files cannot be written.
    """
    model.check_finite()
    saved_detector.write(model, path, dtype, recipe_json)
    return detector_card.render(description, model, path, dtype)


def check_out(out: Path) -> None:
    """Check a directory for new versions of a detector.

    Raises:
        UserError: it cannot be written, has another purpose, or holds versions
            of a classifier.
    """
    saved_models.check_out(out)
    if not all(map(saved_models.is_detector, saved_models.versions(out))):
        raise UserError(
            f"{out} holds versions that are no detectors. Give another "
            "directory."
        )


def _categories(
    model: MaskRCNN,
    coco: CocoDataset | None,
    classes: Sequence[str] | None,
) -> Sequence[Category]:
    if coco is not None:
        if classes is not None:
            raise ValueError("Expected `coco` or `classes`. Received both.")
        return coco.categories
    names = model.classes if classes is None else classes
    if names is None or 1 + len(names) != model.config.num_classes:
        raise ValueError(
            f"Expected `coco`, or {model.config.num_classes - 1} `classes`. "
            f"Received: classes={names!r}"
        )
    return [Category(id, name) for id, name in enumerate(names, start=1)]
