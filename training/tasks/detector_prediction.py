"""Detection of objects in images, for the command `predict`.

Detections are written to a JSON file and drawn on copies of the images. Files
of earlier calls are replaced; a file of yours is not: a drawing then gets
another name, such as a_2.png.

DIR/detections.json
    {"model": ..., "pictures": [
      {"path": ..., "height": ..., "width": ..., "drawn": FILE.png, "objects": [
        {"class": ..., "score": ..., "box": [x1, y1, x2, y2],
         "mask": {"size": [height, width], "counts": [run lengths]},
         "keypoints": [{"name": ..., "x": ..., "y": ..., "score": ...}, ...]},
        ...]},
      {"path": ..., "error": REASON}]}

Boxes and keypoints are in pixels of the image, rotated by its EXIF orientation;
masks are COCO's run-length encodings. A keypoint's score is a logit.
"""

import argparse
import json
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nonlocal_tf.detection import Detections

from ..coco import drawing, image_files, rle
from ..coco.annotations import Category
from ..exporting.loaded_detector import SavedDetector
from ..io import atomic_files, cli, outputs, paths
from ..io.paths import Path
from ..io.progress import say
from ..io.user_error import UserError
from . import detector_setup

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp")
SHOWN_SCORE, SHOWN = 0.5, 8
DETECTIONS = "detections.json"
OUT = "detections"


def add_options(group: argparse._ArgumentGroup) -> None:
    """Add the options of a prediction to a group."""
    group.add_argument(
        "--score-threshold",
        type=_score,
        default=SHOWN_SCORE,
        metavar="S",
        help="lowest score of drawn and printed objects, from 0 to 1 (default: "
        f"{SHOWN_SCORE})",
    )


def run_command(options: argparse.Namespace) -> None:
    """Detect objects in the images of the options."""
    if not options.inputs:
        raise UserError("Give images, or folders of them.")
    image_paths = find(options.inputs)
    inputs = [*image_paths, *filter(None, (options.model, options.weights))]
    out = outputs.Outputs(paths.as_path(options.out or OUT), inputs)
    atomic_files.check_writable_folder(out.folder)
    out.check(DETECTIONS)
    drawing.require()
    model = load(options.model, options.weights)
    rows = []
    try:
        for row in _rows(model, image_paths, out, options.score_threshold):
            rows.append(row)
    finally:  # also after Ctrl-C
        out.write_text(DETECTIONS, _text(model, rows))
    failures = [row["error"] for row in rows if "error" in row]
    count = len(rows) - len(failures)
    print(f"{count} images processed: {out.folder / DETECTIONS}")
    cli.list_failures(failures, len(rows))


def load(model: str | None, weights: str | None) -> Any:
    """Load a detector of a SavedModel, a run or a published file.

    Returns:
        An object with `origin`, `categories` and `detect`.
    """
    if model is None or (paths.as_path(model) / "recipe.json").is_file():
        return detector_setup.load(model, weights)
    return SavedDetector(model)


def find(names: Sequence[str]) -> list[Path]:
    """List images and those in folders, each once.

    Drawings of this command in a folder are skipped.
    """
    images_by_path: dict[str, Path] = {}
    for text in names:
        path = paths.as_path(text)
        inside = [path]
        if path.is_dir():
            drawings = outputs.Outputs(path)
            inside = [
                file
                for file in path.iterdir()
                if file.suffix.lower() in EXTENSIONS
                and not drawings.is_own(file.name)
            ]
            inside.sort(key=str)
            if not inside:
                raise UserError(
                    f"{path} contains no image ({' '.join(EXTENSIONS)})."
                )
        for file in inside:
            images_by_path.setdefault(str(file), file)
    return list(images_by_path.values())


def objects_of(
    detections: Detections, categories: Sequence[Category]
) -> list[dict]:
    """Convert detections to JSON values."""
    return [
        _object(detections, index, categories[label - 1])
        for index, label in enumerate(detections.labels)
    ]


def _object(detections: Detections, index: int, category: Category) -> dict:
    values: dict = {
        "class": category.name,
        "score": _rounded(detections.scores[index], 6),
        "box": [_rounded(side, 2) for side in detections.boxes[index]],
    }
    if detections.masks is not None:
        values["mask"] = rle.encode(detections.masks[index])
    if detections.keypoint_scores is not None:
        points = np.asarray(detections.keypoints)[index]
        scores = detections.keypoint_scores[index]
        names = category.keypoints or map(str, range(1, len(points) + 1))
        values["keypoints"] = [
            {
                "name": name,
                "x": _rounded(x, 2),
                "y": _rounded(y, 2),
                "score": _rounded(score, 4),
            }
            for name, (x, y, _), score in zip(
                names, points, scores, strict=True
            )
        ]
    return values


def _text(model: Any, rows: Sequence[dict]) -> str:
    """Format detections as JSON, one image per line."""
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    origin = json.dumps(model.origin)
    return f'{{"model": {origin}, "pictures": [\n{lines}\n]}}\n'


def _rounded(number: np.floating, digits: int) -> float:
    return round(float(number), digits)


def _rows(
    model: Any,
    image_paths: Sequence[Path],
    out: outputs.Outputs,
    score_threshold: float,
) -> Iterator[dict]:
    for path in image_paths:
        try:
            image = image_files.read(path)
        except UserError as error:
            print(f"{path}: skipped", flush=True)
            yield {"path": str(path), "error": str(error)}
            continue
        remark = image_files.remark(path, image)
        if remark:
            say(f"note: {remark}")
        detections = model.detect(image)
        name = out.free_name(os.path.splitext(path.name)[0] + ".png")
        content = drawing.png(
            image, detections, model.categories, score_threshold
        )
        out.write_bytes(name, content)
        line = describe(path, detections, model.categories, score_threshold)
        print(line, flush=True)
        yield {
            "path": str(path),
            "height": image.shape[0],
            "width": image.shape[1],
            "drawn": name,
            "objects": objects_of(detections, model.categories),
        }


def describe(
    path: Path,
    detections: Detections,
    categories: Sequence[Category],
    score_threshold: float,
) -> str:
    """Format the best detections of an image for the screen."""
    is_good = detections.scores >= score_threshold
    labels = [
        f"{categories[label - 1].name} {score:.2f}"
        for label, score in zip(
            detections.labels[is_good][:SHOWN],
            detections.scores[is_good][:SHOWN],
            strict=True,
        )
    ]
    rest = int(is_good.sum()) - len(labels)
    labels += [f"{rest} more"] * (rest > 0)
    return f"{path}: {', '.join(labels) or 'nothing'}"


def _score(text: str) -> float:
    """Parse a score from 0 to 1; the type of an argument."""
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not 0 <= score <= 1:
        raise argparse.ArgumentTypeError(
            f"expected a score from 0 to 1, such as 0.5, received {text!r}"
        )
    return score
