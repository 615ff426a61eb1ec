"""Detections as COCO's results, and how good they are."""

import dataclasses
from collections.abc import Sequence

from nonlocal_tf.detection import Detections, DetectorConfig
from training.detection import coco_api
from training.detection.annotations import Annotations, Category, Instance
from training.errors import UserError

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
            result["segmentation"] = coco_api.run_lengths_of(mask)
        if found.keypoints is not None:
            result["keypoints"] = found.keypoints[number].ravel().tolist()
        results.append(result)
    return results


def truth_of(annotations: Annotations, kinds: Sequence[str]) -> dict:
    """What a file of annotations has of the good ones, numbered from 1.

    Raises:
        UserError: masks are to be scored, and an object has none.
    """
    points = max(len(one.keypoints) for one in annotations.categories)
    rows = []
    for picture in annotations.pictures:
        for one in picture.instances:
            if "segm" in kinds and one.segmentation is None:
                raise UserError(
                    f"{annotations.path}: annotation {one.id} has no "
                    "segmentation, which masks are tested with. Leave it out, "
                    "or test a detector without masks."
                )
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
    if one.segmentation is not None:
        row["segmentation"] = one.segmentation
    return row


class CocoScores:
    """Collects detections and scores them.

    Args:
        annotations: checked ones; what of their file was left out is not
            missed.
        categories: of the detector: label 1 is the first. They are those of
            the annotations of the same names.
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


def with_ids_of(
    annotations: Annotations, categories: Sequence[Category]
) -> list[Category]:
    """A detector's categories with the ids that annotations have for them.

    Categories are matched by name; by id where the names of the detector are
    not known and only numbers, or where annotations have a name twice.

    Raises:
        UserError: the detector does not know a category.
    """
    ids = {one.name: one.id for one in annotations.categories}
    numbered = all(one.name == f"class {one.id}" for one in categories)
    if numbered or len(ids) < len(annotations.categories):
        ids = {one.name: one.id for one in categories}
        known: set = set(ids.values())
        strange = [c for c in annotations.categories if c.id not in known]
    else:
        known = {one.name for one in categories}
        strange = [c for c in annotations.categories if c.name not in known]
    if strange:
        raise UserError(
            f"{annotations.path}: the detector does not know category "
            f"{strange[0].id}, {strange[0].name!r}. Expected of: "
            f"{', '.join(f'{one.id} {one.name!r}' for one in categories)}"
        )
    none = 1 + max(one.id for one in annotations.categories)  # in no image
    return [
        dataclasses.replace(one, id=ids.get(one.name, none + number))
        for number, one in enumerate(categories)
    ]


def kinds_of(config: DetectorConfig) -> tuple[str, ...]:
    """What a detector has heads for, of `SCORED`."""
    return (
        "bbox",
        *(["segm"] if config.mask_channels else []),
        *(["keypoints"] if config.keypoints else []),
    )


def check(annotations: Annotations, config: DetectorConfig) -> None:
    """Check annotations before a detector is trained or scored with them.

    Raises:
        UserError: COCO's evaluation could not use them.
    """
    kinds = kinds_of(config)
    truth_of(annotations, kinds)
    instances = [
        one for picture in annotations.pictures for one in picture.instances
    ]
    if all(one.is_crowd for one in instances):
        received = "crowds alone (iscrowd 1)" if instances else "none"
        raise UserError(
            f"{annotations.path}: expected objects to find in its images. "
            f"Received: {received}. Give another file to validate on."
        )
    counts = {len(one.keypoints) for one in annotations.categories} - {0}
    if "keypoints" in kinds and counts - {config.keypoints}:
        raise UserError(
            f"{annotations.path}: expected categories with the "
            f"{config.keypoints} keypoints of the detector, or none. Received: "
            f"{', '.join(map(str, sorted(counts)))} keypoints"
        )
