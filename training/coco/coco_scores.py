"""Scores of detections by COCO's average precision."""

from collections.abc import Sequence

from nonlocal_tf.detection import Detections, DetectorConfig

from ..io.user_error import UserError
from . import coco_api
from .annotations import Annotations, Category, Instance
from .category_matching import match_by_name, match_categories

NO_MASKS = "--set detector.masks=false"
# IoU types of COCOeval, and their names in metrics.
METRIC_NAMES = {"bbox": "box", "segm": "mask", "keypoints": "keypoint"}


class CocoScores:
    """Collects detections and scores them.

    Args:
        annotations: the ground truth; skipped images and objects of their
            file do not count.
        categories: categories of the detector, label 1 first. They are
            matched by `category_matching.match_categories`.
        iou_types: those of `METRIC_NAMES` to score, of `scored_iou_types`.

    Raises:
        UserError: an object has no mask to score, or a category is unknown to
            the detector.
    """

    def __init__(
        self,
        annotations: Annotations,
        categories: Sequence[Category],
        iou_types: Sequence[str],
    ):
        self._categories = match_categories(annotations, categories)
        self._truth = ground_truth(annotations, iou_types)
        self._iou_types = iou_types
        self.results: list[dict] = []
        self.image_ids: list[int] = []

    def add(self, image_id: int, detections: Detections) -> None:
        """Add the detections of an image, which may be none."""
        self.image_ids.append(image_id)
        self.results += to_results(image_id, detections, self._categories)

    def scores(self) -> dict[str, float]:
        """Compute `box_AP`, `mask_AP50`, ..."""
        return {
            f"{METRIC_NAMES[iou_type]}_{name}": value
            for iou_type in self._iou_types
            for name, value in coco_api.average_precision(
                self._truth, self._results(iou_type), iou_type, self.image_ids
            ).items()
        }

    def _results(self, iou_type: str) -> list[dict]:
        if iou_type != "segm":
            return self.results
        # The area of a box would replace that of the mask.
        return [
            {key: value for key, value in result.items() if key != "bbox"}
            for result in self.results
        ]


def format_ap(precision: float) -> str:
    """Format an average precision; "-" for -1, without objects."""
    return f"{precision:.3f}" if precision >= 0 else "-"


def to_results(
    image_id: int, detections: Detections, categories: Sequence[Category]
) -> list[dict]:
    """Convert the detections of an image to COCO's result format.

    Args:
        image_id: id in the annotations.
        detections: in pixels of the image.
        categories: categories of the detector; label 1 is the first.
    """
    results = []
    for number, (box, label, score) in enumerate(
        zip(detections.boxes, detections.labels, detections.scores, strict=True)
    ):
        x1, y1, x2, y2 = map(float, box)
        result = {
            "image_id": image_id,
            "category_id": categories[label - 1].id,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "score": float(score),
        }
        if detections.masks is not None:
            result["segmentation"] = coco_api.encode_mask(
                detections.masks[number]
            )
        if detections.keypoints is not None:
            result["keypoints"] = detections.keypoints[number].ravel().tolist()
        results.append(result)
    return results


def ground_truth(annotations: Annotations, iou_types: Sequence[str]) -> dict:
    """Convert valid annotations to COCO's format, with ids from 1 on.

    A crowd without a mask covers its box.

    Raises:
        UserError: masks are to be scored, and an object has none.
    """
    if "segm" in iou_types:
        check_masks(annotations, "evaluated with")
    num_keypoints = max(len(c.keypoints) for c in annotations.categories)
    rows = [
        _row(annotations, image.id, instance, num_keypoints)
        for image in annotations.images
        for instance in image.instances
    ]
    return {
        "info": {},
        "images": [
            {"id": image.id, "height": image.height, "width": image.width}
            for image in annotations.images
        ],
        "categories": [
            {"id": c.id, "name": c.name} for c in annotations.categories
        ],
        "annotations": [
            {"id": number, **row} for number, row in enumerate(rows, start=1)
        ],
    }


