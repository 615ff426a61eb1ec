"""Detections as COCO's results, and how good they are."""

from collections.abc import Sequence

from nonlocal_tf.detection import Detections
from training.detection import coco_api
from training.detection.annotations import Category

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


class CocoScores:
    """Collects detections and scores them.

    Args:
        file: of annotations, whose pictures are looked at.
        categories: label 1 is the first.
    """

    def __init__(self, file: str, categories: Sequence[Category]):
        self._file, self._categories = file, categories
        self.results: list[dict] = []
        self.picture_ids: list[int] = []

    def add(self, picture_id: int, found: Detections) -> None:
        """Notes what was found in a picture, also if that is nothing."""
        self.picture_ids.append(picture_id)
        self.results += results_of(picture_id, found, self._categories)

    def scores(self) -> dict[str, float]:
        """`box_AP`, `mask_AP50`, ..., of what the detections have."""
        has = {
            "bbox": True,
            "segm": any("segmentation" in one for one in self.results),
            "keypoints": any("keypoints" in one for one in self.results),
        }
        return {
            f"{name}_{key}": value
            for kind, name in SCORED.items()
            if has[kind]
            for key, value in coco_api.average_precision(
                self._file, self.results, kind, self.picture_ids
            ).items()
        }
