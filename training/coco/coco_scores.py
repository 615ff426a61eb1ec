"""Detections as COCO's results, and how good they are."""

import dataclasses
from collections.abc import Sequence

from nonlocal_tf.detection import Detections, DetectorConfig

from ..io.user_error import UserError
from . import coco_api
from .annotations import Annotations, Category, Instance

NO_MASKS = "--set detector.masks=false"
LISTED = 20  # classes, in a message
# What results are scored by, and how that is called.
SCORED = {"bbox": "box", "segm": "mask", "keypoints": "keypoint"}


def results_of(
    picture_id: int, found: Detections, categories: Sequence[Category]
) -> list[dict]:
    """Detections of a picture in COCO's form.

    Args:
        picture_id: of the annotations.
        found: what a detector found.
        categories: label 1 is the first.
    """
    results = []
    for number, (box, label, score) in enumerate(
        zip(found.boxes, found.labels, found.scores, strict=True)
    ):
        x1, y1, x2, y2 = map(float, box)
        result = {
            "image_id": picture_id,
            "category_id": categories[label - 1].id,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "score": float(score),
        }
        if found.masks is not None:
            mask = found.masks[number]
            result["segmentation"] = coco_api.encode_mask(mask)
        if found.keypoints is not None:
            result["keypoints"] = found.keypoints[number].ravel().tolist()
        results.append(result)
    return results


def truth_of(annotations: Annotations, kinds: Sequence[str]) -> dict:
    """What a file of annotations has of the good ones, numbered from 1.

    A crowd without a mask is one in all of its box.

    Raises:
        UserError: masks are to be scored, and an object has none.
    """
    if "segm" in kinds:
        check_masks(annotations, "tested with")
    points = max(len(one.keypoints) for one in annotations.categories)
    rows = []
    for picture in annotations.pictures:
        for one in picture.instances:
            rows.append(_row(annotations, picture.id, one, points))
    return {
        "info": {},
        "images": [
            {"id": one.id, "height": one.height, "width": one.width}
            for one in annotations.pictures
        ],
        "categories": [
            {"id": one.id, "name": one.name} for one in annotations.categories
        ],
        "annotations": [
            {"id": number, **row} for number, row in enumerate(rows, start=1)
        ],
    }


def _row(annotations: Annotations, picture: int, one: Instance, points: int):
    x1, y1, x2, y2 = one.box
    keypoints = list(one.keypoints) or [0.0] * (3 * points)
    row = {
        "image_id": picture,
        "category_id": annotations.categories[one.label - 1].id,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": one.area,
        "iscrowd": int(one.is_crowd),
        "keypoints": keypoints,
        "num_keypoints": sum(seen > 0 for seen in keypoints[2::3]),
    }
    row["segmentation"] = one.segmentation or [[x1, y1, x2, y1, x2, y2, x1, y2]]
    return row


def objects_without_mask(annotations: Annotations) -> list[Instance]:
    """Objects, not crowds, that have no segmentation."""
    return [
        one
        for one in annotations.instances
        if one.segmentation is None and not one.is_crowd
    ]


def check_masks(annotations: Annotations, use: str) -> None:
    """Check that objects have masks; crowds are known by their boxes.

    Args:
        annotations: of objects.
        use: of the masks, such as "tested with".

    Raises:
        UserError: an object has none.
    """
    objects = objects_without_mask(annotations)
    if objects:
        more = f" and {len(objects) - 1} more" if len(objects) > 1 else ""
        have = "have" if more else "has"
        raise UserError(
            f"{annotations.path}: annotation {objects[0].id}{more} {have} no "
            f"segmentation, which masks are {use}. Leave out what has none, or "
            f"train a detector without masks: {NO_MASKS}"
        )


class CocoScores:
    """Collects detections and scores them.

    Args:
        annotations: checked ones; what of their file was left out is not
            missed.
        categories: of the detector: label 1 is the first. They are matched
            as `with_ids_of` does.
        kinds: of `SCORED`: what the detector has heads for.

    Raises:
        UserError: masks are to be scored, and an object has none; or there
            are classes that the detector does not have.
    """

    def __init__(
        self,
        annotations: Annotations,
        categories: Sequence[Category],
        kinds: Sequence[str],
    ):
        self._categories = with_ids_of(annotations, categories)
        self._truth = truth_of(annotations, kinds)
        self._kinds = kinds
        self.results: list[dict] = []
        self.picture_ids: list[int] = []

    def add(self, picture_id: int, found: Detections) -> None:
        """Notes what was found in a picture, also if that is nothing."""
        self.picture_ids.append(picture_id)
        self.results += results_of(picture_id, found, self._categories)

    def scores(self) -> dict[str, float]:
        """`box_AP`, `mask_AP50`, ..., of what the detector has."""
        return {
            f"{SCORED[kind]}_{key}": value
            for kind in self._kinds
            for key, value in coco_api.average_precision(
                self._truth, self._of(kind), kind, self.picture_ids
            ).items()
        }

    def _of(self, kind: str) -> list[dict]:
        """The results of a kind."""
        if kind != "segm":
            return self.results
        # With a box, its area would count for a mask's.
        return [
            {name: value for name, value in one.items() if name != "bbox"}
            for one in self.results
        ]