def _row(
    annotations: Annotations,
    image_id: int,
    instance: Instance,
    num_keypoints: int,
) -> dict:
    x1, y1, x2, y2 = instance.box
    keypoints = list(instance.keypoints) or [0.0] * (3 * num_keypoints)
    box_polygon = [[x1, y1, x2, y1, x2, y2, x1, y2]]
    return {
        "image_id": image_id,
        "category_id": annotations.categories[instance.label - 1].id,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": instance.area,
        "iscrowd": int(instance.is_crowd),
        "keypoints": keypoints,
        "num_keypoints": sum(v > 0 for v in keypoints[2::3]),
        "segmentation": instance.segmentation or box_polygon,
    }


def metric_names(iou_types: Sequence[str]) -> list[str]:
    """List the metrics of `CocoScores.scores`: `box_AP`, `mask_AP50`, ..."""
    return [
        f"{METRIC_NAMES[iou_type]}_{name}"
        for iou_type in iou_types
        for name in coco_api.metrics_of(iou_type)
    ]


def detector_iou_types(config: DetectorConfig) -> tuple[str, ...]:
    """Return the keys of `METRIC_NAMES` that a detector has heads for."""
    return (
        "bbox",
        *(["segm"] if config.has_masks else []),
        *(["keypoints"] if config.num_keypoints else []),
    )


def scored_iou_types(
    annotations: Annotations, config: DetectorConfig
) -> tuple[str, ...]:
    """Return the keys of `METRIC_NAMES` to score a detector by.

    Masks are not scored if no object has one.
    """
    iou_types = detector_iou_types(config)
    objects = [i for i in annotations.instances if not i.is_crowd]
    if (
        "segm" in iou_types
        and objects
        and len(objects_without_mask(annotations)) == len(objects)
    ):
        return tuple(iou_type for iou_type in iou_types if iou_type != "segm")
    return iou_types


def objects_without_mask(annotations: Annotations) -> list[Instance]:
    """Return the objects, not crowds, that have no segmentation."""
    return [
        instance
        for instance in annotations.instances
        if instance.segmentation is None and not instance.is_crowd
    ]


def check_masks(annotations: Annotations, use: str) -> None:
    """Check that all objects have masks; crowds need none.

    Args:
        annotations: to be checked.
        use: use of the masks, such as "evaluated with", for the message.

    Raises:
        UserError: an object has none.
    """
    objects = objects_without_mask(annotations)
    if objects:
        rest = f" and {len(objects) - 1} more" if len(objects) > 1 else ""
        have = "have" if rest else "has"
        raise UserError(
            f"{annotations.path}: annotation {objects[0].id}{rest} {have} no "
            f"segmentation, which masks are {use}. Remove what has none, or "
            f"train a detector without masks: {NO_MASKS}"
        )


def check(annotations: Annotations, config: DetectorConfig) -> None:
    """Check annotations before a detector is trained or scored with them.

    Raises:
        UserError: COCO's evaluation cannot use them.
    """
    iou_types = scored_iou_types(annotations, config)
    if "segm" in iou_types:
        check_masks(annotations, "evaluated with")
    instances = list(annotations.instances)
    if all(i.is_crowd for i in instances):
        received = "crowds alone (iscrowd 1)" if instances else "none"
        raise UserError(
            f"{annotations.path}: expected objects in its images. "
            f"Received: {received}. Give another file to validate on."
        )
    counts = {len(c.keypoints) for c in annotations.categories} - {0}
    if "keypoints" in iou_types and counts - {config.num_keypoints}:
        raise UserError(
            f"{annotations.path}: expected categories with the "
            f"{config.num_keypoints} keypoints of the detector, or none. "
            f"Received: {', '.join(map(str, sorted(counts)))} keypoints"
        )


def notes(
    annotations: Annotations,
    categories: Sequence[Category],
    config: DetectorConfig,
) -> list[str]:
    """Describe restrictions of an evaluation, a line each.

    Args:
        annotations: the ground truth.
        categories: categories of the detector.
        config: configuration of the detector.
    """
    lines = []
    if not match_by_name(annotations, categories):
        lines.append(
            f"{annotations.path}: classes are matched by id, as their names "
            "are missing or not unique"
        )
    if scored_iou_types(annotations, config) != detector_iou_types(config):
        lines.append(
            f"{annotations.path}: no object has a segmentation, so masks are "
            "not evaluated"
        )
    return lines
