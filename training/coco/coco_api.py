"""What pycocotools does: masks of polygons, and average precision.

The one place that imports it (extra `coco`). faster-coco-eval, where it is
installed, gives the same numbers sooner.
"""

import contextlib
import io
from collections.abc import Sequence

import numpy as np

from ..io.user_error import missing_extra

KINDS = ("bbox", "segm", "keypoints")
# Of COCOeval's twelve numbers, or ten for keypoints.
NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl")
KEYPOINT_NAMES = ("AP", "AP50", "AP75", "APm", "APl")

# How far a keypoint may be, of an object's size: COCO knows it for the 17 of
# people alone. Others are held to what it takes for a wrist, near the middle.
OTHER_SIGMA = 0.062


def require(masks: bool, scores: bool = True) -> None:
    """Raises a UserError unless what is needed is installed.

    Args:
        masks: whether masks are read or written.
        scores: whether detections are scored.
    """
    if masks:
        _masks()
    if scores:
        _evaluation()


def mask_of(segmentation: list | dict, size: tuple[int, int]) -> np.ndarray:
    """Pixels of an object.

    Args:
        segmentation: polygons, each x, y, x, y, ..., or run lengths.
        size: height and width of the picture.

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


def run_lengths_of(mask: np.ndarray) -> dict:
    """A bool mask `(height, width)` as a result file has it."""
    found = _masks().encode(np.asfortranarray(mask, "uint8"))
    return {**found, "counts": found["counts"].decode("ascii")}


def average_precision(
    truth: dict, results: Sequence[dict], kind: str, picture_ids: Sequence[int]
) -> dict[str, float]:
    """COCO's numbers, from 0 to 1; -1 where there is nothing to find.

    Args:
        truth: what a file of annotations has. Their ids are from 1 on: of 0
            the evaluation thinks that it was not found.
        results: detections in COCO's form.
        kind: of `KINDS`.
        picture_ids: those that were looked at. Ids of pictures and categories
            may be any integers: faster-coco-eval itself takes 32 bits.

    Returns:
        AP over overlaps from 0.5 to 0.95, AP50, AP75, and of small, middle
        and large objects.
    """
    api, evaluation = _evaluation()
    truth, results, picture_ids = _renumbered(truth, results, picture_ids)
    names = KEYPOINT_NAMES if kind == "keypoints" else NAMES
    with contextlib.redirect_stdout(io.StringIO()):
        wanted = api()
        wanted.dataset = truth
        wanted.createIndex()
        if not results:  # which loadRes does not take
            found = any(
                wanted.getAnnIds(imgIds=[number], iscrowd=False)
                for number in picture_ids
            )
            return dict.fromkeys(names, 0.0 if found else -1.0)
        run = evaluation(wanted, wanted.loadRes(list(results)), kind)
        run.params.imgIds = list(picture_ids)
        if kind == "keypoints":
            count = len(results[0]["keypoints"]) // 3
            if count != len(run.params.kpt_oks_sigmas):
                run.params.kpt_oks_sigmas = np.full(count, OTHER_SIGMA)
        run.evaluate()
        run.accumulate()
        run.summarize()
    return {
        name: float(value)
        for name, value in zip(names, run.stats, strict=False)
    }


def _renumbered(
    truth: dict, results: Sequence[dict], picture_ids: Sequence[int]
) -> tuple[dict, list[dict], list[int]]:
    """The same with pictures and categories numbered from 1."""
    images, categories = (
        {entry["id"]: number for number, entry in enumerate(truth[name], 1)}
        for name in ("images", "categories")
    )
    unknown = 1 + len(categories)  # which only a detector has

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
        **truth,
        "images": [{**i, "id": images[i["id"]]} for i in truth["images"]],
        "categories": [
            {**c, "id": categories[c["id"]]} for c in truth["categories"]
        ],
        "annotations": rows(truth["annotations"]),
    }
    return numbered, rows(results), [images[number] for number in picture_ids]


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