def shown(precision: float) -> str:
    """A number of COCO's as text; "-" where there is nothing to find."""
    return f"{precision:.3f}" if precision >= 0 else "-"


def with_ids_of(
    annotations: Annotations, categories: Sequence[Category]
) -> list[Category]:
    """A detector's categories with the ids that annotations have for them.

    Categories are matched by name; by id where the names of the detector are
    not known and only numbers, or where a name comes twice. The detector may
    know more than the annotations, and they may list more than have objects.

    Raises:
        UserError: the detector does not know a category, or has neither its
            names nor as many.
    """
    key = "name" if _match_by_name(annotations, categories) else "id"
    ids = {getattr(one, key): one.id for one in annotations.categories}
    keys = {getattr(one, key) for one in categories}
    labels = {i.label for p in annotations.pictures for i in p.instances}
    unknown = [
        one
        for label, one in enumerate(annotations.categories, start=1)
        if getattr(one, key) not in keys and (label in labels or key == "id")
    ]
    if unknown:
        raise UserError(
            f"{annotations.path}: the detector does not know category "
            f"{unknown[0].id}, {unknown[0].name!r}. Expected of: "
            f"{_listed(categories)}"
        )
    if key == "id" and len(categories) != len(ids):
        raise UserError(
            f"{annotations.path} has {len(ids)} categories, and the detector "
            f"{len(categories)} without names to tell which: "
            f"{_listed(categories)}. Expected as many"
        )
    none = 1 + max(ids.values())  # in no image
    return [
        dataclasses.replace(one, id=ids.get(getattr(one, key), none + number))
        for number, one in enumerate(categories)
    ]


def _match_by_name(
    annotations: Annotations, categories: Sequence[Category]
) -> bool:
    return _has_names(categories) and _has_names(annotations.categories)


def _has_names(categories: Sequence[Category]) -> bool:
    """Whether categories have a name each, and not numbers for names."""
    names = {one.name for one in categories}
    numbered = all(one.name == f"class {one.id}" for one in categories)
    return len(names) == len(categories) and not numbered


def _listed(categories: Sequence[Category]) -> str:
    classes = [f"{one.id} {one.name!r}" for one in categories[:LISTED]]
    more = len(categories) - len(classes)
    return ", ".join(classes + [f"{more} more"] * (more > 0))


def kinds_of(config: DetectorConfig) -> tuple[str, ...]:
    """What a detector has heads for, of `SCORED`."""
    return (
        "bbox",
        *(["segm"] if config.has_masks else []),
        *(["keypoints"] if config.num_keypoints else []),
    )


def kinds_in(
    annotations: Annotations, config: DetectorConfig
) -> tuple[str, ...]:
    """What a detector is scored by on annotations, of `SCORED`.

    Masks are left out where no object has one.
    """
    kinds = kinds_of(config)
    objects = [one for one in annotations.instances if not one.is_crowd]
    if (
        "segm" in kinds
        and objects
        and len(objects_without_mask(annotations)) == len(objects)
    ):
        return tuple(kind for kind in kinds if kind != "segm")
    return kinds


def notes(
    annotations: Annotations,
    categories: Sequence[Category],
    config: DetectorConfig,
) -> list[str]:
    """What of a test may not be meant, a line each.

    Args:
        annotations: of the images.
        categories: of the detector.
        config: of the detector.
    """
    lines = []
    if not _match_by_name(annotations, categories):
        lines.append(
            f"{annotations.path}: classes are matched by id, as they do not "
            "have a name each"
        )
    if kinds_in(annotations, config) != kinds_of(config):
        lines.append(
            f"{annotations.path}: no object has a segmentation, so masks are "
            "not tested"
        )
    return lines


def check(annotations: Annotations, config: DetectorConfig) -> None:
    """Check annotations before a detector is trained or scored with them.

    Raises:
        UserError: COCO's evaluation could not use them.
    """
    kinds = kinds_in(annotations, config)
    if "segm" in kinds:
        check_masks(annotations, "tested with")
    instances = list(annotations.instances)
    if all(one.is_crowd for one in instances):
        received = "crowds alone (iscrowd 1)" if instances else "none"
        raise UserError(
            f"{annotations.path}: expected objects to find in its images. "
            f"Received: {received}. Give another file to validate on."
        )
    counts = {len(one.keypoints) for one in annotations.categories} - {0}
    if "keypoints" in kinds and counts - {config.num_keypoints}:
        raise UserError(
            f"{annotations.path}: expected categories with the "
            f"{config.num_keypoints} keypoints of the detector, or none. "
            f"Received: {', '.join(map(str, sorted(counts)))} keypoints"
        )
