"""Evaluate a detector on the images of a data set, by COCO's metrics."""

import dataclasses
from collections.abc import Mapping

from nonlocal_tf.detection import MaskRCNN

from ..coco import coco_evaluation, coco_scores
from ..data import CocoDataset
from ..io import tables

COLUMNS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
KINDS = ("box", "mask", "keypoint")


@dataclasses.dataclass(frozen=True)
class AveragePrecision:
    """Average precision of a detector; `str()` is a table of it.

    Attributes:
        metrics: COCO's metrics by name, such as `box_AP`, `mask_AP50` and
            `keypoint_APm`, from 0 to 1; -1 where there is no such object.
    """

    metrics: Mapping[str, float]

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("", *COLUMNS)]
        for kind in KINDS:
            if f"{kind}_AP" in self.metrics:
                numbers = (
                    self.metrics.get(f"{kind}_{name}", -1.0) for name in COLUMNS
                )
                rows.append((kind, *map(coco_scores.format_ap, numbers)))
        return tables.render(rows)


def evaluate_detector(
    model: MaskRCNN, coco: CocoDataset, split: str = "validation"
) -> AveragePrecision:
    """Detect the objects of all images of a split, and compute metrics.

    Images that cannot be read are named on the screen and skipped.

    Args:
        model: a trained detector.
        coco: from `data.load_coco`.
        split: "validation" or "train".

    Returns:
        Average precision of boxes, and of masks and keypoints if the detector
        has heads for them and objects are annotated with them.

    Raises:
        TypeError: `model` or `coco` are of another type.
        UserError: the detector is of other classes or of another
            pre-processing, outputs are not finite, or pycocotools is missing.

    Example:

    >>> result = evaluation.evaluate_detector(model, coco)
    >>> result.metrics["box_AP"]
    0.412
    >>> print(result)
    """
    if not isinstance(coco, CocoDataset):
        raise TypeError(
            "Expected coco from data.load_coco. Received: a "
            f"{type(coco).__name__}"
        )
    annotations = coco.annotations(split)
    coco.check_detector(model)
    images = model.image_preprocessing
    return AveragePrecision(
        coco_evaluation.evaluate(
            model,
            annotations,
            images.short_side_px,
            images.long_side_px,
            images.normalization,
            coco.categories,
        )
    )
