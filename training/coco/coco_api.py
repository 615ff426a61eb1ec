"""Masks and average precision by pycocotools (extra `coco`).

The one module that imports it. faster-coco-eval, where it is installed,
computes the same average precision in less time.
"""

import contextlib
import io
from collections.abc import Sequence

import numpy as np

from ..io.user_error import missing_extra

IOU_TYPES = ("bbox", "segm", "keypoints")
# Of COCOeval's twelve numbers, or ten for keypoints.
METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
KEYPOINT_METRICS = ("AP", "AP50", "AP75", "APm", "APl")

# Tolerance of a keypoint, as a share of the object's size. COCO has measured
# it for the 17 keypoints of people alone; others get a wrist's, a middle one.
DEFAULT_SIGMA = 0.062


def require(masks: bool, scores: bool = True) -> None:
    """Raise a UserError unless the packages are installed.

    Args:
        masks: for reading or writing of masks.
        scores: for scoring of detections.
    """
    if masks:
        _masks()
    if scores:
        _evaluation()


def decode_mask(segmentation: list | dict, size: tuple[int, int]) -> np.ndarray:
    """Decode a checked segmentation.

    Args:
        segmentation: polygons, each x, y, x, y, ..., or RLE.
        size: height and width of the image.

    Returns:
        bool `(height, width)`.
    """
    masks = _masks()
    if isinstance(segmentation, list):
        parts = masks.frPyObjects(segmentation, *size)
        return masks.decode(masks.merge(parts)).astype(bool)
    if isinstance(segmentation["counts"], list):
        segmentation = masks.frPyObjects(segmentation, *size)
    return masks.decode(segmentation).astype(bool)


def encode_mask(mask: np.ndarray) -> dict:
    """Encode a bool mask `(height, width)` as compressed RLE."""
    rle = _masks().encode(np.asfortranarray(mask, "uint8"))
    return {**rle, "counts": rle["counts"].decode("ascii")}


def metrics_of(iou_type: str) -> tuple[str, ...]:
    """Return the metrics of an IoU type."""
    return KEYPOINT_METRICS if iou_type == "keypoints" else METRICS


def average_precision(
    annotations: dict,
    results: Sequence[dict],
    iou_type: str,
    image_ids: Sequence[int],
) -> dict[str, float]:
    """Compute COCO's average precision, from 0 to 1; -1 without objects.

    Args:
        annotations: the content of an annotation file. Ids of its annotations
            start at 1: COCOeval takes 0 for no match.
        results: detections in COCO's format.
        iou_type: one of `IOU_TYPES`.
        image_ids: ids of the images that were evaluated. Ids of images and
            categories may be any integers, though faster-coco-eval takes
            those of 32 bits.

    Returns:
        AP over IoU thresholds from 0.5 to 0.95, AP50, AP75, and AP of small,
        medium and large objects.
    """
    api, evaluation = _evaluation()
    annotations, results, image_ids = _renumbered(
        annotations, results, image_ids
    )
    names = metrics_of(iou_type)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = api()
        truth.dataset = annotations
        truth.createIndex()
        if not results:  # which loadRes does not take
            has_objects = any(
                truth.getAnnIds(imgIds=[number], iscrowd=False)
                for number in image_ids
            )
            return dict.fromkeys(names, 0.0 if has_objects else -1.0)
        run = evaluation(truth, truth.loadRes(list(results)), iou_type)
        run.params.imgIds = list(image_ids)
        if iou_type == "keypoints":
            count = len(results[0]["keypoints"]) // 3
            if count != len(run.params.kpt_oks_sigmas):
                run.params.kpt_oks_sigmas = np.full(count, DEFAULT_SIGMA)
        run.evaluate()
        run.accumulate()
        run.summarize()
    return {
        name: float(value)
        for name, value in zip(names, run.stats, strict=False)
    }


def _renumbered(
    annotations: dict, results: Sequence[dict], image_ids: Sequence[int]
) -> tuple[dict, list[dict], list[int]]:
    """Number images and categories from 1."""
    images, categories = (
        {
            entry["id"]: number
            for number, entry in enumerate(annotations[name], 1)
        }
        for name in ("images", "categories")
    )
    unknown = 1 + len(categories)  # category of the detector alone

    def rows(entries):
        return [
            {
                **entry,
                "image_id": images[entry["image_id"]],
                "category_id": categories.get(entry["category_id"], unknown),
            }
            for entry in entries
        ]

    numbered = {
        **annotations,
        "images": [
            {**entry, "id": images[entry["id"]]}
            for entry in annotations["images"]
        ],
        "categories": [
            {**entry, "id": categories[entry["id"]]}
            for entry in annotations["categories"]
        ],
        "annotations": rows(annotations["annotations"]),
    }
    return numbered, rows(results), [images[number] for number in image_ids]


def _masks():
    try:
        from pycocotools import mask
    except ImportError as error:
        raise missing_extra("pycocotools", "coco") from error
    return mask


def _evaluation():
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError:
        pass
    else:
        return COCO, COCOeval_faster
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise missing_extra("pycocotools", "coco") from error
    return COCO, COCOeval
